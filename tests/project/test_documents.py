"""The documents are held to the code: commands, constants, paths, links, messages, figures, and no passage twice.

A table of figures stands under an HTML comment that says where they come from; the nearest one above, in the same
section, counts. <!-- measured -->, and the names in MEASURED: the section names a command, a machine and a date.
<!-- computed -->: the command before the table prints these cells. <!-- defined -->: the constants, which are compared.
"""

import ast
import functools
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.paths import ROOT, SCRIPTS
from raccoon import constants
from raccoon.published.benchmarks import BENCHMARKS
from raccoon.records import Verdict
from raccoon.reporting.tables import script_defaults
from raccoon.rewards.execution import RewardTable
from raccoon.sandbox.pool import safe_execute
from raccoon.tasks.task import read_task_file

DOCUMENTS = sorted(ROOT.glob("*.md"))
README, GUIDE, TECHNICAL, SYMPTOMS = (ROOT / name for name in ("README.md", "SETUP_GUIDE.md", "POC_README.md",
                                                               "WHAT_GOES_WRONG.md"))
TRAIN = script_defaults()  # the training script's constants
MEASURED = ("measured", "throughput", "soak", "seeds", "gpu")
PASSAGE = 12  # words
PROGRAMS = ("python", "python3", "bash", "sbatch", "accelerate", "docker", "pip", "source", "export", "vllm")
# Flags of docker, pip and accelerate in the text; those in command blocks of docker are tests/test_containers.py's
FOREIGN_FLAGS = {"--init", "--user", "--tmpfs", "--stop-timeout", "--build-arg", "--gpus", "--pids-limit",
                 "--machine_rank", "--detach", "--max-model-len", "--weight-transfer-config", "--logprobs-mode",
                 "--port", "--extra-index-url"}
SCRIPT = re.compile(r"(scripts|benchmarks)/\w+\.(py|sh)")
DATE = re.compile(r"20\d\d-\d\d-\d\d")
MACHINE = re.compile(r"\b(cores?|CPU|GPU|H100|H200)\b")
QUANTITY = re.compile(r"\d (CPU )?(seconds|minutes|ms|[GM]B|(programs|tokens|verdicts) a second)\b|\d s of wall")
NUMBER = re.compile(r"\**[+-]?\d+\.\d+(e-?\d+)?( ?\S{1,3})?\**")  # of a cell that is a figure and no more
BONUSES = {"docstring": '"""Says."""', "type hints": "-> int"}  # those that the code, not its length, decides


@dataclass(frozen=True)
class Table:
    """A table with the marker above it, and the text of its section up to it."""

    document: str
    marker: str
    before: str
    section: str
    rows: list[dict[str, str]]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(text: str) -> str:
    """A document without its command blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def blocks(text: str, language: str) -> list[str]:
    """The command blocks that are marked with a language, "" for those without a mark."""
    return [block for found, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if found == language]


def inline(text: str) -> list[str]:
    """What stands between single backticks, its line breaks made blanks."""
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose(text))]


def sections(text: str) -> list[str]:
    """A document cut before each heading."""
    held = re.sub(r"^```.*?^```", lambda found: re.sub("^#", "\0", found[0], flags=re.M), text, flags=re.M | re.S)
    return [part.replace("\0", "#") for part in re.split(r"^(?=#)", held, flags=re.M) if part.strip()]


def headings(text: str) -> list[str]:
    return [part.split("\n")[0].lstrip("# ") for part in sections(text) if part.startswith("#")]


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(path: Path) -> Iterator[Table]:
    for section in sections(read(path)):
        for found in re.finditer(r"(?:^\|.*\n)+", section, re.M):
            before = section[:found.start()]
            header, _, *body = [cells(line) for line in found[0].splitlines()]
            marker = (re.findall(r"<!-- (.*?) -->", before) or [""])[-1]
            rows = [dict(zip(header, row, strict=True)) for row in body]
            yield Table(path.name, marker, before, section, rows)


def every_table() -> list[Table]:
    return [table for path in DOCUMENTS for table in tables(path)]


def has_figures(table: Table) -> bool:
    return any(NUMBER.fullmatch(cell) for row in table.rows for cell in row.values())


def command_lines() -> list[tuple[str, str]]:
    """(document, command) of every line of the bash blocks, continued lines joined, and of commands in the text."""
    found = []
    for path in DOCUMENTS:
        lines = "\n".join(blocks(read(path), "bash")).replace("\\\n", " ").splitlines()
        found += [(path.name, line) for line in lines if line.split("#")[0].strip()]
        found += [(path.name, code) for code in inline(read(path)) if re.match(r"(python|bash) \S+/", code)]
    return found


def namespace(script: Path) -> dict:
    """The plain constants of a script and its demo table, read from its source."""
    found = {"__file__": str(script)}
    for node in ast.parse(read(script)).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:  # computed: no constant that a flag sets
                continue
    return found


@functools.cache
def flags(script: Path) -> set[str]:
    """The flags that a script takes."""
    text = read(script)
    if "override_constants" not in text:
        return set(re.findall(r"--[a-z][a-z-]+", text))
    names = {constant.flag for constant in constants.read_constants(namespace(script))}
    return names | {"--no-" + name.removeprefix("--") for name in names} | {"--help", "--demo"}


def check_command(words: list[str]) -> None:
    """Asserts that the script in a command exists and understands the words after it."""
    place = next((place for place, word in enumerate(words) if SCRIPT.fullmatch(word)), None)
    if place is None:
        return
    script, rest = ROOT / words[place], words[place + 1:]
    assert script.is_file(), f"no {words[place]}"
    end = next((number for number, word in enumerate(rest) if word in ("<", ">", "|", "&&", ";")), len(rest))
    rest = [word for word in rest[:end] if word != "--help"]
    if any(SCRIPT.fullmatch(word) for word in rest):
        check_command(rest)
    elif "override_constants" in read(script):
        values = namespace(script)
        positional = re.search(r'positional="(\w+)"', read(script))
        table = constants.read_constants(values)
        constants.flag_values(rest, table, values, positional[1] if positional else "")
    else:
        given = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert given <= flags(script), f"{script.name} has no {given - flags(script)}"


def sources() -> list[Path]:
    return [*SCRIPTS.rglob("*.py"), *SCRIPTS.glob("*.sh"), *(ROOT / "benchmarks").glob("*.py")]


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("document", "line"), command_lines())
def test_command_can_be_given(document, line):
    words = shlex.split(line, comments=True)
    assert Path(words[0]).name in PROGRAMS, f"{words[0]} is no program of PROGRAMS"
    try:
        check_command(words)
    except constants.InputError as error:
        pytest.fail(str(error))
    for place, word in enumerate(words[:-1]):
        if word in ("-r", "--config_file"):
            assert (ROOT / words[place + 1]).is_file(), words[place + 1]


def test_launcher_lines_say_what_the_projects_own_launches_say():
    known = "".join(map(read, [SCRIPTS / "slurm_two_nodes.sh", SCRIPTS / "raccoon" / "launch.py"]))
    lines = [line.split("scripts/train_rl_poc.py")[0] for _, line in command_lines() if line.startswith("accelerate")]
    assert lines and all(flag in known for line in lines for flag in re.findall(r"--\w+", line))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_flags_in_the_text_exist(path):
    known = set().union(*map(flags, sources())) | FOREIGN_FLAGS
    used = {flag for code in inline(read(path)) for flag in re.findall(r"(?<![\w-])--[a-z][\w-]+", code)}
    assert used - known == set()


# --- constants --------------------------------------------------------------------------------------------------------


def quoted_constants() -> list[tuple[str, str, str]]:
    """(document, NAME, value) wherever a document says NAME = value."""
    pattern = r'\b([A-Z][A-Z0-9_]{2,}) = ("[^"]*"|\[[^\]]*\]|[-\w.]+\w)'
    return [(path.name, *found) for path in DOCUMENTS for found in re.findall(pattern, read(path))]


@pytest.mark.parametrize(("document", "name", "value"), quoted_constants())
def test_quoted_constant_is_the_files(document, name, value):
    spaces = [TRAIN] if name in TRAIN else [namespace(path) for path in sources() if path.suffix == ".py"]
    values = [space[name] for space in spaces if name in space]
    assert values, f"no script has the constant {name}"
    assert ast.literal_eval(value) in values


def test_constants_are_quoted():
    assert len(quoted_constants()) > 20


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_names_in_capitals_are_the_codes(path):
    known = "\n".join(map(read, [*sources(), ROOT / "Dockerfile", ROOT / "docker-compose.yml"]))
    names = {name for code in inline(read(path)) for name in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", code)}
    assert {name for name in names if not re.search(rf"\b{name}\b", known)} == set()


def test_reward_table_is_the_constants():
    table = next(table for table in tables(README) if "verdict" in table.rows[0] and table.marker == "defined")
    shown = {row["verdict"]: row["reward"] for row in table.rows}
    assert {name: float(shown[name]) for name in ("PASS", "PARTIAL", "FAIL")} == {
        name: TRAIN[f"REWARD_{name}"] for name in ("PASS", "PARTIAL", "FAIL")}
    text = " ".join(read(README).split())  # a sentence may go over the end of a line
    bonuses = [float(number) for number in re.findall(r"bonuses of \+(\S+):", text)]
    assert bonuses == [TRAIN["QUALITY_BONUS"]]
    limits = [int(number) for number in re.findall(r"under (\d+) characters", text)]
    assert limits == [TRAIN["MAX_LINE"], TRAIN["MAX_RESPONSE"]]


# --- paths and links --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_paths_exist(path):
    known = "\n".join(map(read, sources()))
    for code in inline(read(path)):
        for word in re.findall(r"(?:scripts|tests|benchmarks|docs)/[\w./*-]*", code):
            assert any(ROOT.glob(word)), f"no {word}"
        if re.fullmatch(r"[\w-]+\.(md|txt|yml|cff|toml)", code):
            assert (ROOT / code).is_file() or code in known, f"no {code}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", prose(read(path))):
        name, _, place = target.partition("#")
        found = ROOT / name if name else path
        assert found.is_file(), f"no {name}"
        assert not place or place in map(anchor, headings(read(found))), f"{found.name} has no heading #{place}"


def test_readme_leads_to_every_document():
    linked = set(re.findall(r"\]\((\w+\.md)", read(README)))
    assert linked == {path.name for path in DOCUMENTS} - {README.name}


def test_layout_of_the_data_folder_is_the_loaders():
    block = next(block for block in blocks(read(GUIDE), "") if "HumanEval.jsonl.gz" in block)
    assert {line.removeprefix("data/") for line in block.split()} == {each.file for each in BENCHMARKS.values()}


def test_task_of_the_quick_start_can_be_trained_on(tmp_path):
    block = next(block for block in blocks(read(ROOT / "QUICK_START.md"), "") if "entry_point" in block)
    (tmp_path / "tasks.jsonl").write_text(" ".join(block.split("\n")) + "\n")
    task, = read_task_file(tmp_path / "tasks.jsonl")
    assert safe_execute(task.solution, task.test, task.entry_point, task.context).status == "PASS"


def test_citation_is_of_the_newest_version():
    version, date = re.search(r"^## (\S+), (\S+)$", read(ROOT / "CHANGELOG.md"), re.M).groups()
    citation = read(ROOT / "CITATION.cff")
    assert f"version: {version}\n" in citation and f"date-released: {date}\n" in citation


# --- messages ---------------------------------------------------------------------------------------------------------


@functools.cache
def printed() -> list[str]:
    """Every text in the scripts that is no docstring; a control character stands for what varies in it."""
    found = [" ".join(read(path).split()) for path in SCRIPTS.glob("*.sh")]
    for path in SCRIPTS.rglob("*.py"):
        tree = ast.parse(read(path))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                found.append(literal(node))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                found.append(node.value)
    return found


def literal(text: ast.JoinedStr | ast.Constant) -> str:
    """A text of a program; a control character stands for what varies in it."""
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in parts)


def alarm_texts() -> list[str]:
    """The messages of the sentinels and of the held-out control."""
    calls = [node for name in ("sentinels", "heldout")
             for node in ast.walk(ast.parse(read(SCRIPTS / "raccoon" / "runs" / f"{name}.py")))
             if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Alarm"]
    return [literal(call.args[0]) for call in calls]


def pattern(message: str) -> re.Pattern:
    """What a quoted message, in which `...` stands for anything, matches."""
    parts = [part for part in message.split("...") if part.strip()]
    assert sum(map(len, parts)) > 8, "too little of it is constant"
    return re.compile(".*".join(re.escape(part.strip()) for part in parts), re.S)


def quoted_messages() -> list[str]:
    return [row["Message"].strip("`") for table in every_table() for row in table.rows if "Message" in row]


@pytest.mark.parametrize("message", quoted_messages())
def test_quoted_message_is_the_scripts(message):
    assert any(pattern(message).search(text) for text in printed()), "no script prints this"


def test_messages_are_quoted():
    assert len(quoted_messages()) > 60


@pytest.mark.parametrize("text", alarm_texts())
def test_every_alarm_is_among_the_symptoms(text):
    quoted = [row["Message"].strip("`") for table in tables(SYMPTOMS) for row in table.rows if "Message" in row]
    assert any(pattern(message).search(text) for message in quoted), f"{SYMPTOMS.name} does not have it"


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [table for table in every_table() if has_figures(table)],
                         ids=lambda table: f"{table.document} {table.marker}")
def test_figures_say_where_they_come_from(table):
    kind = table.marker.partition(":")[0]
    assert kind in (*MEASURED, "computed", "defined"), "a table of figures has a marker above it"
    if kind in MEASURED:
        assert SCRIPT.search(table.section), "no command"
        assert DATE.search(table.section) and MACHINE.search(table.section), "no date, or no machine"


def headline_rows() -> list[dict[str, str]]:
    """The rows of README's table of results."""
    return next(table for table in tables(README) if "Result" in table.rows[0]).rows


def rounds_to(value: float, number: str) -> bool:
    """Whether a value, rounded to the decimals of a number in a text, is that number."""
    decimals = len(number.partition(".")[2])
    return f"{value:.{decimals}f}" == f"{float(number):.{decimals}f}"


@pytest.mark.parametrize("row", headline_rows(), ids=lambda row: row["What"])
def test_headline_is_in_the_section_that_it_links_to(row):
    """README repeats no figure by hand: each one, rounded, is among those of the linked section."""
    numbers = re.findall(r"[+-]?\d+\.\d+", row["Result"])
    link = re.search(r"\]\((\w+\.md)#([\w-]+)\)", row["What"])
    assert link or not numbers, "figures without a link to where they come from"
    if link:
        section, = (part for part in sections(read(ROOT / link[1])) if anchor(headings(part)[0]) == link[2])
        known = [float(number) for number in re.findall(r"[+-]?\d+\.\d+", section)]
        assert [number for number in numbers if not any(rounds_to(value, number) for value in known)] == []


def test_headlines_say_where_and_when():
    table = next(table for table in tables(README) if "Result" in table.rows[0])
    assert table.marker == "measured"
    assert SCRIPT.search(table.section) and DATE.search(table.section) and MACHINE.search(table.section)


def test_mean_gains_are_those_of_the_seeds():
    """The last rows of the seeds' table are worked out from the rows above them, as counts of tasks."""
    table, = (table for table in every_table() if table.marker == "seeds")
    number = int(re.search(r"(\d+) held-out tasks", table.section)[1])
    for mode in ("greedy", "sampled"):
        seeds, (mean,) = ([row for row in table.rows if row["mode"] == mode and row["seed"].isdigit() == is_seed]
                          for is_seed in (True, False))
        for column in [name for name in mean if mean[name] and name not in ("seed", "mode")]:
            before, after = ([round(float(row[name]) * number / 100) for row in seeds] for name in ("SFT", column))
            gains = [100 * (late - early) / number for early, late in zip(before, after, strict=True)]
            assert mean[column] == f"{statistics.mean(gains):+.1f}, {statistics.stdev(gains):.1f}", (mode, column)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_quantities_in_the_text_stand_beside_a_command(path):
    lacking = [section.split("\n")[0] for section in sections(read(path))
               if QUANTITY.search(prose(section)) and not SCRIPT.search(section)]
    assert lacking == []


@pytest.mark.parametrize(("name", "section"), [
    ("SETUP_GUIDE.md", "1. The machine"), ("SETUP_GUIDE.md", "6. Two H200s"), ("SETUP_GUIDE.md", "7. Two machines"),
    ("POC_README.md", "Two H200s"), ("POC_README.md", "vLLM rollouts"), ("README.md", "In a container"),
    ("QUICK_START.md", ""), ("Dockerfile", ""), ("docker-compose.yml", ""), ("scripts/slurm_two_nodes.sh", "")])
def test_what_never_ran_on_a_gpu_says_so(name, section):
    text = read(ROOT / name)
    if section:
        text, = (one for one in sections(text) if one.partition("\n")[0].endswith(f"# {section}"))
    text = " ".join(re.sub("^# ", "", text, flags=re.M).split())
    assert re.search(r"(?:never|not|No \w+ has) (?:run|measured) on a GPU", text)


@pytest.mark.parametrize("table", [table for table in every_table() if table.marker == "computed"],
                         ids=lambda table: table.document)
def test_computed_table_is_what_its_command_prints(table):
    command = [code for code in inline(table.before) if re.match(r"python scripts/", code)][-1]
    done = subprocess.run([sys.executable, *command.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    header, _, *body = [cells(line) for line in done.stdout.splitlines() if line.startswith("|")]
    printed_rows = [dict(zip(header, row, strict=True)) for row in body]
    assert table.rows == [{name: row[name] for name in table.rows[0]} for row in printed_rows]
    usable, memory = re.search(r"which (\S+) of (\S+) are usable", " ".join(table.before.split())).groups()
    assert f"x {memory} GB, of which {usable} GB usable" in done.stdout
    likely = re.search(r"likely to take (\S+) s a step and (\S+) hours", " ".join(table.before.split())).groups()
    assert "more likely {} s a step and {} h in all".format(*likely) in done.stdout


def worked_reward(row: dict[str, str]) -> float:
    """The reward that the code gives a completion with this verdict and these bonuses."""
    bonuses = [bonus.strip() for bonus in row["bonuses"].split(",")]
    hint, docstring = (BONUSES[name] if name in bonuses else "" for name in ("type hints", "docstring"))
    code = f"def one(){hint}:\n    {docstring or 'pass'}\n    return 1\n"
    code += "" if "short lines" in bonuses else "#" * TRAIN["MAX_LINE"]
    reward = RewardTable(**{name: TRAIN[name.upper()] for name in RewardTable.__dataclass_fields__})
    verdict = Verdict(row["verdict"], "", tests_passed=0, tests_total=1, seconds=0.0, isolation="separate")
    length = 0 if "short response" in bonuses else TRAIN["MAX_RESPONSE"]
    return reward.total(reward.parts(verdict, code, "x" * length))


@pytest.mark.parametrize("table", [table for table in every_table() if table.marker == "defined: group"],
                         ids=lambda table: table.rows[-1]["reward"])
def test_worked_example_is_right(table):
    rewards = [worked_reward(row) for row in table.rows]
    centre, deviation = statistics.mean(rewards), statistics.stdev(rewards)
    columns = {"reward": rewards,
               'advantage, SCALE_REWARDS "none"': [reward - centre for reward in rewards],
               'advantage, "group"': [(reward - centre) / (deviation + 1e-4) for reward in rewards]}
    for name, values in columns.items():
        assert [float(row[name]) for row in table.rows] == pytest.approx(values, abs=0.00501), name
    assert len(table.rows) == TRAIN["NUM_GENERATIONS"]


def test_there_are_two_worked_examples():
    assert [table.marker for table in tables(TECHNICAL)].count("defined: group") == 2


# --- no passage twice -------------------------------------------------------------------------------------------------


def passages(text: str) -> dict[tuple[str, ...], str]:
    """Each run of PASSAGE words of a text, and each command that long."""
    words = re.findall(r"\w+", re.sub(r"\]\([^)]*\)", "]", prose(text)).lower())
    runs = [tuple(words[place:place + PASSAGE]) for place in range(len(words) - PASSAGE + 1)]
    lines = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)).replace("\\\n", " ").splitlines()
    runs += [found for line in lines if len(found := tuple(line.split())) >= PASSAGE]
    return {run: " ".join(run) for run in runs}


def test_no_passage_stands_in_two_documents():
    known: dict[tuple[str, ...], str] = {}
    twice = []
    for path in DOCUMENTS:
        found = passages(read(path))
        twice += [f"{known[run]} and {path.name}: {text}" for run, text in found.items() if run in known]
        known |= dict.fromkeys(found, path.name)
    assert twice == []

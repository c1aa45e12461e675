"""The documents are held to the code: commands, constants, paths, links, messages and figures.

A table of figures stands under an HTML comment that says where they come from; the nearest one above, in the same
section, counts. <!-- measured -->, and the names in MEASURED: the section names a command, a machine and a date.
<!-- computed -->: the command before the table prints these cells. <!-- defined -->: the constants, which are compared.
"""

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import documents as docs
from helpers.paths import ROOT, SCRIPTS
from raccoon.published.benchmarks import BENCHMARKS
from raccoon.records import Verdict
from raccoon.reporting.tables import script_defaults
from raccoon.rewards.execution import RewardTable
from raccoon.runs import heldout
from raccoon.sandbox.pool import safe_execute
from raccoon.tasks.task import read_task_file

TEXTS = [code for path in docs.DOCUMENTS for code in docs.inline(docs.read(path))]
TABLES = docs.tables()
TRAIN = script_defaults()  # the training script's constants
MEASURED = ("measured", "throughput", "soak", "seeds", "gpu")
PROGRAMS = ("python", "python3", "bash", "sbatch", "accelerate", "docker", "pip", "source", "export", "vllm")
# Flags of docker, pip, accelerate and vLLM in the text
FOREIGN_FLAGS = {
    "--init",
    "--user",
    "--tmpfs",
    "--stop-timeout",
    "--build-arg",
    "--gpus",
    "--pids-limit",
    "--machine_rank",
    "--detach",
    "--max-model-len",
    "--weight-transfer-config",
    "--logprobs-mode",
    "--port",
    "--extra-index-url",
}
NUMBER = re.compile(r"\**[+-]?\d+\.\d+(e-?\d+)?( ?\S{1,3})?\**")  # of a cell that is a figure and no more


def marked(marker: str) -> list[docs.Table]:
    return [table for table in TABLES if table.marker == marker]


def test_commands_can_be_given():
    assert len(docs.command_lines()) > 50
    for words in docs.command_lines():
        assert Path(words[0]).name in PROGRAMS, f"{words[0]} is no program of PROGRAMS"
        docs.check_command(words)
        for flag, value in zip(words, words[1:], strict=False):
            assert flag not in ("-r", "--config_file") or (ROOT / value).is_file(), f"no {value}"


def test_launcher_lines_say_what_the_projects_own_launches_say():
    known = docs.read("scripts/slurm_two_nodes.sh") + docs.read("scripts/raccoon/launch.py")
    used = {
        word.partition("=")[0]
        for words in docs.command_lines()
        if words[0] == "accelerate"
        for word in words[: words.index("scripts/train_rl_poc.py")]
        if word.startswith("--")
    }
    assert used and [flag for flag in used if flag not in known] == []


def test_quoted_constants_are_the_files():
    spaces = [docs.namespace(path) for path in docs.SOURCES if path.suffix == ".py"]
    text = "\n".join(map(docs.read, docs.DOCUMENTS))
    quoted = re.findall(r'\b([A-Z][A-Z0-9_]{2,}) = ("[^"]*"|\[[^\]]*\]|[-\w.]+\w)', text)
    assert len(quoted) > 20
    for name, value in quoted:
        values = [space[name] for space in ([TRAIN] if name in TRAIN else spaces) if name in space]
        assert ast.literal_eval(value) in values, f"{name} = {value}, but the code has {values}"


def test_flags_and_names_in_capitals_are_the_codes():
    used = {flag for code in TEXTS for flag in re.findall(r"(?<![\w-])--[a-z][\w-]+", code)}
    assert used - set().union(*map(docs.flags, docs.SOURCES)) - FOREIGN_FLAGS == set()
    known = "\n".join(map(docs.read, [*docs.SOURCES, "Dockerfile", "docker-compose.yml"]))
    names = {name for code in TEXTS for name in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", code)}
    assert names and {name for name in names if not re.search(rf"\b{name}\b", known)} == set()


def test_reward_table_is_the_constants():
    table = next(table for table in marked("defined") if "verdict" in table.rows[0])
    shown = [(row["verdict"], float(row["reward"])) for row in table.rows if row["verdict"] != "INFRA"]
    assert shown == [(name, TRAIN[f"REWARD_{name}"]) for name in ("PASS", "PARTIAL", "FAIL")]
    text = " ".join(docs.read("README.md").split())  # a sentence may go over the end of a line
    found = re.findall(r"bonuses of \+(\S+):|under (\d+) characters", text)
    assert [float(bonus or limit) for bonus, limit in found] == [
        TRAIN["QUALITY_BONUS"],
        TRAIN["MAX_LINE"],
        TRAIN["MAX_RESPONSE"],
    ]


def test_paths_and_files_exist():
    known = "\n".join(map(docs.read, docs.SOURCES))
    folder = r"(?:scripts|tests|benchmarks|findings|docs)/[\w./*-]*"
    paths = [path for code in TEXTS for path in re.findall(folder, code)]
    assert paths and [path for path in paths if not any(ROOT.glob(path))] == []
    files = [code for code in TEXTS if re.fullmatch(r"[\w-]+\.(md|txt|yml|cff|toml)", code)]
    assert [name for name in files if not (ROOT / name).is_file() and name not in known] == []


def test_links_lead_somewhere_and_readme_to_every_document():
    for path in docs.DOCUMENTS:
        for target in re.findall(r"\]\(([^)]+)\)", docs.prose(docs.read(path))):
            name, _, place = target.partition("#")
            found = ROOT / name if name else path
            assert found.is_file(), f"{path.name}: no {name}"
            anchors = map(docs.anchor, docs.sections(docs.read(found)))
            assert not place or place in anchors, f"{path.name}: no heading {target}"
    linked = {*re.findall(r"\]\((\w+\.md)", docs.read("README.md")), "README.md"}
    assert linked == {path.name for path in docs.DOCUMENTS}


def test_layout_of_the_data_folder_is_the_loaders():
    (block,) = (block for block in docs.blocks(docs.read("SETUP_GUIDE.md"), "") if "HumanEval.jsonl.gz" in block)
    assert {line.removeprefix("data/") for line in block.split()} == {each.file for each in BENCHMARKS.values()}


def test_task_of_the_quick_start_can_be_trained_on(tmp_path):
    block = next(block for block in docs.blocks(docs.read("QUICK_START.md"), "") if "entry_point" in block)
    (tmp_path / "tasks.jsonl").write_text(" ".join(block.split("\n")) + "\n")
    (task,) = read_task_file(tmp_path / "tasks.jsonl")
    assert safe_execute(task.solution, task.test, task.entry_point, task.context).status == "PASS"


def literals(tree: ast.AST) -> list[str]:
    """Every text in a part of a program but docstrings; a control character stands for what varies in it."""
    nodes = [*ast.walk(tree)]
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    parts = [
        getattr(node, "values", [node])
        for node in nodes
        if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in docstrings
    ]
    return ["".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in each) for each in parts]


def quotes(message: str, text: str) -> bool:
    """Whether a quoted message, in which `...` stands for anything, is of this text."""
    parts = [part for part in message.split("...") if part.strip()]
    assert sum(map(len, parts)) > 8, f"too little of {message} is constant"
    return re.search(".*".join(re.escape(part.strip()) for part in parts), text, re.S) is not None


def quoted_messages(document: str = "") -> list[str]:
    return [
        row["Message"].strip("`")
        for table in TABLES
        for row in table.rows
        if "Message" in row and document in table.document
    ]


def test_quoted_messages_are_the_scripts():
    printed = [" ".join(docs.read(path).split()) for path in SCRIPTS.glob("*.sh")]
    printed += [text for path in SCRIPTS.rglob("*.py") for text in literals(ast.parse(docs.read(path)))]
    assert len(quoted_messages()) > 50
    assert [message for message in quoted_messages() if not any(quotes(message, text) for text in printed)] == []


def test_every_fault_has_a_section_that_quotes_its_message():
    trees = [ast.parse(docs.read(SCRIPTS / "raccoon" / "runs" / f"{name}.py")) for name in ("sentinels", "heldout")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) > 5]
    faults = [each for each in calls if getattr(each.func, "id", "") in ("Rule", "Finding") and literals(each.args[4])]
    assert len(faults) > 30
    for call in faults:
        own = isinstance(call.args[2], ast.Constant) and isinstance(call.args[2].value, str)
        section, cause = call.args[2].value if own else heldout.SECTION, max(literals(call.args[4]), key=len)
        tables = [table for table in TABLES if table.section.startswith(f"## {section}\n")]
        messages = [row["Message"].strip("`") for table in tables for row in table.rows if "Message" in row]
        assert any(quotes(message, cause) for message in messages), f"{section}: {cause}"


def test_figures_say_where_they_come_from():
    results = next(table for table in TABLES if "Result" in table.rows[0])
    for table in TABLES:
        kind, figures = table.marker.partition(":")[0], [cell for row in table.rows for cell in row.values()]
        if table is results or any(map(NUMBER.fullmatch, figures)):
            assert kind in (*MEASURED, "computed", "defined"), f"no marker above {table.document}: {table.rows[0]}"
            for needed in (docs.SCRIPT.pattern, r"20\d\d-\d\d-\d\d", r"\b(cores?|CPU|GPU|H100|H200)\b"):
                assert kind not in MEASURED or re.search(needed, table.section), f"{needed} for {table.rows[0]}"


def test_headlines_are_in_the_sections_that_they_link_to():
    """README repeats no figure by hand: each one, rounded, is among those of the linked section."""
    figure = r"[+-]?\d+\.\d+"
    for row in next(table for table in TABLES if "Result" in table.rows[0]).rows:
        numbers, link = re.findall(figure, row["Result"]), re.search(r"\]\((\w+\.md)#([\w-]+)\)", row["What"])
        assert link or not numbers, f"figures without a link to where they come from: {row}"
        if link:
            (section,) = (part for part in docs.sections(docs.read(link[1])) if docs.anchor(part) == link[2])
            known = [float(number) for number in re.findall(figure, section)]
            for number in numbers:
                decimals = len(number.partition(".")[2])
                assert float(number) in [round(value, decimals) for value in known], f"{number} is not in {link[0]}"


def test_mean_gains_are_those_of_the_seeds():
    """The last two rows are worked out from the rows above them, as counts of tasks."""
    (table,) = marked("seeds")
    tasks = int(re.search(r"(\d+) held-out tasks", table.section)[1])
    for mean in table.rows[-2:]:
        counts = [
            {name: round(float(cell) * tasks / 100) for name, cell in row.items() if "." in cell}
            for row in table.rows[:-2]
            if row["mode"] == mean["mode"]
        ]
        for column in [name for name in counts[0] if mean[name] and name != "SFT"]:
            gains = [100 * (count[column] - count["SFT"]) / tasks for count in counts]
            assert mean[column] == f"{statistics.mean(gains):+.1f}, {statistics.stdev(gains):.1f}", (column, mean)


def test_computed_tables_are_what_their_commands_print():
    assert marked("computed")
    for table in marked("computed"):
        command = [code for code in docs.inline(table.before) if re.match(r"python scripts/", code)][-1]
        printed = subprocess.check_output([sys.executable, *command.split()[1:]], cwd=ROOT, text=True)
        rows = docs.rows([line for line in printed.splitlines() if line.startswith("|")])
        assert table.rows == [{name: row[name] for name in table.rows[0]} for row in rows]
        said = " ".join(table.before.split())
        usable, memory = re.search(r"which (\S+) of (\S+) are usable", said).groups()
        assert f"x {memory} GB, of which {usable} GB usable" in printed
        likely = re.search(r"likely to take (\S+) s a step and (\S+) hours", said).groups()
        assert "more likely {} s a step and {} h in all".format(*likely) in printed


def worked_reward(row: dict[str, str]) -> float:
    """The reward that the code gives a completion with this verdict and these bonuses."""
    bonuses = row["bonuses"].split(", ")
    hint, docstring = "-> int" * ("type hints" in bonuses), '"""Says."""' if "docstring" in bonuses else "pass"
    comment = "#" * TRAIN["MAX_LINE"] * ("short lines" not in bonuses)
    code = f"def one(){hint}:\n    {docstring}\n    return 1\n{comment}"
    reward = RewardTable(**{name: TRAIN[name.upper()] for name in RewardTable.__dataclass_fields__})
    verdict = Verdict(row["verdict"], "", tests_passed=0, tests_total=1, seconds=0.0, isolation="separate")
    completion = "x" * TRAIN["MAX_RESPONSE"] * ("short response" not in bonuses)
    return reward.total(reward.parts(verdict, code, completion))


def test_worked_examples_are_right():
    assert len(marked("defined: group")) == 2
    for table in marked("defined: group"):
        rewards = [worked_reward(row) for row in table.rows]
        centre, deviation = statistics.mean(rewards), statistics.stdev(rewards)
        columns = {
            "reward": rewards,
            'advantage, SCALE_REWARDS "none"': [reward - centre for reward in rewards],
            'advantage, "group"': [(reward - centre) / (deviation + 1e-4) for reward in rewards],
        }
        for name, values in columns.items():
            assert [float(row[name]) for row in table.rows] == pytest.approx(values, abs=0.00501), name

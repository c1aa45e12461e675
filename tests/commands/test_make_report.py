"""The report of a run: what it says of the logs, what it survives, and that no completion leaves its place."""

import base64
import hashlib
import json
import random
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import make_report
import train_rl_poc
from helpers import warm_python
from helpers.run_folders import check, completion, metrics, write_lines, write_run
from raccoon.constants import InputError
from raccoon.records import Verdict
from raccoon.reporting import page
from raccoon.reporting.logs import LoggedCompletion, TaskProfile, read_groups, read_run
from raccoon.reporting.page import choose_steps
from raccoon.reporting.plots import Plot, draw
from raccoon.reporting.sentences import progress_sentence, run_summary, trend
from raccoon.reporting.tables import Visit, find_evaluation, gains, hardest, most_improved, run_constants, visit
from raccoon.runs.findings import Finding

SCRIPT = Path(make_report.__file__)
# Every y axis names its unit
UNIT = (
    r">([\w ]*\((%|no unit)\)|nats per token|tokens per completion|tokens per second|seconds|gigabytes|groups|"
    r"number of tasks)</text>"
)
HOSTILE = "</script><script>document.title='taken'</script><!--<script>\u2028\ud800<img src=x onerror=alert(1)>&lt;"


def write_completions(folder: Path, steps: int, text: str = "x = 1") -> None:
    write_lines(
        folder / "completions.jsonl",
        [
            completion(step, group, status, text, task_id=f"t/{step}/{group}")
            for step in range(1, steps + 1)
            for group in range(2)
            for status in ("PASS", "FAIL")
        ],
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    """A run with every log there is, hostile where a model writes, and its page."""
    folder = write_run(tmp_path_factory.mktemp("demo") / "rl <i>model")
    write_completions(folder, 12, HOSTILE)
    verdict = {"status": "FAIL", "reason": HOSTILE, "tests_passed": 0, "tests_total": 1, "output": HOSTILE}
    with open(folder / "completions.jsonl", "a") as file:
        file.write(json.dumps(completion(12, 2, task_id=HOSTILE, verdict=verdict, code="other")) + "\n")
    write_lines(folder / "heldout.jsonl", [check(0, 4), check(6, 10), check(12, 16)])
    write_lines(
        folder / "profile.jsonl",
        [
            {"step": 0, "task_id": f"t/{step}/0", "samples": 4, "pass_rate": step % 5 / 4, "correctness": []}
            for step in range(1, 13)
        ],
    )
    write_lines(
        folder / "integrity.jsonl",
        [
            {
                "step": step,
                "checked": 4,
                "flagged": step % 2,
                "rate": step % 2 / 4,
                "reasons": {"constant <b>": step % 2},
            }
            for step in range(1, 13)
        ],
    )
    write_lines(folder / "tasks.jsonl", [{"task_id": "t/1/0", "prompt": HOSTILE, "test": ""}])
    (folder.parent / "eval_results").mkdir()
    (folder.parent / "eval_results" / "results.json").write_text(json.dumps(results(folder)))
    (folder / "model.safetensors").touch()
    done = start(folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def results(folder: Path) -> dict:
    row = {
        "benchmark": "b",
        "mode": "greedy",
        "n": 9,
        "samples": 9,
        "passed": 3,
        "pass@1": 1 / 3,
        "interval": [0.1, 0.6],
    }
    names = {"sft": "/sft", "rl": str(folder), "gold": "", "other": "/other"}
    pairs = [("sft", "rl"), ("sft", "other"), ("gold", "rl")]
    comparison = {
        "benchmark": "b",
        "mode": "greedy",
        "n": 9,
        "gained": 4,
        "lost": 1,
        "difference": 1 / 3,
        "interval": [0.11, 0.62],
        "p": 0.0123,
        "p_holm": 0.0246,
    }
    return {
        "results": [{**row, "model": name, "path": path} for name, path in names.items()],
        "comparisons": [{**comparison, "baseline": a, "candidate": b, "sentence": f"{b} beats {a}."} for a, b in pairs],
    }


def start(folder: Path, *flags: str) -> subprocess.CompletedProcess:
    return warm_python.run([str(SCRIPT), str(folder), *flags], folder)


class Elements(HTMLParser):
    """The elements of a page with their attributes and what stands directly in them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[list] = []  # name, attributes, text
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])

    def handle_data(self, data):
        if self.found:
            self.found[-1][2] += data

    def named(self, name: str) -> list[list]:
        return [each for each in self.found if each[0] == name]


def plots_of(folder: Path) -> list[Plot]:
    return [plot for drawn in draw(read_run(folder)).values() for plot in drawn]


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def shown_groups(page: str) -> list[dict]:
    """The groups as the page's own script reads them."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


# The page and what a model may write


def test_page_says_what_the_run_reached(full):
    page = page_of(full)
    for title in (
        "Summary",
        "Pass rate",
        "Reward",
        "Bonuses",
        "Verdicts",
        "Kinds of verdict",
        "Completion length",
        "Truncated completions",
        "Entropy",
        "Constant groups",
        "Time of a step",
        "Peak memory",
        "Gradient norm",
        "Weights changed",
        "Update ratio",
        "Tasks before training",
        "Reward integrity",
        "Hardest",
        "Most improved",
        "Comparison",
        "Completions",
        "Constants",
    ):
        assert re.search(rf">{title}</h[234]>", page), title
    assert "It is finished: 12 of 12 steps. It made and executed 48 completions" in page
    assert "+11.0 to +62.0" in page and "0.025" in page
    assert not {"other", "gold"} & set(re.findall(r"<td>(\w+)</td>", page))
    assert "flagged 6 of them" in page.replace("\u00a0", " ")


def test_no_completion_leaves_its_place(full):
    elements = Elements(page_of(full))
    scripts = elements.named("script")
    assert [attributes for _, attributes, _ in scripts] == [{"type": "application/json", "id": "data"}, {}]
    assert elements.named("img") == [] and elements.named("b") == [] and elements.named("i") == []
    assert [name for _, attributes, _ in elements.found for name in attributes if name.startswith("on")] == []
    groups = shown_groups(page_of(full))
    assert groups[0]["completions"][0]["text"] == HOSTILE and groups[0]["prompt"] == HOSTILE
    last = groups[-1]["completions"][0]
    assert (groups[-1]["task"], last["reason"], last["output"], last["code"]) == (HOSTILE, HOSTILE, HOSTILE, "other")
    assert len(groups) == 25 and all(len(group["completions"]) == 2 for group in groups[:-1])


def test_only_the_script_of_the_page_may_run(full):
    page = page_of(full)
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)[1]
    policy = next(
        attributes["content"]
        for _, attributes, _ in Elements(page).named("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy and policy.startswith("default-src 'none';")
    assert "innerHTML" not in script


def test_page_needs_nothing_from_outside(full):
    page = page_of(full)
    addresses = [
        value
        for _, attributes, _ in Elements(page).found
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "action", "srcset", "data")
    ]
    assert all(value.startswith("#") for value in addresses)
    assert not re.search(r"https?://|@import|url\((?!#)", page)


def test_page_begins_with_whether_the_run_learnt(full, tmp_path):
    text = " ".join(re.sub(r"<[^>]+>", " ", page_of(full).split("<body>")[1]).replace("\u00a0", " ").split())
    assert "The run learnt. On 9 tasks, the model solved 33.3 % before" in text[:600]
    done = start(full, "--no-page")
    assert done.returncode == 0 and "The run learnt.\n- On 9 tasks, the model solved" in done.stdout
    folder = write_run(tmp_path / "run", 1)
    assert "So far: cannot tell whether the run learnt." in start(folder, "--no-page").stdout
    assert not (folder / "report.html").exists()


def test_plots_follow_the_page_and_speak(full):
    plots = plots_of(full)
    for plot in plots:
        assert "#0000" not in plot.svg and "<style" not in plot.svg and "<text" in plot.svg
        assert plot.description.startswith(plot.title) or plot.title in ("Reward integrity", "Tasks before training")
        assert re.search(r">(training step|pass rate before training \(%\))</text>", plot.svg)
        assert re.search(UNIT, plot.svg), plot.title
        assert plot.legend and plot.shows.endswith(".") and plot.healthy.endswith(".")
    assert "from 20 to 80 at 3 checks" in plots[0].description
    assert len({match for plot in plots for match in re.findall(r'clipPath id="(\w+)"', plot.svg)}) == len(plots)


def test_names_of_a_log_are_no_markup(tmp_path):
    folder = write_run(tmp_path / "run", 1)
    write_lines(folder / "metrics.jsonl", [metrics(1, kinds={"<script>": 1, "$\\frac$": 1, "_": 2})])
    assert start(folder).returncode == 0
    assert len(Elements(page_of(folder)).named("script")) == 1
    assert "&lt;script&gt;</li>" in page_of(folder)


def test_a_browser_shows_the_completions_and_runs_none(tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium on this machine: install chromium to run this test")
    folder = write_run(tmp_path / "run", 2)
    write_completions(folder, 2, HOSTILE.replace("\ud800", ""))  # Chromium dumps no page with a lone surrogate
    assert start(folder).returncode == 0
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        folder.joinpath("report.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "group 1 of 4" in done.stdout and "taken</title>" not in done.stdout
    assert "&lt;/script&gt;&lt;script&gt;document.title='taken'" in done.stdout
    assert Elements(done.stdout).named("img") == [] and len(Elements(done.stdout).named("article")) == 2


# The size


def test_page_is_bounded_and_says_what_is_missing(tmp_path):
    folder = write_run(tmp_path / "run", 40, MAX_STEPS=40)
    write_completions(folder, 40, "".join(random.Random(0).choices("ab<\n", k=15_000)))
    done = start(folder, "--max-page-mb", "1.5")
    assert done.returncode == 0, done.stderr
    page, groups = page_of(folder), shown_groups(page_of(folder))
    steps = sorted({group["step"] for group in groups})
    assert len(page.encode()) <= 1_500_000
    assert (steps[0], steps[-1]) == (1, 40) and len(groups) == 2 * len(steps) and len(steps) > 4
    gaps = [later - step for step, later in zip(steps, steps[1:], strict=False)]
    assert max(gaps) - min(gaps) <= 1
    text = " ".join(page.split())
    assert f"{len(groups)} of 80 groups, of {len(steps)} of 40 steps" in text and "left out to limit its size" in text


def test_an_enormous_completion_is_shortened_and_an_enormous_group_left_out(tmp_path):
    folder = write_run(tmp_path / "run", 1)
    write_lines(
        folder / "completions.jsonl",
        [completion(1, 0, text="a" * 500_000), *(completion(1, 1, text="\u2028" * 30_000) for _ in range(40))],
    )
    assert start(folder, "--max-page-mb", "1").returncode == 0
    page, groups = page_of(folder), shown_groups(page_of(folder))
    assert len(groups) == 1 and len(page) < 1_000_000
    assert "480,000 characters left out" in groups[0]["completions"][0]["text"]
    assert "1 of 2 groups" in page and "1 completions are shortened" in page


@pytest.mark.parametrize("budget, count", [(1000, 100), (500, 50), (25, 2), (0, 2)])
def test_chosen_steps_are_evenly_spaced_and_fit(budget, count):
    chosen = choose_steps(dict.fromkeys(range(1, 101), 10), budget)
    assert (chosen[0], chosen[-1]) == (1, 100) and chosen == sorted(set(chosen))
    assert 10 * len(chosen) <= max(budget, 20) and len(chosen) >= 0.9 * count
    assert choose_steps({}, 10) == []


# Logs that are not whole


def test_least_run_has_a_page(tmp_path):
    folder = write_run(tmp_path / "run", 1)
    done = start(folder)
    assert done.returncode == 0, done.stderr
    page = page_of(folder)
    assert "still running or was killed: 1 of 12 steps" in page and "No held-out tasks were watched" in page
    assert "No completions are logged." in page and "No evaluation of this model was found." in page


def test_half_a_line_and_a_step_without_metrics_are_still_being_written(tmp_path):
    folder = write_run(tmp_path / "run", 3)
    write_completions(folder, 4)
    for name in ("metrics.jsonl", "completions.jsonl"):
        with open(folder / name, "a") as file:
            file.write('{"step": 4, "pa')
    run = read_run(folder)
    assert run.last_step == 3 and {group[0].step for group in read_groups(run)} == {1, 2, 3}


@pytest.mark.parametrize(
    "line, named",
    [
        ("{broken", "metrics.jsonl, line 2: not JSON"),
        ("[" * 100_000, "metrics.jsonl, line 2: not JSON"),
        ("[1]", "metrics.jsonl, line 2: found a JSON list"),
        ("{}", "metrics.jsonl, line 2 has no 'step'"),
        (json.dumps(metrics(2, pass_rate="high")), "metrics.jsonl, line 2: pass_rate is 'high'"),
        (json.dumps(metrics(2, kinds={"pass": None})), "metrics.jsonl, line 2: kinds"),
        (json.dumps(metrics(2, step=True)), "metrics.jsonl, line 2: step is True"),
        (json.dumps(metrics(2, reward=float("inf"))), "metrics.jsonl, line 2: reward is inf"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, named):
    folder = write_run(tmp_path / "run", 1)
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=re.escape(named)):
        read_run(folder)


def test_a_broken_optional_log_is_named_too(tmp_path):
    folder = write_run(tmp_path / "run")
    write_lines(folder / "heldout.jsonl", [check(0, 4), {**check(6, 5), "interval": [0.1]}])
    with pytest.raises(InputError, match="heldout.jsonl, line 2: interval"):
        read_run(folder)
    (folder / "heldout.jsonl").unlink()
    (folder / "completions.jsonl").write_text("no\n")
    done = start(folder)
    assert done.returncode == 2 and "completions.jsonl, line 1: not JSON" in done.stderr
    assert done.stderr.count("\n") == 1 and not (folder / "report.html").exists()


def test_a_folder_without_a_run_is_refused(tmp_path):
    done = start(tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {tmp_path} has no config.json")
    (write_run(tmp_path / "run") / "metrics.jsonl").write_text("")
    with pytest.raises(InputError, match="no whole line yet"):
        read_run(tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(InputError, match="names no constant"):
        read_run(tmp_path / "run")


def test_training_goes_on_where_the_report_fails(tmp_path, capfd):
    train_rl_poc.write_report(str(tmp_path / "absent"))
    assert f"python scripts/make_report.py {tmp_path / 'absent'}" in capfd.readouterr().out


# What it says


@pytest.mark.parametrize(
    "saved, stopped, steps, ended, sentence",
    [
        (True, False, 12, "the last step was made", "It is finished: 12 of 12 steps."),
        (True, False, 8, "early: <why>", "It ended early, after 8 of 12 steps, and saved its model: early: <why>."),
        (True, False, 8, "", "It ended early, after 8 of 12 steps, and saved its model."),
        (False, False, 8, "", "It is still running or was killed: 8 of 12 steps are logged."),
        (False, True, 8, "", "It stopped after 8 of 12 steps: SIGTERM."),
    ],
)
def test_progress(tmp_path, saved, stopped, steps, ended, sentence):
    folder = write_run(tmp_path / "run", steps, ended=ended)
    if saved:
        (folder / "model.safetensors").touch()
    if stopped:
        (folder / "STOPPED.json").write_text('{"reason": "SIGTERM", "step": 8}')
    assert progress_sentence(read_run(folder)).startswith(sentence)


def test_groups_that_refills_left_out_are_shown_where_there_are_any(tmp_path):
    folder = write_run(tmp_path / "run")
    told = " ".join(run_summary(read_run(folder))) + " ".join(
        plot.title + plot.description for plot in plots_of(folder)
    )
    assert "left out" not in told
    write_lines(
        folder / "metrics.jsonl",
        [metrics(n, pass_rate_drawn=0.01 * n, unused_groups={"all wrong": 3} if n > 6 else {}) for n in range(1, 13)],
    )
    run = read_run(folder)
    plots = {plot.title: plot for plot in plots_of(folder)}
    assert plots["Groups left out by refills"].legend == (("all wrong", "fail"),)
    assert "with groups left out from 1 to 12" in plots["Pass rate"].description
    assert "The pass rate of all completions, including those that refills left out, rose from 3.0 % " in " ".join(
        run_summary(run)
    )


def test_trend_is_welchs_test():
    stats = pytest.importorskip("scipy.stats")
    draw_from = random.Random(0)
    values = [draw_from.gauss(0.3 + 0.001 * i, 0.1 + 0.001 * i) for i in range(80)]
    found, expected = trend(values), stats.ttest_ind(values[-8:], values[:8], equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert found.steps == 8 and trend(values[:9]) is None
    assert trend([0.0] * 10).p == 1.0 and trend([0.0] * 5 + [1.0] * 5).p == 0.0


def test_a_rise_is_claimed_only_where_it_is_one(tmp_path):
    folder = write_run(tmp_path / "run", 20)
    write_lines(folder / "heldout.jsonl", [check(0, 10), check(10, 9), check(20, 11)])
    sentences = " ".join(run_summary(read_run(folder)))
    assert "training pass rate rose from 27.2 % in the first to 57.2 % in the last 5 steps" in sentences
    assert "held-out pass rate shows no clear change: from" in sentences and "p = 1)" in sentences
    assert "1 task gained and 0 lost" in sentences
    write_lines(folder / "heldout.jsonl", [check(0, 10), check(10, 9), check(20, 1)])
    sentences = " ".join(run_summary(read_run(folder)))
    assert "held-out pass rate fell from 50.0 %" in sentences and "0 tasks gained and 9 lost" in sentences
    assert "points above the held-out rate" in sentences and "The best check is the one after step 0" in sentences


def test_findings_stand_above_the_summary_and_are_no_markup(tmp_path, monkeypatch):
    found = [
        Finding("stop", "gradient_lost", 4, 6, "the gradient <b>is not</b> finite", "lower LEARNING_RATE", "Learning"),
        Finding("info", "slower", 9, 9, HOSTILE, "wait", "Time"),
    ]
    monkeypatch.setattr(page, "diagnose", lambda folder: found)
    text = page.make_page(read_run(write_run(tmp_path / "run")), None, 10**6)[0].decode()
    shown = text[text.index('id="diagnosis"') : text.index('id="summary"')]
    assert shown.index('<li class="stop">') < shown.index('<li class="info">')
    assert "from step 4" in shown and "(shown by step 6)" in shown and "lower LEARNING_RATE" in shown
    assert "&lt;b&gt;is not&lt;/b&gt; finite" in shown and "<img" not in shown and "<script" not in shown


def test_hardest_tasks_failed_most_often_for_sure():
    visits = [
        Visit("once", 1, 0, 4),
        Visit("often", 1, 0, 4),
        Visit("often", 5, 0, 4),
        Visit("easy", 2, 4, 4),
        Visit("unjudged", 3, 0, 0),
        Visit("later", 9, 0, 4),
    ]
    assert [task.task_id for task in hardest(visits)] == ["often", "later", "once", "easy"]
    assert (hardest(visits)[0].n, hardest(visits)[0].visits) == (8, 2)


def test_improvement_is_against_the_profile_or_the_first_group():
    visits = [Visit("a", 1, 0, 4), Visit("a", 9, 2, 4), Visit("b", 3, 4, 4), Visit("c", 2, 4, 4), Visit("c", 8, 1, 4)]
    assert [(gain.task_id, gain.difference) for gain in most_improved(gains(visits, []))] == [("a", 0.5)]
    profile = [TaskProfile("a", 4, 0.25), TaskProfile("b", 4, 0.0), TaskProfile("never drawn", 4, 0.0)]
    found = most_improved(gains(visits, profile))
    assert [(gain.task_id, gain.first_step, gain.difference) for gain in found] == [("b", 0, 1.0), ("a", 0, 0.25)]


def test_a_truncated_pass_counts_as_it_was_rewarded():
    cut = LoggedCompletion("t", "c", "c", Verdict("PASS", "pass", 1, 1), 0.0, {}, 5, True, step=1, group=0)
    assert visit([cut]) == Visit("t", 1, 0, 1)


def test_constants_that_were_changed_come_first(tmp_path):
    run = read_run(write_run(tmp_path / "run", NUM_GENERATIONS=4, LEARNING_RATE=5e-6, GONE=1))
    rows = run_constants(run)
    changed = {row.name for row in rows if row.changed}
    assert changed == {"MODEL_PATH", "SEED", "MAX_STEPS", "TEMPERATURE", "GONE"}
    assert {row.name for row in rows[: len(changed)]} == changed
    assert next(row for row in rows if row.name == "SEED").default == "42"


def test_an_evaluation_of_other_models_is_none_of_this_run(tmp_path):
    folder = write_run(tmp_path / "run")
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "results.json").write_text(json.dumps(results(Path("/another/model"))))
    with pytest.raises(InputError, match="names the model"):
        find_evaluation(folder, str(place))
    (place / "results.json").write_text(json.dumps(results(Path("/before/it/moved/run"))))
    found = find_evaluation(folder, str(place))
    assert [score.model for score in found.scores] == ["sft", "rl"] and len(found.comparisons) == 1
    assert find_evaluation(folder, "") is None

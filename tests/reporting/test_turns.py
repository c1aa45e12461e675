"""Conversations of several turns in a report: what the page has of them, as data, and that other runs have nothing."""

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from helpers.run_folders import STATUSES, check, completion, metrics, write_lines, write_run
from raccoon.constants import InputError
from raccoon.records import Verdict
from raccoon.reporting.logs import read_groups, read_run
from raccoon.reporting.page import make_page
from raccoon.reporting.plots import draw
from raccoon.reporting.sentences import run_summary
from raccoon.reporting.tables import Length, by_length
from raccoon.runs.log import Rollout, RunLog, Turn, completion_records

HOSTILE = "</script><script>document.title='taken'</script><!--\u2028<img src=x onerror=alert(1)>&lt;"


PASSED = {"PASS": 2, "PARTIAL": 1, "FAIL": 0}


def turn(status: str, text: str = "x = 1", feedback: str = "", **changes) -> Turn:
    verdict = Verdict(status, STATUSES[status], PASSED[status], 2, feedback=feedback)
    return Turn(text, text, verdict, 5, False, feedback, **changes)


def rollout(*turns: Turn, truncated: bool = False) -> Rollout:
    last = turns[-1]
    return Rollout("t/0", last.completion, last.code, last.verdict, 0.9, {}, 12, truncated, turns=turns)


TALKS = [
    rollout(turn("PASS")),
    rollout(turn("FAIL", HOSTILE, HOSTILE), turn("PASS", HOSTILE)),
    rollout(turn("PARTIAL", feedback="Wrong."), turn("FAIL")),
    rollout(turn("FAIL", feedback="Wrong."), turn("FAIL")),
    rollout(turn("FAIL", feedback="Wrong."), turn("PASS"), truncated=True),
]


@pytest.fixture
def run_folder(tmp_path) -> Path:
    """A run with conversations, written by the training's own log."""
    folder = write_run(tmp_path / "run", 12)
    shares = {"turns_mean": 1.6, "repaired": 0.25, "cut_at_first": 0.1}
    steps = [metrics(n, **shares, pass_by_turn=[0.02 * n, 0.03 * n]) for n in range(1, 12)]
    write_lines(
        folder / "metrics.jsonl", [*steps, metrics(12, **shares | {"repaired": None}, pass_by_turn=[None, 0.5])]
    )
    RunLog(folder).append("completions.jsonl", completion_records(12, len(TALKS), TALKS))
    return folder


def shown(page: bytes) -> list[dict]:
    """The completions as the page's own script reads them."""
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.decode(), re.DOTALL)[1]
    return [each for group in json.loads(data) for each in group["completions"]]


def test_the_page_has_each_answer_with_its_feedback_as_data(run_folder):
    page, _ = make_page(read_run(run_folder), None, 10**6)
    completions = shown(page)
    assert [each.get("ending") for each in completions] == [None, "repaired", "broken", "", ""]
    (first,) = completions[1]["earlier"]
    assert (first["text"], first["feedback"], first["status"]) == (HOSTILE, HOSTILE, "FAIL")
    assert (completions[1]["text"], completions[1]["status"], completions[1]["tokens"]) == (HOSTILE, "PASS", 12)
    assert completions[4]["status"] == "FAIL"  # it was cut, so it was not paid for its PASS
    assert page.decode().count("<script") == 2 and "<img" not in page.decode()
    assert 'id="ending"' in page.decode() and "Pass rate by turn" in page.decode()


def test_the_earlier_answers_are_shortened_too(run_folder):
    long = rollout(turn("FAIL", "a" * 100_000, "b" * 100_000), turn("PASS"))
    (run_folder / "completions.jsonl").unlink()
    RunLog(run_folder).append("completions.jsonl", completion_records(12, 1, [long]))
    page, found = make_page(read_run(run_folder), None, 10**6)
    assert len(page) < 250_000 and found.shortened == 1
    assert "80,000 characters left out" in shown(page)[0]["earlier"][0]["feedback"]


def test_a_logged_conversation_is_what_was_logged(run_folder):
    (group,) = read_groups(read_run(run_folder))
    assert group[1].turns == tuple(
        Turn(
            one.completion,
            one.code,
            Verdict(one.verdict.status, one.verdict.reason, one.verdict.tests_passed, 2),
            5,
            False,
            one.feedback,
        )
        for one in TALKS[1].turns
    )


@pytest.mark.parametrize(
    "turns, named",
    [
        ("no", "turns is 'no'"),
        ([1], "turns[0] is not a JSON object"),
        ([{"completion": "x"}], "turns[0] has no 'code'"),
        ([{**completion_records(1, 1, TALKS)[1]["turns"][0], "verdict": {}}], "turns[0]: verdict has no 'status'"),
    ],
)
def test_a_broken_turn_is_named(tmp_path, turns, named):
    folder = write_run(tmp_path / "run", 1)
    write_lines(folder / "completions.jsonl", [completion(1, 0, turns=turns)])
    with pytest.raises(InputError, match=re.escape(f"completions.jsonl, line 1: {named}")):
        list(read_groups(read_run(folder)))


def test_the_numbers_of_turns_are_drawn_told_and_counted(run_folder):
    run = read_run(run_folder)
    plots = {plot.title: plot for drawn in draw(run).values() for plot in drawn}
    assert "after turn 1 from 2 to 22; after turn 2 from 3 to 50" in plots["Pass rate by turn"].description
    assert "repaired from 25 to 25; cut at first from 10 to 10" in plots["Repairs"].description
    (sentence,) = [each for each in run_summary(run) if "first answers" in each]
    assert "In the newest 5 steps the first answers solved 19.0 %, and up to 2 answers 32.8 %; 25.0 %" in sentence
    assert "held-out" not in sentence
    checks = [{**check(step, 9), "passed_at_first": passed} for step, passed in ((0, 4), (6, 5), (12, 8))]
    write_lines(run_folder / "heldout.jsonl", checks)
    told = " ".join(run_summary(read_run(run_folder)))
    assert "first answer, held-out tasks passed: 4 of 20 after step 0 and 8 of 20 after step 12." in told
    counts = [(len(each.turns), each.ending or each.status) for group in read_groups(run) for each in group]
    table = by_length(Counter(counts))
    assert table == [Length(1, 1, 1, 0), Length(2, 4, 1, 1)]


def test_a_run_with_one_turn_has_none_of_it(tmp_path):
    folder = write_run(tmp_path / "run", 12)
    write_lines(folder / "completions.jsonl", [completion(1, 0)])
    run = read_run(folder)
    page, _ = make_page(run, None, 10**6)
    text = page.decode().split("<script>")[0]
    assert not re.search("repaired|broken|answers</h3>|by turn", text) and run.turns == 1
    assert not {"earlier", "ending"} & set(shown(page)[0])
    assert [each for each in run_summary(run) if "answers" in each] == []


DOM = """
const made = (name) => ({name, className: "", textContent: "", children: [], dataset: {}, listeners: {}, value: "",
  append(...more) { this.children.push(...more); }, replaceChildren(...more) { this.children = more; },
  addEventListener(kind, does) { this.listeners[kind] = does; }});
const elements = {};
const filters = ["from", "to", "task", "status", "ending", "filters"];
const ids = [...filters, "data", "previous", "next", "position", "group", "browser"];
for (const id of ids) elements[id] = made(id);
elements.data.textContent = DATA;
const document = {createElement: made, addEventListener() {}, querySelectorAll: () => [],
  getElementById: (id) => (id === ABSENT ? null : elements[id])};
SCRIPT
const texts = (each) => [...(each.textContent ? [each.textContent] : []), ...each.children.flatMap(texts)];
const found = {};
for (const ending of ["", "repaired", "broken"]) {
  elements.ending.value = ending;
  elements.filters.listeners.input();
  found[ending] = [elements.position.textContent, texts(elements.group)];
}
console.log(JSON.stringify(found));
"""


def browse(groups: list[dict], absent: str = "none") -> dict:
    """What the page's script shows for each filter, in a small imitation of a browser."""
    node = shutil.which("node")
    if not node:
        pytest.skip("no Node on this machine: install nodejs to run this test")
    script = (Path(draw.__code__.co_filename).parent / "script.js").read_text()
    program = DOM.replace("DATA", json.dumps(json.dumps(groups))).replace("ABSENT", json.dumps(absent))
    done = subprocess.run([node, "-"], input=program.replace("SCRIPT", script), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_browser_shows_a_conversation_and_filters_by_its_ending(run_folder):
    page, _ = make_page(read_run(run_folder), None, 10**6)
    completions = shown(page)
    frame = {"step": 1, "task": "t", "prompt": "p", "used": True}
    groups = [{**frame, "group": place, "completions": [each]} for place, each in enumerate(completions)]
    found = browse(groups)
    assert {name: position for name, (position, _) in found.items()} == {
        "": "group 1 of 5",
        "repaired": "group 1 of 1",
        "broken": "group 1 of 1",
    }
    texts = found["repaired"][1]
    at = texts.index("Turn 1. FAIL: exception: <b>no</b>")
    assert texts[at : at + 6] == [texts[at], "0 of 2 tests", "5 tokens", HOSTILE, "Feedback", HOSTILE]
    assert texts[at + 6 :] == ["Turn 2. PASS", HOSTILE] and "12 tokens in all" in texts
    assert "1. FAIL: exception: <b>no</b> (broken)" in found["broken"][1]
    assert not [text for text in found[""][1] if text.startswith("Turn ")]  # it was solved at once
    assert browse(groups[:1], "ending")[""][0] == "group 1 of 1"  # a page without this filter

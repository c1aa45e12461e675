"""Conversations of several turns: who goes on, what is recorded when, what it depends on, what is refused before."""

import json
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

import pytest

from helpers.random_model import TEMPLATE, write_model
from raccoon.constants import InputError
from raccoon.evaluation.conversations import check_model, completed, converse, fingerprints, usable_records
from raccoon.evaluation.engines import Completion, Decoding, Slot, ignore
from raccoon.evaluation.grading import Grader, RecordFile
from raccoon.evaluation.samples import SampleFile, read_samples
from raccoon.evaluation.subjects import Asked, LanguageModel, Model, ServedModel
from raccoon.llm.client import Endpoint
from raccoon.records import Verdict
from raccoon.tasks.task import Task

TASKS = [Task(f"t/{i}", f"prompt {i}", "assert f(1) == 2", "f", visible_tests="assert f(1) == 2") for i in range(5)]
LIMITS = {task.task_id: 10.0 for task in TASKS}
GOOD, BAD, LOST = (f"```python\ndef f(x):\n    return x + {number}\n```" for number in (1, 2, 3))


class Bar:
    def update(self, number): ...

    def set_postfix_str(self, text, refresh): ...


class Sandbox:
    """Its verdicts are there at once: GOOD passes, LOST is the sandbox's fault, others fail, with feedback if asked."""

    def __init__(self):
        self.programs = []

    def submit(self, program):
        self.programs.append(program)
        status = "PASS" if "x + 1" in program.code else "INFRA" if "x + 3" in program.code else "PARTIAL"
        feedback = f"told {len(self.programs)}" if status == "PARTIAL" and program.max_feedback else ""
        verdict = Future()
        verdict.set_result(Verdict(status, status.lower(), 0, 1, 0.1, feedback=feedback))
        return verdict


class Talker(LanguageModel):
    """A model that says `script[task_id]`, a text for each turn; None: no answer. `asked_for` has its calls."""

    script: dict = {}

    def __init__(self, script, turns=2):
        super().__init__("m", "m", {"greedy": Decoding()}, Asked(turns=turns, max_feedback=300))
        self.script, self.asked_for = script, []

    def complete(self, slots, mode, ended=ignore):
        self.asked_for.append([slot.task.task_id for slot in slots])
        texts = [self.script[slot.task.task_id][len(slot.said)] for slot in slots]
        return [
            text and Completion(text, slot.task.prompt, "cut" in text) for text, slot in zip(texts, slots, strict=True)
        ]


def talk(subject, file, sandbox=None, tasks=TASKS, **options):
    """The records of one batch, and the sandbox that graded it."""
    sandbox, slots = sandbox or Sandbox(), subject.slots(tasks, "greedy")
    prints = {slot.key: "g" for slot in slots}
    complete = partial(completed, subject, stored={}, mode="greedy", ended=ignore, **options)
    with Grader(sandbox, file, LIMITS, "here", Bar()) as grader:
        converse(slots, complete, grader, prints)
    return file.load(), sandbox


@pytest.fixture
def file(tmp_path):
    return RecordFile(tmp_path / "b.jsonl")


def test_a_conversation_ends_when_it_passes_is_cut_is_lost_or_has_no_turn_left(file):
    script = {"t/0": [GOOD], "t/1": [BAD, GOOD], "t/2": [BAD, BAD, BAD], "t/3": [LOST], "t/4": [BAD + "cut"]}
    model = Talker(script, turns=3)
    records, sandbox = talk(model, file)
    assert model.asked_for == [[f"t/{i}" for i in range(5)], ["t/1", "t/2"], ["t/2"]], "what has ended leaves the batch"
    assert {task_id: len(record.turns) for (task_id, _), record in records.items()} == {
        task_id: len(texts) for task_id, texts in script.items()
    }
    assert [record.verdict.status for _, record in sorted(records.items())] == [
        *("PASS", "PASS", "PARTIAL", "INFRA", "PARTIAL")
    ]
    limits = {(program.task_id, program.max_feedback) for program in sandbox.programs}
    assert limits == {*((f"t/{i}", 300) for i in range(4)), ("t/4", 0), ("t/2", 0)}, "the last ones are told nothing"


def test_a_line_has_every_answer_and_is_read_again(file):
    records, _ = talk(Talker({"t/0": [BAD, BAD]}), file, tasks=TASKS[:1])
    (row,) = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert [(turn["completion"], turn["feedback"]) for turn in row["turns"]] == [(BAD, "told 1"), (BAD, "")]
    assert set(row["turns"][0]) == {"completion", "code", "verdict", "truncated", "feedback"}
    assert row["completion"] == BAD and row["prompt"] == "prompt 0" and "feedback" not in row["turns"][0]["verdict"]
    (record,) = records.values()
    assert record.to_row() == row and [turn.verdict.feedback for turn in record.turns] == ["told 1", ""]


def test_with_one_turn_nothing_is_told_and_lines_are_as_they_were(file):
    _, sandbox = talk(Talker({"t/0": [BAD]}, turns=1), file, tasks=TASKS[:1])
    (row,) = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert "turns" not in row and [program.max_feedback for program in sandbox.programs] == [0]


def test_what_has_no_answer_in_a_later_turn_is_not_recorded_and_the_others_are(file):
    records, _ = talk(Talker({"t/0": [BAD, None], "t/1": [BAD, GOOD], "t/2": [GOOD]}), file, tasks=TASKS[:3])
    assert {task_id for task_id, _ in records} == {"t/1", "t/2"}


def test_a_server_that_is_gone_is_asked_for_no_other_turn(file):
    class Server(Talker):
        def complete(self, slots, mode, ended=ignore):
            self.lost = True
            return super().complete(slots, mode)

    model = Server({"t/0": [BAD, GOOD], "t/1": [GOOD], "t/2": [None]})
    records, _ = talk(model, file, tasks=TASKS[:3])
    assert len(model.asked_for) == 1 and [task_id for task_id, _ in records] == ["t/1"]


def test_what_has_ended_is_on_file_when_the_next_turn_breaks_down(file):
    model = Talker({"t/0": [GOOD], "t/1": [BAD]})  # it has no second answer
    with pytest.raises(IndexError):
        talk(model, file, tasks=TASKS[:2])
    assert [task_id for task_id, _ in file.load()] == ["t/0"]


def test_answers_of_a_server_are_kept_one_by_one_while_others_are_awaited(file):
    slots = Talker({}).slots(TASKS[:3], "greedy")
    prints = {slot.key: "g" for slot in slots}
    with pytest.raises(KeyboardInterrupt), Grader(Sandbox(), file, LIMITS, "here", Bar()) as grader:
        grader.begin(slots[0], Completion(BAD, "p"), keep=prints)
        grader.begin(slots[1], Completion(GOOD, "p"), keep=prints)
        grader.begin(slots[2], Completion(BAD, "p", truncated=True), keep=prints)
        raise KeyboardInterrupt
    assert {task_id for task_id, _ in file.load()} == {"t/1", "t/2"}, "the first one would have gone on"


def test_an_answer_that_was_kept_early_is_recorded_once(file):
    class Server(Talker):
        def complete(self, slots, mode, ended=ignore):
            made = super().complete(slots, mode)
            for pair in zip(slots, made, strict=True):
                ended(*pair)
            return made

    model = Server({"t/0": [GOOD], "t/1": [BAD, GOOD], "t/2": [BAD, BAD]})
    slots = model.slots(TASKS[:3], "greedy")
    prints = {slot.key: "g" for slot in slots}
    with Grader(Sandbox(), file, LIMITS, "here", Bar()) as grader:
        ended = partial(grader.begin, keep=prints)
        converse(slots, partial(completed, model, stored={}, mode="greedy", ended=ended), grader, prints)
    assert sorted(json.loads(line)["task_id"] for line in file.path.read_text().splitlines()) == ["t/0", "t/1", "t/2"]
    assert [len(record.turns) for _, record in sorted(file.load().items())] == [1, 2, 2]


def test_a_conversation_that_the_sandbox_ended_starts_again_and_others_are_reused(file):
    model = Talker({"t/0": [LOST], "t/1": [BAD, GOOD]})
    talk(model, file, tasks=TASKS[:2])
    assert list(usable_records(model, file, {("t/0", 0): "g", ("t/1", 0): "g"})) == [("t/1", 0)]
    with pytest.raises(InputError, match="of another grader or other turns"):
        usable_records(model, file, {("t/0", 0): "g", ("t/1", 0): "h"})


def test_a_fingerprint_follows_what_the_feedback_depends_on_and_one_turn_adds_nothing():
    def found(turns=2, feedback=300, task=TASKS[0], grading="g"):
        subject = ServedModel(
            "m", "m", {"greedy": Decoding()}, Asked(1, turns, feedback), endpoint=Endpoint("http://h", "m")
        )
        (slot,) = subject.slots([task], "greedy")
        return fingerprints(subject, [slot], "greedy", {"t/0": grading})["t/0", 0], subject.fingerprint(slot, "greedy")

    shown = replace(TASKS[0], visible_tests="assert f(2) == 3")
    several = [found(), found(3), found(feedback=301), found(task=shown), found(grading="h")]
    assert len({print_ for print_, _ in several}) == 5 and len({plain for _, plain in several}) == 1
    assert found(1, 0)[0] == found(1, 0)[1] == found(1, 0, shown, "h")[0] == several[0][1]


def write(tmp_path, *rows):
    path = tmp_path / "talks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_saved_conversations_are_graded_at_every_turn(tmp_path, file):
    """Texts, and a record of the evaluation; a right answer ends none of them, and nothing is told."""
    path = write(tmp_path, {"task_id": "t/0", "turns": [GOOD, BAD]}, {"task_id": "t/1", "completion": BAD})
    samples = read_samples(path, {"t/0", "t/1"})
    records, sandbox = talk(samples, file)
    assert [[turn.verdict.status for turn in record.turns] for _, record in sorted(records.items())] == [
        ["PASS", "PARTIAL"],
        [],
    ]
    assert samples.turns == 2 and {program.max_feedback for program in sandbox.programs} == {0}
    again = read_samples(write(tmp_path, *(record.to_row() for record in records.values())), {"t/0", "t/1"})
    assert again.rows == samples.rows
    assert samples.fingerprint(Slot(TASKS[0]), "greedy") != SampleFile(
        "s", "p", {"t/0": [(Completion(GOOD, ""),)]}
    ).fingerprint(Slot(TASKS[0]), "greedy")


@pytest.mark.parametrize("turns", [[], "text", [GOOD, 3], [{"code": "x"}], None])
def test_turns_that_are_no_answers_are_named(tmp_path, turns):
    with pytest.raises(InputError, match="talks.jsonl, line 1: turns is no list of answers"):
        read_samples(write(tmp_path, {"task_id": "t/0", "turns": turns, "completion": GOOD}), {"t/0"})


REFUSING = "{% if messages | length > 2 %}{{ raise_exception('one answer alone') }}{% endif %}" + TEMPLATE
FORGETFUL = TEMPLATE.replace(
    "message.content", "message.content.split('</think>')[-1] if not loop.last else message.content"
)


def checked(folder, turns=2, max_feedback=300, **options):
    model = Model("m", str(write_model(folder, **options)), {}, Asked(1, turns, max_feedback))
    return check_model(model, Decoding(max_tokens=20), TASKS)


def test_a_model_that_can_talk_is_accepted_and_a_template_that_rewrites_answers_is_said(tmp_path):
    assert checked(tmp_path / "a", positions=400) is False
    assert checked(tmp_path / "b", positions=400, template=FORGETFUL) is True


@pytest.mark.parametrize(
    "options, words",
    [
        ({"template": None}, "m: its tokenizer has no chat template"),
        ({"template": REFUSING}, "m: the chat template takes no second message .*one answer alone"),
        ({"positions": 320}, r"m reads 320 tokens, and conversations on 5 of 5 tasks .*--max-completion-length"),
        ({"turns": 3}, "m reads 400 tokens"),
    ],
)
def test_a_model_that_cannot_talk_is_refused_by_name(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        checked(tmp_path / "m", **{"positions": 400, **options})

"""Conversations: who gets feedback and a further turn, what is asked of a server, and what is never done twice."""

from dataclasses import asdict, replace

import pytest

from raccoon.llm.client import Request
from raccoon.records import Verdict
from raccoon.store import Ledger, digest
from raccoon.synthetic.conversations import (
    NO_FEEDBACK,
    NO_MUTANT,
    StoredFeedback,
    Teller,
    continued,
    mutant_conversations,
)
from raccoon.synthetic.server_tasks import MODES, AnswerError, StoredAnswer, make_request, read_candidate
from raccoon.synthetic.verification import NOT_JUDGED, Seen
from raccoon.tasks.task import Task, task_record

GOLD = "def f(xs):\n    total = 0\n    for x in xs:\n        if x > 2:\n            total += x\n    return total\n"
TASK = Task(
    "t", "Sum the items above 2.", "assert f([3]) == 3\n", "f", solution=GOLD, visible_tests="assert f([3]) == 3"
)
REPAIRS = replace(MODES["trajectories"], repairs=True)


class Told:
    """In the place of the sandbox: what it says of code, by a function; it counts the programs that ran."""

    def __init__(self, says):
        self.says, self.ran = says, []

    def run(self, programs):
        programs = [*programs]
        self.ran += programs
        return [self.verdict(program) for program in programs]

    def verdict(self, program):
        said = self.says(program.code)
        if said is None:
            return Verdict("INFRA", "infra: x", 0, 0)
        return Verdict("FAIL" if said else "PASS", "x", 0, 1, feedback=said[: program.max_feedback])


@pytest.fixture
def teller(tmp_path):
    def make(says, name="told", limits=(1.0, 1024)):
        ledger = Ledger(tmp_path / f"{name}.jsonl", StoredFeedback)
        held.append(ledger.__enter__())
        return Teller(Told(says), ledger, 1000, limits, batch=2)

    held = []
    yield make
    for ledger in held:
        ledger.__exit__()


def wrong_or_right(code):
    return "" if code.strip() == GOLD.strip() else f"Wrong: {code.strip()}"


def test_feedback_is_asked_for_with_the_visible_tests_and_kept(teller, tmp_path):
    first = teller(wrong_or_right)
    codes = [(TASK, code) for code in ("a", GOLD, "b", "a")]
    assert first.tell(codes) == ["Wrong: a", "", "Wrong: b", "Wrong: a"]
    assert [program.code for program in first.sandbox.ran] == ["a", GOLD, "b"]
    assert {(each.visible_tests, each.max_feedback) for each in first.sandbox.ran} == {(TASK.visible_tests, 1000)}
    first.ledger.__exit__()
    again = teller(lambda code: "never asked")
    assert again.tell(codes) == ["Wrong: a", "", "Wrong: b", "Wrong: a"] and again.sandbox.ran == []
    assert replace(again, limits=(2.0, 1024)).tell(codes[:1]) == ["never asked"]  # a time limit can decide it


def test_what_the_sandbox_could_not_run_is_not_kept(teller):
    broken = teller(lambda code: None)
    assert broken.tell([(TASK, "a")]) == [None] and broken.ledger.records == {}


def scripted(server):
    """`ask` for continued(): answers by a function of the conversation; no text: why there is no answer."""

    def ask(requests):
        found, faults = {}, {}
        for number, asked in requests.items():
            said = [message["content"] for message in asked.request.messages]
            stored = StoredAnswer(server(said), "stop", 1, 1, "2026-01-01")
            try:
                found[number] = read_candidate(stored, asked, REPAIRS, "m")
            except AnswerError as error:
                faults[number] = str(error)
        return found, faults

    return ask


def start(count):
    return {number: make_request(REPAIRS, [TASK], number, 0, Request((), 0.0, 100)) for number in range(count)}


def block(code):
    return f"So:\n```python\n{code}```"


def test_a_wrong_answer_is_followed_by_its_feedback_and_a_right_one_by_nothing(teller):
    answers = iter([block("x = 1\n"), block(GOLD), "I cannot.", block("y = 2\n"), block(GOLD), block("z = 3\n")])
    ask = scripted(lambda said: next(answers))
    asked = start(3)
    first, _ = ask(asked)
    told = teller(wrong_or_right)
    found, faults = continued(asked, first, 3, told, ask)
    assert faults == {} and {program.solution for program in told.sandbox.ran} == {GOLD}
    repaired, at_once, lost = (found[number] for number in range(3))
    # Number 0 gets feedback, and its second answer more; 2 held no code, and its second answer passes
    assert [message["content"] for message in at_once.conversation] == [TASK.prompt, block(GOLD)]
    assert [message["role"] for message in repaired.conversation] == ["user", "assistant"] * 3
    assert [message["content"] for message in repaired.conversation] == [
        TASK.prompt,
        block("x = 1\n"),
        "Wrong: x = 1",
        block("y = 2\n"),
        "Wrong: y = 2",
        block("z = 3\n"),
    ]
    assert lost.earlier == ["I cannot."] and lost.task.solution.strip() == GOLD.strip()
    assert lost.conversation[2] == {"role": "user", "content": "Wrong: "}
    assert len({candidate.distinct.task_id for candidate in found.values()}) == 3


def test_two_turns_are_the_most_and_without_feedback_nothing_is_asked(teller):
    said = []
    ask = scripted(lambda conversation: said.append(conversation) or block("x = 1\n"))
    asked = start(1)
    first, _ = ask(asked)
    found, _ = continued(asked, first, 2, teller(wrong_or_right), ask)
    assert len(said) == 2 and len(found[0].earlier) == 1
    found, _ = continued(asked, first, 2, teller(lambda code: "", "right"), ask)
    assert len(said) == 2 and found == first


def test_conversations_that_break_off_are_counted(teller):
    asked = start(3)
    first, _ = scripted(lambda said: block(f"x = {len(said)}\n"))(asked)
    first[1] = replace(first[1], task=replace(first[1].task, solution="broken"))
    first[2] = replace(first[2], task=replace(first[2].task, solution=GOLD))
    says = teller(lambda code: None if code == "broken" else wrong_or_right(code))
    found, faults = continued(asked, first, 2, says, scripted(lambda said: ""))
    assert faults == {0: "the answer is empty", 1: NOT_JUDGED} and [*found] == [2]


def test_equal_repairs_are_one_and_repairs_of_other_mistakes_are_two(teller):
    told = teller(wrong_or_right)

    def talk(mistake):
        ask = scripted(lambda said: block(GOLD if len(said) > 1 else mistake))
        asked = start(1)
        first, _ = ask(asked)
        return continued(asked, first, 2, told, ask)[0][0]

    one, other, seen = talk("x = 1\n"), talk("y = 2\n"), Seen(None)
    at_once = replace(one, said=one.said[:1])
    assert [seen.add(each.distinct) for each in (one, other, at_once)] == ["", "", ""]
    assert [seen.add(each.distinct) for each in (one, other)] == ["duplicate: the same text"] * 2
    assert seen.add(replace(at_once.task, prompt="Other words.")) == "duplicate: the same solution"


def test_mutants_are_repaired_by_the_solution(teller):
    one, two = TASK, replace(TASK, task_id="u", solution="def f(xs):\n    return sum(xs) + 0\n")
    told = teller(lambda code: "" if "1" in code else f"Wrong: {code}")
    found, drops = mutant_conversations([one, two], 12, "2026-01-01", told)
    assert len(found) + drops.total() == 12 and drops[NO_MUTANT] and drops[NO_FEEDBACK]
    for candidate in found:
        parent = one if candidate.task.task_id == "t/mutant" else two
        assert candidate.task == replace(parent, task_id=candidate.task.task_id)  # all are verified as one
        asked, wrong, feedback, right = [message["content"] for message in candidate.conversation]
        assert (asked, right) == (TASK.prompt, f"```python\n{parent.solution.strip()}\n```")
        code = wrong.removeprefix("```python\n").removesuffix("\n```")
        assert feedback == f"Wrong: {code}" and code != parent.solution.strip()
    assert len({candidate.distinct.task_id for candidate in found}) == len(found)
    assert mutant_conversations([one, two], 12, "2026-01-01", told) == (found, drops)


def test_a_task_without_visible_tests_has_the_key_that_it_had():
    plain = replace(TASK, visible_tests="")
    before = {name: text for name, text in asdict(plain).items() if name != "visible_tests"}
    assert digest(task_record(plain)) == digest(before) != digest(task_record(TASK))

"""The reward function for other people's trainers: what TRL hands it, in every form, and what it hands back."""

import dataclasses
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from helpers.reward_doubles import TABLE, FixedSandbox, Tokenizer, ids
from raccoon.constants import InputError
from raccoon.records import Verdict
from raccoon.rewards import code_reward as module
from raccoon.rewards.code_reward import PASS_ONLY, code_reward
from raccoon.rewards.execution import Chat, ExecutionReward, RewardTable
from raccoon.tasks.task import Task

RIGHT, WRONG = "def f(x):\n    return x + 1\n", "def f(x):\n    return x\n"
TEST = "assert f(1) == 2\nassert f(5) == 6\n"
CASES = '{"inputs": ["1 2", "3 4"], "outputs": ["3", "7"]}'


def said(*contents: object) -> list[dict]:
    return [{"role": "assistant", "content": content} for content in contents]


def verdicts(*statuses: str) -> FixedSandbox:
    return FixedSandbox([Verdict(status, f"{status.lower()}: why", 0, 1) for status in statuses])


@pytest.fixture(scope="module", autouse=True)
def closed_after():
    yield
    if module.sandbox_of.cache_info().currsize:
        module.own_sandbox().close()
        module.sandbox_of.cache_clear()


def test_the_code_of_each_form_of_completion_is_run():
    """Plain texts, messages, and messages whose content is a list of blocks; a tool's message is not the answer."""
    blocks = [{"type": "text", "text": f"```python\n{RIGHT}"}, {"type": "text", "text": "```"}]
    tool = [*said(RIGHT), {"role": "tool", "content": WRONG}]
    read = [{"role": "assistant", "content": "", "tool_calls": [{}]}, {"role": "tool", "content": RIGHT}]
    completions = [
        RIGHT,
        f"So:\n```python\n{WRONG}```",
        said(RIGHT),
        said(WRONG, RIGHT),
        said(blocks),
        tool,
        said(None),
        [],
        read,
    ]
    rewards = code_reward(completions, test=[TEST] * 9, entry_point=["f"] * 9)
    assert rewards == [1, 0, 1, 1, 1, 1, 0, 0, 0]


def test_every_column_of_a_task_counts():
    half = "def f(x):\n    return half(x)\n"  # the context defines it
    stub = "Complete:\n```python\ndef g(x):\n    '''x + 1'''\n```"
    columns = {
        "test": [TEST, CASES, "assert g(1) == 2", None],
        "entry_point": ["f", None, "g", None],
        "context": ["def half(x):\n    return x + 1\n", None, None, None],
        "kind": [None, "program", None, None],
    }
    chat = [{"role": "user", "content": "Hello."}, *said("Yes?"), {"role": "user", "content": stub}]
    prompts = ["", "", [*chat, *said(None), {"role": "tool", "content": "x"}], ""]  # TRL adds the calls of tools
    completions = [half, "print(sum(map(int, input().split())))", "    return x + 1", "4"]
    assert code_reward(completions, prompts=prompts, **columns) == [1, 1, 1, None]  # the last is no task of code


def test_a_batch_is_one_run_and_equal_code_runs_once():
    box = verdicts("PASS", "FAIL")
    assert code_reward([RIGHT, RIGHT, WRONG, RIGHT], test=[TEST] * 4, sandbox=box) == [1, 1, 0, 1]
    assert [program.code for program in box.programs] == [RIGHT, WRONG]


def test_our_own_fault_has_no_reward_and_is_logged(caplog):
    columns, metrics = {}, {}
    box = FixedSandbox([Verdict.of("pass"), Verdict.of("infra: a sandbox process was lost (EOF)")])
    given = {"log_extra": columns.__setitem__, "log_metric": metrics.__setitem__, "trainer_state": None}
    assert code_reward([RIGHT, WRONG, "x"], test=[TEST, TEST, None], sandbox=box, **given) == [1, None, None]
    assert columns["verdict"] == ["PASS", "INFRA", None] and columns["reason"][1].startswith("infra: ")
    assert metrics == {"code/pass": 0.5, "code/infra": 0.5}
    assert "1 of 2 not judged: a sandbox process was lost (1)" in caplog.text


def test_a_cut_completion_fails_where_the_end_tokens_are_known():
    ended = {"completion_ids": [[7, 2], [7, 9]], "test": [TEST] * 2}
    columns = {}
    for end_ids, expected in (((), [1, 1]), ((2, 3), [1, 0])):
        reward = partial(code_reward, sandbox=verdicts("PASS"), end_ids=end_ids)
        assert reward([RIGHT, RIGHT], log_extra=columns.__setitem__, **ended) == expected
    assert columns["verdict"] == ["PASS", "FAIL"]


def test_it_is_the_trainers_own_reward_under_the_same_table():
    table = RewardTable(**TABLE)
    task = Task("", "Write f.", TEST, "f")
    texts = [RIGHT, WRONG, "", f"```python\n{WRONG}```", 'def f(x: int) -> int:\n    """Doc."""\n    return x + 1\n']
    own = ExecutionReward(table, module.own_sandbox(), Chat(Tokenizer(), [0]))
    graded = own.score([ids(text) for text in texts], task=[vars(task)] * len(texts))
    column = {"test": [task.test] * len(texts), "entry_point": ["f"] * len(texts)}
    assert code_reward(texts, table=table, **column) == graded
    assert len(set(graded)) == 4  # the shipped table tells them apart; PASS_ONLY knows two rewards
    assert set(code_reward(texts, **column)) == {0, 1}
    assert dataclasses.replace(PASS_ONLY, reward_fail=-1.0).reward_fail == -1


def test_code_that_shares_a_process_with_its_test_is_not_paid():
    test = "import sys\nassert f(1) == 2\nassert sys.modules['__main__'] is not None\n"
    shared = FixedSandbox([Verdict("PASS", "pass", 1, 1, isolation="shared")])
    assert code_reward([RIGHT], test=[test], sandbox=shared) == [0]
    table = dataclasses.replace(PASS_ONLY, allow_shared_tests=True)
    assert code_reward([RIGHT], test=[test], sandbox=shared, table=table) == [1]


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"test": TEST}, "test is one str for 2 completions"),
        ({"test": [TEST]}, "test is 1 values for 2"),
        ({"test": [TEST, "  "]}, "test of row 1 is empty"),
        ({"test": [TEST, [TEST]]}, "test of row 1 is .*give a text"),
        ({"test": [TEST] * 2, "entry_point": [None, 3]}, "entry_point of row 1 is 3"),
        ({"test": (text for text in [TEST] * 2)}, "test is one generator for 2"),
        ({"test": [TEST] * 2, "prompts": [""]}, "prompts is 1 values for 2"),
        ({"test": [TEST] * 2, "completion_ids": [[1]]}, "completion_ids is 1 values for 2"),
        ({"test": [TEST] * 2, "kind": ["stdin", None]}, "kind of row 0 is 'stdin'; choose from function, program"),
    ],
)
def test_columns_that_do_not_fit_are_named_before_anything_runs(columns, named):
    with pytest.raises(InputError, match=named):
        code_reward([RIGHT, WRONG], sandbox=None, **columns)


@pytest.mark.parametrize("completion", [3, ["x"], [["x"]], said(RIGHT)[0], said(3), said(["x"])])
def test_a_completion_of_another_form_is_named(completion):
    with pytest.raises(InputError, match="row 1 has no assistant's message"):
        code_reward([RIGHT, completion], test=[TEST] * 2, sandbox=verdicts("PASS", "PASS"))


def test_threads_that_call_at_once_share_one_sandbox_and_a_fork_has_its_own(monkeypatch):
    opened = []

    class Opened(FixedSandbox):
        def __init__(self):
            opened.append(os.getpid())
            time.sleep(0.05)  # so that without the lock others open theirs
            super().__init__([Verdict.of("pass")] * 4)

    monkeypatch.setattr(module, "Sandbox", Opened)
    monkeypatch.setattr(module, "sandbox_of", module.functools.cache(module.sandbox_of.__wrapped__))
    monkeypatch.setattr(module.atexit, "register", lambda close: None)
    with ThreadPoolExecutor(4) as threads:
        boxes = {*threads.map(lambda _: module.own_sandbox(), range(4))}
    assert len(boxes) == len(opened) == 1
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert module.own_sandbox() not in boxes


def test_nothing_to_score_opens_no_sandbox(monkeypatch):
    monkeypatch.setattr(module, "own_sandbox", lambda: pytest.fail("opened"))
    assert code_reward([], test=[]) == [] and code_reward(["x"], test=[None]) == [None]

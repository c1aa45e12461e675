"""A reward function with TRL's signature, for training scripts of one's own: what a completion's code passes.

    sys.path.insert(0, "scripts")
    from raccoon.rewards.code_reward import code_reward

    trainer = GRPOTrainer(model, reward_funcs=code_reward, train_dataset=dataset, args=...)

The data set has the columns `prompt` and `test`, and if needed those that code_reward() names; tasks/task.py says what
they hold. train_rl_poc.py grades with the same function, graded(), under its own table of rewards.
"""

import atexit
import functools
import logging
import os
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from raccoon.constants import InputError
from raccoon.llm.llm_extraction import RegexExtractor
from raccoon.records import infra_cause, named_counts
from raccoon.rewards.execution import Answer, RewardTable, graded
from raccoon.runs.log import Rollout
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import KINDS, Task

OPENING = threading.Lock()
# 1 for a PASS, else 0. For other rewards use dataclasses.replace(PASS_ONLY, reward_partial=0.2, reward_fail=-0.5, ...)
PASS_ONLY = RewardTable(
    reward_pass=1.0,
    reward_partial=0.0,
    reward_fail=0.0,
    partial_credit="flat",
    quality_bonus=0.0,
    bonus_only_with_pass=True,
    reward_min=-1.0,
    reward_max=1.5,
    max_line=120,
    max_response=3000,
    pay_constant_answers=True,
    allow_shared_tests=False,
)


def code_reward(
    completions: Sequence[Any],
    test: Sequence[str | None],
    entry_point: Sequence[str | None] | None = None,
    context: Sequence[str | None] | None = None,
    solution: Sequence[str | None] | None = None,
    kind: Sequence[str | None] | None = None,
    *,
    table: RewardTable = PASS_ONLY,
    sandbox: Sandbox | None = None,
    end_ids: Sequence[int] = (),
    **others: Any,
) -> list[float | None]:
    """TRL's reward function: the reward of the code in each completion, by its verdict on the task's test.

    completions: texts, or lists of messages, of which the assistant's last one with a text counts; a tool's never does.
    test, entry_point, context, solution, kind: columns of the data set, as in a task file; only `test` is required.
    others: what TRL adds. `prompts` (of messages, the user's last one) help to find code that continues a stub.
        `log_extra` gets the columns `verdict` and `reason`, `log_metric` the shares code/pass and code/infra.
    Returns None for a failure of the sandbox itself (the log says why), and for a row whose test is None: it is of
    another kind of task. Raises InputError for columns and completions that do not fit.

    functools.partial sets the rest: another `table`; `sandbox`, also a RemoteSandbox (default: one for this process);
    `end_ids`, the tokenizer's end tokens. With them, a completion that was cut fails, even if its code passes.
    """
    size = len(completions)
    columns = {"test": test, "entry_point": entry_point, "context": context, "solution": solution, "kind": kind}
    texts = {name: checked_column(name, values, size) for name, values in columns.items()}
    prompts, ids = others.get("prompts") or [""] * size, others.get("completion_ids") or [[]] * size
    check_length("prompts", prompts, size)
    check_length("completion_ids", ids, size)
    places = [place for place, text in enumerate(texts["test"]) if text is not None]
    tasks, answers = [], []
    for place in places:
        fields: dict[str, Any] = {name: values[place] for name, values in texts.items() if values[place] is not None}
        tasks.append(Task("", message_text(prompts[place], "user", place), **fields))
        cut = bool(end_ids and ids[place] and ids[place][-1] not in end_ids)
        answers.append(Answer(message_text(completions[place], "assistant", place), len(ids[place]), cut))
    rollouts = graded(tasks, answers, table, sandbox or own_sandbox(), RegexExtractor()) if tasks else []
    found: list[Rollout | None] = [None] * size
    for place, rollout in zip(places, rollouts, strict=True):
        found[place] = rollout
    log(found, others)
    return [rollout.reward if rollout else None for rollout in found]


def own_sandbox() -> Sandbox:
    """The sandbox of this process. TRL hands none to a reward function, and a new one for each call would be slow."""
    with OPENING:  # threads that call at once share it
        return sandbox_of(os.getpid())


@functools.cache
def sandbox_of(process: int) -> Sandbox:
    """A sandbox for a process. A fork of it needs another one: a fork has no threads."""
    box = Sandbox()
    atexit.register(lambda: box.close() if os.getpid() == process else None)
    return box


def check_length(name: str, values: Any, size: int) -> None:
    """Raises InputError if a column does not have so many values."""
    sized = hasattr(values, "__len__") and not isinstance(values, str)
    if not sized or len(values) != size:
        got = f"{len(values)} values" if sized else f"one {type(values).__name__}"
        raise InputError(f"code_reward: {name} is {got} for {size} completions; give a list with one for each")


def checked_column(name: str, values: Sequence[Any] | None, size: int) -> list[str | None]:
    """A column with a text or None for each completion. Raises InputError if it is not one."""
    if values is None:
        return [None] * size
    check_length(name, values, size)
    for place, value in enumerate(values):
        fault = ""
        if value is not None and not isinstance(value, str):
            fault = f"{value!r:.40}; give a text"
        elif name == "test" and value is not None and not value.strip():
            fault = "empty; give a program that raises when the code is wrong"
        elif name == "kind" and value not in (None, *KINDS):
            fault = f"{value!r:.40}; choose from {', '.join(KINDS)}"
        if fault:
            raise InputError(f"code_reward: {name} of row {place} is {fault}")
    return list(values)


def message_text(value: Any, role: str, row: int) -> str:
    """A text itself; of messages, the last content that a role has said. Raises InputError if it is neither."""
    if isinstance(value, str):
        return value
    try:
        contents = [message["content"] for message in value or () if message.get("role") == role]
        content = [content for content in contents if content][-1:] or [""]
        # Blocks, as processors of images take them
        return content[0] if isinstance(content[0], str) else "".join(part.get("text") or "" for part in content[0])
    except (AttributeError, KeyError, TypeError, ValueError):
        fault = f"no {role}'s message, but {value!r:.60}"
    raise InputError(f"code_reward: row {row} has {fault}; give a text, or a list of messages")


def log(rollouts: Sequence[Rollout | None], others: dict[str, Any]) -> None:
    """Hands the verdicts to TRL's logs, where it gives them, and names the causes of INFRA."""
    judged = [rollout for rollout in rollouts if rollout]
    if add_column := others.get("log_extra"):
        add_column("verdict", [each.status if each else None for each in rollouts])
        add_column("reason", [each and ("truncated" if each.truncated else each.verdict.reason) for each in rollouts])
    lost = Counter(infra_cause(each.verdict.reason, each.task_id) for each in judged if each.status == "INFRA")
    if judged and (add_metric := others.get("log_metric")):
        add_metric("code/pass", sum(each.status == "PASS" for each in judged) / len(judged))
        add_metric("code/infra", lost.total() / len(judged))
    if lost:
        counts = named_counts(lost)
        logging.getLogger(__name__).warning(f"code_reward: {lost.total()} of {len(judged)} not judged: {counts}")

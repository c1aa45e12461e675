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

    completions: texts, or lists of messages, of which the assistant's last one counts.
    test, entry_point, context, solution, kind: columns of the data set, as in a task file; only `test` is required.
    others: what TRL adds. `prompts` help to find code that continues a stub. `log_extra` gets the columns `verdict` and
        `reason`, `log_metric` the shares code/pass and code/infra.
    Returns None for a failure of the sandbox itself (the log says why), and for a row whose test is None: it is of
    another kind of task. Raises InputError for columns that do not fit.

    functools.partial sets the rest: another `table`; `sandbox`, also a RemoteSandbox (default: one for this process);
    `end_ids`, the tokenizer's end tokens. With them, a completion that was cut fails, even if its code passes.
    """
    size = len(completions)
    columns = {"test": test, "entry_point": entry_point, "context": context, "solution": solution, "kind": kind}
    texts = {name: checked_column(name, values, size) for name, values in columns.items()}
    prompts = others.get("prompts") or [""] * size
    ids = others.get("completion_ids") or [[]] * size
    places = [place for place, text in enumerate(texts["test"]) if text is not None]
    tasks, answers = [], []
    for place in places:
        fields: dict[str, Any] = {name: values[place] for name, values in texts.items() if values[place] is not None}
        tasks.append(Task("", message_text(prompts[place]), **fields))
        cut = bool(end_ids and ids[place] and ids[place][-1] not in end_ids)
        answers.append(Answer(message_text(completions[place]), len(ids[place]), cut))
    rollouts = graded(tasks, answers, table, sandbox or own_sandbox(), RegexExtractor()) if tasks else []
    found: list[Rollout | None] = [None] * size
    for place, rollout in zip(places, rollouts, strict=True):
        found[place] = rollout
    log(found, others)
    return [rollout.reward if rollout else None for rollout in found]


@functools.cache
def own_sandbox() -> Sandbox:
    """The sandbox of this process. TRL hands none to a reward function, and a new one for each call would be slow."""
    box = Sandbox()
    atexit.register(box.close)
    return box


def checked_column(name: str, values: Sequence[Any] | None, size: int) -> list[str | None]:
    """A column with a text or None for each completion. Raises InputError if it is not one."""
    if values is None:
        return [None] * size
    if isinstance(values, str) or len(values) != size:
        got = "one text" if isinstance(values, str) else f"{len(values)} values"
        raise InputError(f"code_reward: {name} is {got} for {size} completions; give a list with one for each")
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


def message_text(value: Any) -> str:
    """A text itself; of messages the last one's content: the assistant's, where there is one."""
    if isinstance(value, str):
        return value
    messages = [message for message in value or () if message.get("content")]
    own = [message for message in messages if message.get("role") == "assistant"]
    content = (own or messages or [{"content": ""}])[-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content)  # blocks, as processors of images take them


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

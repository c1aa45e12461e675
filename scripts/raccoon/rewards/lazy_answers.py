"""What answers that solve nothing would earn: the rewards that a policy may drift to instead of solving tasks."""

import random
from collections.abc import Sequence

from raccoon.records import Program, Verdict, accepted
from raccoon.rewards.constant_answers import constant_passes, is_constant_answer
from raccoon.rewards.execution import RewardTable
from raccoon.sandbox.pool import Sandbox
from raccoon.statistics import mean
from raccoon.tasks.task import Task, stub_program

TASKS = 50  # at most so many are tried, always the same ones
CONSTANTS = ("True", "False", "0", "1", "''", "[]")


def lazy_rewards(tasks: Sequence[Task], table: RewardTable, sandbox: Sandbox) -> dict[str, float]:
    """The mean reward for correctness of each lazy answer; "a constant" is the best of CONSTANTS in each task."""
    tried = random.Random(0).sample(list(tasks), min(TASKS, len(tasks)))
    codes = [["", stub_program(task), *(stub_program(task, value) for value in CONSTANTS)] for task in tried]
    programs = [Program.of(task, code) for task, group in zip(tried, codes, strict=True) for code in group]
    verdicts = iter(sandbox.run(programs))
    earned = [
        [reward(task, code, next(verdicts), table) for code in group] for task, group in zip(tried, codes, strict=True)
    ]
    best = [max(rewards[2:]) for rewards in earned]
    return {
        "no code": mean([rewards[0] for rewards in earned]),
        "a stub": mean([rewards[1] for rewards in earned]),
        "a constant": mean(best),
    }


def reward(task: Task, code: str, verdict: Verdict, table: RewardTable) -> float:
    """The reward for correctness; that of a FAIL for INFRA."""
    judged = accepted(verdict, table.allow_shared_tests)
    constant = is_constant_answer(code, task.entry_point)
    parts = table.parts(judged, code, code, False, constant, constant_passes(task.test, task.entry_point))
    return parts.correctness if parts else table.reward_fail


def lazy_line(tasks: Sequence[Task], profile: Sequence[dict], table: RewardTable, sandbox: Sandbox) -> str:
    """The lazy rewards beside the policy's own in the profile; a warning if one of them is higher."""
    rewards = lazy_rewards(tasks, table, sandbox)
    own = mean([score for record in profile for score in record["correctness"]])
    named = ", ".join(f"{name} {value:+.2f}" for name, value in rewards.items())
    line = f"profile  reward for correctness: the model's {own:+.2f}; of answers that solve nothing: {named}"
    best = max(rewards, key=rewards.__getitem__)
    if rewards[best] <= own:
        return line
    return (
        f"{line}\nwarning: {best} earns {rewards[best]:+.2f}, more than the model's {own:+.2f}, and is easier to learn "
        'than the tasks: set PARTIAL_CREDIT to "off" or "beyond_constant", and PAY_CONSTANT_ANSWERS to False'
    )

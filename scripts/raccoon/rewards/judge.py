"""An LLM judge as a reward, alone or beside execution: TRL's reward functions for it.

What cannot be judged has no score: it is None, is counted, and never becomes a number in the middle.
"""

from dataclasses import dataclass, replace
from typing import Any

from raccoon.judging.judge import Judge
from raccoon.judging.rubric import Judgement
from raccoon.rewards.execution import ExecutionReward
from raccoon.runs.rollouts import Rollout
from raccoon.tasks.task import Task


@dataclass(frozen=True)
class JudgeScale:
    """What a judgement is worth beside a verdict: `worst` for score 0, `best` for score 1, times `weights`.

    `weights` are TRL's reward_weights, of execution and of the judge; None is the judge alone.
    """

    worst: float
    best: float
    weights: tuple[float, float] | None

    def value(self, judgement: Judgement) -> float | None:
        if judgement.score is None:
            return None
        return self.worst + (self.best - self.worst) * judgement.score


class JudgeReward:
    """TRL's reward functions where a judge scores completions, alone or beside execution.

    It stands in for ExecutionReward. The code is executed in either case: the verdict is logged, and is what the
    held-out control goes by. Beside execution a completion needs both scores: where one is missing both are
    None, because a sum over what is left would put it in the middle of the others.
    """

    def __init__(self, execution: ExecutionReward, judge: Judge, scale: JudgeScale) -> None:
        self.executed, self.judged, self.scale = execution, judge, scale
        self.batch: Any = None
        self.pairs: list[tuple[float | None, float | None]] = []  # execution's and judge's, of the batch
        self.scored: list[Rollout] = []

    @property
    def functions(self) -> list:
        return [self.execution, self.judge] if self.scale.weights else [self.judge]

    def execution(self, completion_ids: list[list[int]], task: list[dict], **_: Any) -> list[float | None]:
        """TRL's reward function: execution's part."""
        return [pair[0] for pair in self.score(completion_ids, task)]

    def judge(self, completion_ids: list[list[int]], task: list[dict], **_: Any) -> list[float | None]:
        """TRL's reward function: the judge's part."""
        return [pair[1] for pair in self.score(completion_ids, task)]

    def score(self, completion_ids: list[list[int]], task: list[dict]) -> list[tuple]:
        """Both parts of a batch, which TRL hands to each of the functions in turn."""
        if self.batch is not completion_ids:
            tasks = [Task(**fields) for fields in task]
            executed = self.evaluate(tasks, completion_ids)
            judgements = self.judge_rollouts(tasks, executed)
            self.pairs = [self.pair(*both) for both in zip(executed, judgements, strict=True)]
            self.scored += map(self.rollout, executed, judgements, self.pairs)
            self.batch = completion_ids
        return self.pairs

    def judge_rollouts(self, tasks: list[Task], rollouts: list[Rollout]) -> list[Judgement]:
        """A truncated completion is worth 0 unasked, as it is a FAIL to execution."""
        asked = [(task.prompt, "" if rollout.truncated else rollout.code)
                 for task, rollout in zip(tasks, rollouts, strict=True)]
        return self.judged.judge(asked)

    def pair(self, executed: Rollout, judgement: Judgement) -> tuple[float | None, float | None]:
        """Execution's and the judge's reward; both or none where both are wanted."""
        value = self.scale.value(judgement)
        if self.scale.weights and None in (executed.reward, value):
            return None, None
        return executed.reward, value

    def rollout(self, executed: Rollout, judgement: Judgement, pair: tuple) -> Rollout:
        """The rollout as it is logged: TRL's weighted sum, and its parts."""
        value = pair[1]
        if value is None:
            return replace(executed, reward=None, reward_parts={}, judgement=judgement)
        if not self.scale.weights:
            return replace(executed, reward=value, reward_parts={"judge": value}, judgement=judgement)
        reward = sum(weight * part for weight, part in zip(self.scale.weights, pair, strict=True))
        parts = {**executed.reward_parts, "judge": value}
        return replace(executed, reward=reward, reward_parts=parts, judgement=judgement)

    def evaluate(self, tasks: list[Task], completion_ids: list[list[int]]) -> list[Rollout]:
        """ExecutionReward's: a completion of each task with its verdict, unjudged."""
        return self.executed.evaluate(tasks, completion_ids)

    def take_rollouts(self) -> list[Rollout]:
        """What was scored since the last call."""
        scored, self.scored = self.scored, []
        return scored

"""An LLM judge as a reward, alone or together with execution: TRL's reward functions for it.

A completion that cannot be judged has no score: it is counted as None and never gets a middle score. But code that does
not pass cannot choose this: if the judge scores other code and answers this one without a score, it gets the worst one.
"""

from dataclasses import dataclass, replace
from typing import Any

from raccoon.llm.llm_judge import Judgement, LlmJudge
from raccoon.rewards.execution import ExecutionReward
from raccoon.runs.rollouts import Rollout
from raccoon.tasks.task import Task


@dataclass(frozen=True)
class JudgeScale:
    """The reward of a judgement: `worst` for score 0, `best` for score 1, linear between them.

    `weights` are TRL's reward_weights of execution and judge; None: the judge alone.
    """

    worst: float
    best: float
    weights: tuple[float, float] | None

    def value(self, judgement: Judgement) -> float | None:
        if judgement.score is None:
            return None
        return self.worst + (self.best - self.worst) * judgement.score


class JudgeReward:
    """TRL's reward functions for a judge, alone or together with execution.

    It takes the place of ExecutionReward. The code is executed in either case: the verdict is logged, and the held-out
    control uses it. Together with execution a completion needs both scores. If one is missing, both are None, because
    one score alone would put the completion between the others.
    """

    def __init__(self, execution: ExecutionReward, judge: LlmJudge, scale: JudgeScale) -> None:
        self.executed, self.judged, self.scale = execution, judge, scale
        self.batch: Any = None
        self.pairs: list[tuple[float | None, float | None]] = []  # execution's and the judge's, for the batch
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
        """Both parts for a batch. TRL passes the batch to each function in turn, so it is scored only once."""
        if self.batch is not completion_ids:
            tasks = [Task(**fields) for fields in task]
            executed = self.evaluate(tasks, completion_ids)
            judgements = self.judge_rollouts(tasks, executed)
            self.pairs = [self.pair(*both) for both in zip(executed, judgements, strict=True)]
            self.scored += map(self.rollout, executed, judgements, self.pairs)
            self.batch = completion_ids
        return self.pairs

    def judge_rollouts(self, tasks: list[Task], rollouts: list[Rollout]) -> list[Judgement]:
        """The judgements. A truncated completion gets 0 without a request, as execution scores it as FAIL."""
        asked = [
            (task.prompt, "" if rollout.truncated else rollout.code)
            for task, rollout in zip(tasks, rollouts, strict=True)
        ]
        judgements = self.judged.judge(asked)
        working = any(judgement.asked and judgement.score is not None for judgement in judgements)
        return [settled(*both) for both in zip(rollouts, judgements, strict=True)] if working else judgements

    def pair(self, executed: Rollout, judgement: Judgement) -> tuple[float | None, float | None]:
        """Execution's and the judge's reward. If both are wanted and one is missing, both are None."""
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
        """As ExecutionReward's: a completion of each task with its verdict, without a judgement."""
        return self.executed.evaluate(tasks, completion_ids)

    def take_rollouts(self) -> list[Rollout]:
        """The rollouts that were scored since the last call."""
        scored, self.scored = self.scored, []
        return scored


def settled(rollout: Rollout, judgement: Judgement) -> Judgement:
    """The judgement; the worst one for code that does not pass, if the code may have caused that there is no score."""
    caused = judgement.score is None and judgement.answered
    return replace(judgement, score=0.0) if caused and rollout.status in ("PARTIAL", "FAIL") else judgement

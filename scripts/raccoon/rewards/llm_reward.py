"""An LLM judge as a reward, alone or together with execution: TRL's reward functions for it.

A completion that cannot be judged has no score: it is counted as None and never gets a middle score. But code that does
not pass cannot choose this: if the judge scores other code and answers this one without a score, it gets the worst one.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_choice, check_positive
from raccoon.llm.client import Endpoint, LlmClient
from raccoon.llm.llm_extraction import EXTRACTIONS_FILE, METHODS, LlmExtractor, RegexExtractor
from raccoon.llm.llm_judge import JUDGEMENTS_FILE, Judgement, LlmJudge
from raccoon.rewards.execution import Chat, ExecutionReward, RewardTable
from raccoon.runs.log import Rollout
from raccoon.sandbox.pool import Sandbox
from raccoon.store import AnswerCache
from raccoon.tasks.task import Task

MakeReward = Callable[[Chat], ExecutionReward]


@dataclass(frozen=True)
class RewardSource:
    """Who scores a completion, and who finds the code in it."""

    reward: str  # "execution", "judge" or "both"; the code is executed in any case
    weights: list[float]  # of execution and judge, for "both"
    judge: Endpoint
    batch_seconds: float  # for all requests of a step to the judge
    extraction: str
    extractor: Endpoint

    def __post_init__(self) -> None:
        check_choice("REWARD", self.reward, ("execution", "judge", "both"))
        check_choice("CODE_EXTRACTION_METHOD", self.extraction, METHODS)
        check_positive(
            JUDGE_TIMEOUT=self.judge.timeout,
            JUDGE_BATCH_TIMEOUT=self.batch_seconds,
            JUDGE_CONCURRENCY=self.judge.concurrency,
        )
        for name, missing in {
            "JUDGE_MODEL": self.reward != "execution" and not self.judge.model,
            "EXTRACTION_MODEL": self.extraction == "llm" and not self.extractor.model,
        }.items():
            if missing:
                raise InputError(f"{name} is empty; give the model's name on its server")
        if len(self.weights) != 2 or min(self.weights) < 0 or not max(self.weights) > 0:
            raise InputError(
                f"REWARD_WEIGHTS is {self.weights}; give two numbers of at least 0, one of them above 0, like 1.0 0.5"
            )

    @property
    def both_weights(self) -> list[float] | None:
        """TRL's reward_weights; None for one reward function."""
        return self.weights if self.reward == "both" else None

    @property
    def lines(self) -> list[str]:
        """Who judges, and with which weight; [] for execution alone."""
        weights = " and ".join(f"{weight:g}" for weight in self.both_weights or (0, 1))
        judge = f"{self.judge.model} at {self.judge.base_url}"
        line = f"judge    {self.reward}, {judge}; weights of execution and judge {weights}"
        return [] if self.reward == "execution" else [line]

    def judging_seconds(self, refills: int) -> float:
        """How long processes may wait for the one whose completions the judge scores last, with all refills."""
        return 0.0 if self.reward == "execution" else self.batch_seconds * (1 + refills)

    def open(self, table: RewardTable, sandbox: Sandbox, folder: str, stack: ExitStack) -> MakeReward:
        """What makes the reward of a chat; raises InputError if a server does not answer. `folder` keeps answers."""
        judge: LlmJudge | None = None
        extractor: RegexExtractor | LlmExtractor = RegexExtractor()
        if self.reward != "execution":
            client = stack.enter_context(LlmClient(self.judge))
            client.check()
            judge = LlmJudge(client, AnswerCache(Path(folder) / JUDGEMENTS_FILE), self.batch_seconds)
        if self.extraction == "llm":
            client = stack.enter_context(LlmClient(self.extractor))
            client.check()
            extractor = LlmExtractor(client, AnswerCache(Path(folder) / EXTRACTIONS_FILE))

        def make_reward(chat: Chat) -> ExecutionReward:
            if judge:
                return JudgeReward(table, sandbox, chat, extractor, judge, self.both_weights)
            return ExecutionReward(table, sandbox, chat, extractor)

        return make_reward


class JudgeReward(ExecutionReward):
    """TRL's reward functions for a judge, alone or together with execution; score 0 is worth a FAIL, score 1 a PASS.

    The code is executed in either case: the verdict is logged, and the held-out control uses it. Together with
    execution (`weights` are TRL's reward_weights; None: the judge alone) a completion needs both scores. If one is
    missing, both are None, because one score alone would put it between the others.
    """

    def __init__(
        self,
        table: RewardTable,
        sandbox: Sandbox,
        chat: Chat,
        extractor: RegexExtractor | LlmExtractor,
        judge: LlmJudge,
        weights: list[float] | None,
    ) -> None:
        super().__init__(table, sandbox, chat, extractor)
        self.judged, self.weights = judge, weights
        self.batch: Any = None
        self.pairs: list[tuple[float | None, float | None]] = []  # execution's and the judge's, for the batch

    @property
    def functions(self) -> list:
        return [self.execution, self.judge] if self.weights else [self.judge]

    def execution(self, completion_ids: list[list[int]], task: list[dict], **others: Any) -> list[float | None]:
        """TRL's reward function: execution's part."""
        return [pair[0] for pair in self.both(completion_ids, task, others.get("rollout"))]

    def judge(self, completion_ids: list[list[int]], task: list[dict], **others: Any) -> list[float | None]:
        """TRL's reward function: the judge's part."""
        return [pair[1] for pair in self.both(completion_ids, task, others.get("rollout"))]

    def both(self, completion_ids: list[list[int]], task: list[dict], graded: list[Rollout] | None) -> list[tuple]:
        """Both parts for a batch. TRL passes the batch to each function in turn, so it is scored only once.

        Of a conversation, which is `graded` already, the last answer is judged.
        """
        if self.batch is not completion_ids:
            tasks = [Task(**fields) for fields in task]
            executed = graded or self.evaluate(tasks, completion_ids)
            judgements = self.judge_rollouts(tasks, executed)
            self.pairs = [self.pair(*both) for both in zip(executed, judgements, strict=True)]
            self.scored += map(self.judged_rollout, executed, judgements, self.pairs)
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
        """Execution's and the judge's reward, both discounted. If both are wanted and one is missing, both are None."""
        table, value = self.table, None
        if judgement.score is not None:
            value = table.reward_fail + (table.reward_pass - table.reward_fail) * judgement.score
            value *= table.discount(value, len(executed.turns))
        if self.weights and None in (executed.reward, value):
            return None, None
        return executed.reward, value

    def judged_rollout(self, executed: Rollout, judgement: Judgement, pair: tuple) -> Rollout:
        """The rollout as it is logged: TRL's weighted sum, and its parts."""
        value = pair[1]
        if value is None:
            return replace(executed, reward=None, reward_parts={}, judgement=judgement)
        if not self.weights:
            return replace(executed, reward=value, reward_parts={"judge": value}, judgement=judgement)
        reward = sum(weight * part for weight, part in zip(self.weights, pair, strict=True))
        parts = {**executed.reward_parts, "judge": value}
        return replace(executed, reward=reward, reward_parts=parts, judgement=judgement)


def settled(rollout: Rollout, judgement: Judgement) -> Judgement:
    """The judgement; the worst one for code that does not pass, if the code may have caused that there is no score."""
    caused = judgement.score is None and judgement.answered
    return replace(judgement, score=0.0) if caused and rollout.status in ("PARTIAL", "FAIL") else judgement

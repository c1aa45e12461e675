"""The reward of a completion: a table over the verdict on its code, and small bonuses for its style.

It runs no code itself (the sandbox does) and knows no model: TRL calls ExecutionReward.score with token ids.
"""

import ast
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from raccoon.constants import InputError, check_choice
from raccoon.llm.llm_extraction import LlmExtractor, RegexExtractor, not_extracted
from raccoon.records import Program, Verdict, accepted
from raccoon.rewards.constant_answers import constant_passes, is_constant_answer
from raccoon.runs.log import Rollout, Turn
from raccoon.sandbox.pool import Sandbox
from raccoon.strengthening.both_verdicts import given_statuses
from raccoon.tasks.extraction import thinking_state, with_opened_thinking
from raccoon.tasks.markup import ends_in_closed_fence
from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import Task


@dataclass(frozen=True)
class RewardParts:
    """The parts of a reward: correctness by verdict, and the four bonuses."""

    correctness: float
    docstring: float = 0.0
    short_lines: float = 0.0
    short_response: float = 0.0
    type_hints: float = 0.0


@dataclass(frozen=True)
class RewardTable:
    """The rewards of verdicts and of style. The training script explains each under the same name."""

    reward_pass: float
    reward_partial: float
    reward_fail: float
    partial_credit: str  # "flat", "fraction", "beyond_constant" or "off"
    quality_bonus: float
    bonus_only_with_pass: bool
    reward_min: float
    reward_max: float
    max_line: int  # characters
    max_response: int  # characters
    pay_constant_answers: bool
    allow_shared_tests: bool
    turn_discount: float = 1.0

    def __post_init__(self) -> None:
        check_choice("PARTIAL_CREDIT", self.partial_credit, ("flat", "fraction", "beyond_constant", "off"))
        if not self.reward_min < self.reward_max:
            raise InputError(
                f"REWARD_MIN {self.reward_min} is not below REWARD_MAX {self.reward_max}; raise the latter"
            )
        if not 0 < self.turn_discount <= 1:
            raise InputError(f"TURN_DISCOUNT is {self.turn_discount}; give a number above 0 and up to 1, like 0.9")

    def check_binary(self, reward: str) -> None:
        """Raises InputError if an answer that does not pass could earn anything but 0, by its verdict or its style."""
        wrong = {self.correctness(status, Verdict(status, "", 1, 2)) for status in ("PARTIAL", "FAIL")}
        style = self.quality_bonus and not self.bonus_only_with_pass
        clamped = not self.reward_min <= 0 < min(self.reward_pass, self.reward_max)
        if reward != "execution" or wrong != {0} or style or clamped:
            raise InputError(
                "SCALE_REWARDS mean needs 0 for every answer that does not pass, because it divides by a group's mean "
                "(arXiv 2602.02710): set REWARD_FAIL 0, PARTIAL_CREDIT off, BONUS_ONLY_WITH_PASS true, REWARD "
                "execution, and a REWARD_MIN of at most 0"
            )

    def lines(self, turns: int, max_feedback: int, scale: str) -> list[str]:
        """The rewards of a run with so many turns, in numbers."""
        tried = (
            f"turns    at most {turns}, with up to {max_feedback} characters of feedback after each; a positive "
            f"reward x {self.turn_discount:g} for each after the first"
        )
        partial = self.reward_fail if self.partial_credit == "off" else self.reward_partial
        return [
            *[tried][: turns - 1],
            f"reward   PASS {self.reward_pass:+g}, PARTIAL {partial:+g} ({self.partial_credit}), "
            f"FAIL {self.reward_fail:+g}, bonuses {self.quality_bonus:+g} "
            f"{'only with a PASS' if self.bonus_only_with_pass else 'with any verdict'}; scaled by {scale}",
        ]

    def parts(
        self,
        verdict: Verdict,
        code: str,
        completion: str,
        truncated: bool = False,
        constant: bool = False,
        constant_passes: int = 0,
    ) -> RewardParts | None:
        """The parts of one completion's reward; None for INFRA, which is not scored.

        `constant` says whether the code's answer ignores its arguments, `constant_passes` how many asserts of the test
        the best such answer passes. A truncated completion is a FAIL: if the code before the cut passes, it passes by
        chance, and a model that is rewarded for it learns not to stop. A truncated completion and an unpaid constant
        answer are a FAIL with INFRA too.
        """
        unpaid = constant and not self.pay_constant_answers
        status = "FAIL" if truncated or unpaid else verdict.status
        if status == "INFRA":
            return None
        correctness = self.correctness(status, verdict, constant_passes)
        if self.bonus_only_with_pass and status != "PASS":
            return RewardParts(correctness)
        tree = parse_code(code) or ast.Module([], [])
        return RewardParts(
            correctness=correctness,
            docstring=self.quality_bonus * has_docstring(tree),
            short_lines=self.quality_bonus * all(len(line) < self.max_line for line in code.splitlines()),
            short_response=self.quality_bonus * (len(completion) < self.max_response),
            type_hints=self.quality_bonus * has_type_hints(tree),
        )

    def correctness(self, status: str, verdict: Verdict, constant_passes: int = 0) -> float:
        """The reward of a status. "beyond_constant" rises from FAIL's to PARTIAL's with the tests passed beyond."""
        if status == "PARTIAL" and self.partial_credit == "fraction":
            return self.reward_partial * verdict.tests_passed / max(verdict.tests_total, 1)
        if status == "PARTIAL" and self.partial_credit == "beyond_constant":
            beyond, possible = (tests - constant_passes for tests in (verdict.tests_passed, verdict.tests_total))
            return self.reward_fail + (self.reward_partial - self.reward_fail) * max(beyond, 0) / max(possible, 1)
        partial = self.reward_fail if self.partial_credit == "off" else self.reward_partial
        return {"PASS": self.reward_pass, "PARTIAL": partial, "FAIL": self.reward_fail}[status]

    def total(self, parts: RewardParts) -> float:
        """The reward: the sum of its parts, clamped."""
        return min(max(sum(asdict(parts).values()), self.reward_min), self.reward_max)

    def discount(self, reward: float | None, turns: int) -> float:
        """What a reward is multiplied by after so many turns: a late failure is no better than an early one."""
        return self.turn_discount ** (turns - 1) if turns > 1 and reward and reward > 0 else 1.0


def has_docstring(tree: ast.Module) -> bool:
    """Whether the module, or a class or function in it, has a docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(node, documented) and bool(ast.get_docstring(node)) for node in ast.walk(tree))


def has_type_hints(tree: ast.Module) -> bool:
    """Whether a parameter or the result of a function is annotated."""
    hints = {ast.arg: "annotation", ast.FunctionDef: "returns", ast.AsyncFunctionDef: "returns"}
    return any(getattr(node, hints[type(node)]) is not None for node in ast.walk(tree) if type(node) in hints)


@dataclass(frozen=True)
class Chat:
    """A tokenizer, and how a completion begins and ends in its chat template.

    A completion that does not end with one of `end_ids` was truncated. `prompt_end` is what the template puts before
    each completion; it may open a think block. With `stop_at_fence`, a completion that ends with its closed code fence
    was stopped there and is not truncated.
    """

    tokenizer: Any
    end_ids: list[int]
    prompt_end: str = ""
    stop_at_fence: bool = False

    def is_truncated(self, ids: list[int], text: str) -> bool:
        return ids[-1] not in self.end_ids and not (self.stop_at_fence and ends_in_closed_fence(text))


@dataclass(frozen=True)
class Answer:
    """A completion: its text, the number of its tokens, and whether it was cut."""

    text: str
    tokens: int = 0
    truncated: bool = False


def graded(
    tasks: Sequence[Task],
    answers: Sequence[Answer],
    table: RewardTable,
    sandbox: Sandbox,
    extractor: RegexExtractor | LlmExtractor,
    prompt_end: str = "",
    max_feedback: int = 0,
) -> list[Rollout]:
    """One answer of each task, run as one batch, with verdicts and rewards. `prompt_end`: see Chat."""
    texts = [with_opened_thinking(prompt_end, answer.text) for answer in answers]
    codes = extractor.extract(texts, tasks)
    programs = [
        Program.of(task, code or "", max_feedback=max_feedback) for task, code in zip(tasks, codes, strict=True)
    ]
    distinct = list(dict.fromkeys(programs))  # the members of a group often write the same code
    verdicts = dict(zip(distinct, sandbox.run(distinct), strict=True))
    given = dict(zip(distinct, given_statuses(distinct, [*verdicts.values()], sandbox), strict=True))
    rollouts = []
    for task, answer, text, code, program in zip(tasks, answers, texts, codes, programs, strict=True):
        # Without allow_shared_tests every solution had separate isolation, so a completion with another is a FAIL
        verdict = not_extracted() if code is None else accepted(verdicts[program], table.allow_shared_tests)
        constant = is_constant_answer(code or "", task.entry_point)
        passed = constant_passes(task.test, task.entry_point)
        parts = table.parts(verdict, code or "", answer.text, answer.truncated, constant, passed)
        rollouts.append(
            Rollout(
                task_id=task.task_id,
                completion=answer.text,
                code=code or "",
                verdict=verdict,
                reward=table.total(parts) if parts else None,
                reward_parts=asdict(parts) if parts else {},
                tokens=answer.tokens,
                truncated=answer.truncated,
                constant=constant,
                thinking=thinking_state(text),
                given_status="FAIL" if given[program] and answer.truncated else given[program],
            )
        )
    return rollouts


class ExecutionReward:
    """Scores completions by running their code against the tests of their tasks.

    `extractor` finds the code in completions (default: extract_code's rules). If it fails, the verdict is INFRA.
    """

    def __init__(
        self, table: RewardTable, sandbox: Sandbox, chat: Chat, extractor: RegexExtractor | LlmExtractor | None = None
    ) -> None:
        self.table, self.sandbox, self.chat, self.extractor = table, sandbox, chat, extractor or RegexExtractor()
        self.scored: list[Rollout] = []

    @property
    def functions(self) -> list:
        """TRL's reward functions."""
        return [self.score]

    def score(
        self, completion_ids: list[list[int]], task: list[dict], rollout: list[Rollout] | None = None, **_: Any
    ) -> list[float | None]:
        """TRL's reward function: a reward for each completion; None if the sandbox itself failed.

        The rollouts of conversations come with them: their answers were graded turn by turn.
        """
        scored = rollout or self.evaluate([Task(**fields) for fields in task], completion_ids)
        self.scored += scored
        return [rollout.reward for rollout in scored]

    def evaluate(self, tasks: list[Task], completion_ids: list[list[int]], max_feedback: int = 0) -> list[Rollout]:
        """Runs one completion of each task as one batch; returns them with their verdicts and rewards.

        A verdict has at most `max_feedback` characters of feedback.
        """
        texts = self.chat.tokenizer.batch_decode(completion_ids, skip_special_tokens=True)
        answers = [
            Answer(text, len(ids), self.chat.is_truncated(ids, text))
            for text, ids in zip(texts, completion_ids, strict=True)
        ]
        how = self.table, self.sandbox, self.extractor
        return graded(tasks, answers, *how, prompt_end=self.chat.prompt_end, max_feedback=max_feedback)

    def of_conversation(self, answers: list[Rollout], told: list[str]) -> Rollout:
        """The rollout of a conversation, from those of its answers and the feedback between them.

        It is the last answer's, with the tokens of all. A positive reward, and its parts, are discounted.
        """
        last, discount = answers[-1], self.table.discount(answers[-1].reward, len(answers))
        turns = [
            Turn(each.completion, each.code, each.verdict, each.tokens, each.truncated, feedback)
            for each, feedback in zip(answers, [*told, ""], strict=True)
        ]
        return replace(
            last,
            reward=None if last.reward is None else last.reward * discount,
            reward_parts={name: part * discount for name, part in last.reward_parts.items()},
            tokens=sum(turn.tokens for turn in turns),
            turns=tuple(turns),
        )

    def take_rollouts(self) -> list[Rollout]:
        """The rollouts that score() has scored since the last call."""
        scored, self.scored = self.scored, []
        return scored

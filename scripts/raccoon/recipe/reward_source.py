"""The source of a run's rewards: execution, an LLM judge, or both, and the servers that they need."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import Settings
from raccoon.llm.client import Endpoint, LlmClient
from raccoon.llm.llm_extraction import EXTRACTIONS_FILE, LlmExtractor, RegexExtractor
from raccoon.recipe.settings import reward_table
from raccoon.rewards.execution import ExecutionReward
from raccoon.sandbox.pool import Sandbox
from raccoon.store import AnswerCache


@dataclass(frozen=True)
class Servers:
    """The clients of the judge's and the extractor's servers; None for one that the run does not need."""

    judge: LlmClient | None
    extractor: LlmClient | None


def open_servers(settings: Settings, stack: ExitStack) -> Servers:
    """Opens the clients that the run needs; `stack` closes them. Raises InputError if a server does not answer."""
    judge = Endpoint(
        settings.JUDGE_BASE_URL,
        settings.JUDGE_MODEL,
        settings.JUDGE_KEY_ENV,
        settings.JUDGE_TIMEOUT,
        settings.JUDGE_CONCURRENCY,
    )
    extractor = Endpoint(settings.EXTRACTION_BASE_URL, settings.EXTRACTION_MODEL, settings.EXTRACTION_KEY_ENV)
    needed = settings.REWARD != "execution", settings.CODE_EXTRACTION_METHOD == "llm"
    clients = [
        stack.enter_context(LlmClient(endpoint)) if wanted else None
        for endpoint, wanted in zip((judge, extractor), needed, strict=True)
    ]
    for client in filter(None, clients):
        client.check()
    return Servers(*clients)


def completion_reward(
    settings: Settings, sandbox: Sandbox, servers: Servers, tokenizer: Any, end_ids: list[int], prompt_end: str
) -> Any:
    """The object with the reward functions: execution, the judge, or both."""
    extractor = RegexExtractor()
    if servers.extractor:
        extractor = LlmExtractor(servers.extractor, AnswerCache(Path(settings.OUTPUT_DIR) / EXTRACTIONS_FILE))
    execution = ExecutionReward(
        reward_table(settings), sandbox, tokenizer, end_ids, prompt_end, extractor, settings.STOP_AT_FENCE
    )
    if not servers.judge:
        return execution
    from raccoon.llm.llm_judge import JUDGEMENTS_FILE, LlmJudge
    from raccoon.rewards.judge import JudgeReward, JudgeScale

    judge = LlmJudge(
        servers.judge, AnswerCache(Path(settings.OUTPUT_DIR) / JUDGEMENTS_FILE), settings.JUDGE_BATCH_TIMEOUT
    )
    weights = tuple(settings.REWARD_WEIGHTS) if settings.REWARD == "both" else None
    scale = JudgeScale(settings.REWARD_FAIL, settings.REWARD_PASS, weights)
    return JudgeReward(execution, judge, scale)

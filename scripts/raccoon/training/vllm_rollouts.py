"""vLLM as the engine that samples completions: its settings for TRL, and a check that it has the policy's weights.

TRL runs the engine in the training process (VLLM_MODE "colocate"), where on a GPU it sleeps during the update, or asks
a server ("server"). It needs an older transformers: requirements-vllm.txt has both.
"""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raccoon.constants import InputError, RunError, check_choice, check_positive
from raccoon.vllm_engine import check_vllm

SERVER_SECONDS = 10  # for an answer of the server before training; during training TRL waits longer

# Largest mean distance of the log-probabilities of one prompt's tokens, by the engine's dtype. In float32 two engines
# differ by a millionth, and one update changes any tensor by more than the tolerance. In bfloat16 they differ by
# hundredths. Weights that were never pushed, lost in the sleep or misnamed differ by whole units, so they are found.
# Weights that are one small step old are within rounding; the logged ratios of each step show those.
SYNC_TOLERANCE = {"float32": 1e-5}
COARSE = 0.2


@dataclass(frozen=True)
class Vllm:
    """How vLLM runs; each token's weight in the loss is its probability by the policy over vLLM's, at most `ratio_cap`.

    TRL's default leaves out whole sequences by the product of their ratios. Over a thousand tokens, rounding alone
    takes this product far from 1.
    """

    mode: str
    server_url: str
    memory_share: float
    ratio_cap: float

    def __post_init__(self) -> None:
        check_choice("VLLM_MODE", self.mode, ("colocate", "server"))
        check_positive(VLLM_RATIO_CAP=self.ratio_cap)
        if not 0 < self.memory_share < 1:
            raise InputError(f"VLLM_MEMORY_SHARE is {self.memory_share}; give a share of the GPU between 0 and 1")

    def check(self, gpus: int, lora: bool) -> None:
        """Raises InputError if vLLM cannot sample completions here."""
        check_vllm(gpus)
        if lora and os.environ.get("ACCELERATE_USE_FSDP") == "true":
            raise InputError(
                "GENERATION vllm cannot get the adapters of a sharded policy: use one GPU, or --generation transformers"
            )
        if self.mode == "server" and not gpus:
            raise InputError(
                "VLLM_MODE server gets the weights from GPU to GPU, and no GPU is visible: use --vllm-mode colocate"
            )
        if self.mode == "server":
            check_server(self.server_url)

    def options(self, gpus: int, longest: int) -> dict[str, Any]:
        """GRPOConfig's arguments; `longest` is a prompt and all that follows it, in tokens."""
        if self.mode == "server":
            where: dict[str, Any] = {"vllm_server_base_url": self.server_url}
        else:
            where = {
                "vllm_enable_sleep_mode": bool(gpus),
                "vllm_gpu_memory_utilization": self.memory_share,
                "vllm_max_model_length": longest,
            }
        return {
            "use_vllm": True,
            "vllm_mode": self.mode,
            **where,
            "vllm_importance_sampling_correction": True,
            "vllm_importance_sampling_mode": "token_truncate",
            "vllm_importance_sampling_clip_max": self.ratio_cap,
        }


def check_server(url: str) -> None:
    """Raises InputError for a server that does not answer, or that does not accept weights."""
    start = (
        "start it with VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --weight-transfer-config "
        '\'{"backend": "nccl"}\' --logprobs-mode processed_logprobs, or correct VLLM_SERVER_URL'
    )
    try:
        asked = f"{url.rstrip('/')}/server_info?config_format=json"
        with urllib.request.urlopen(asked, timeout=SERVER_SECONDS) as answer:
            config = json.load(answer)["vllm_config"]
    except urllib.error.HTTPError as error:
        raise InputError(f"the vLLM server at {url} answers HTTP {error.code} to /server_info: {start}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"no vLLM server at {url} ({error}): {start}") from None
    if not isinstance(config, dict) or not config.get("weight_transfer_config"):
        raise InputError(f"the vLLM server at {url} does not accept weights: {start}")


def push_weights(trainer: Any, token_ids: list[int]) -> None:
    """Gives vLLM the policy's weights if it lacks them, and checks on a fixed text that they arrived.

    It lacks them after an update, and after each generation if it slept. All processes must call this together.
    """
    from raccoon.training.library_internals import engine_lacks_weights, note_engine_weights

    if not engine_lacks_weights(trainer):
        return
    generation = trainer.vllm_generation
    generation.sync_weights()
    note_engine_weights(trainer)
    if generation.mode == "colocate" and generation.enable_sleep_mode:
        generation.llm.wake_up(tags=["kv_cache"])
    policy = policy_log_probabilities(trainer.model, token_ids, trainer.accelerator.device)
    if generation.mode == "colocate":
        tolerance = sync_tolerance(trainer.model.dtype, generation.llm.llm_engine.model_config.dtype)
        check_sync(engine_log_probabilities(generation.llm, token_ids), policy, tolerance)
    elif trainer.accelerator.is_main_process:
        check_sync(server_log_probabilities(generation.vllm_client, token_ids), policy)


def engine_log_probabilities(engine: Any, token_ids: list[int]) -> list[float]:
    """vLLM's log-probability of each token after the first, given those before it."""
    from vllm import SamplingParams

    params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0)  # greedy, to use no random number
    answer = engine.generate([{"prompt_token_ids": token_ids}], sampling_params=params, use_tqdm=False)[0]
    return [row[token].logprob for row, token in zip(answer.prompt_logprobs[1:], token_ids[1:], strict=True)]


def server_log_probabilities(client: Any, token_ids: list[int]) -> list[float]:
    """The same for a server, by TRL's client."""
    found = client.get_sequence_logprobs([token_ids], prompt_lengths=[1], top_logprobs=1)
    return [logprob for (logprob,) in found["actual_logprobs"][0]]


def policy_log_probabilities(model: Any, token_ids: list[int], device: Any) -> list[float]:
    """The policy's log-probability of each token after the first, given those before it."""
    import torch

    ids_1_T = torch.tensor([token_ids], device=device)
    with torch.no_grad():
        logits_T_V = model(input_ids=ids_1_T).logits[0, :-1].float()
    return logits_T_V.log_softmax(-1).gather(-1, ids_1_T[0, 1:, None]).flatten().tolist()


def sync_tolerance(*types: Any) -> float:
    """The tolerance for the dtypes of policy and engine: that of the coarser one."""
    return max(SYNC_TOLERANCE.get(str(each).removeprefix("torch."), COARSE) for each in types)


def check_sync(engine: Sequence[float], policy: Sequence[float], tolerance: float = COARSE) -> float:
    """The mean distance between two engines' log-probabilities of one text; raises RunError above `tolerance`."""
    distance = sum(abs(a - b) for a, b in zip(engine, policy, strict=True)) / max(len(policy), 1)
    if not distance <= tolerance:  # true for NaN as well
        raise RunError(
            f"vLLM has other weights than the policy: their log-probabilities of one prompt differ by "
            f"{distance:.2g} a token, which is over {tolerance:g}; use --generation transformers"
        )
    return distance


def sampling_ratios(batch: dict[str, Any], ratio_cap: float, gather: Any) -> dict[str, float]:
    """How far the policy is from the engine that sampled, before the cap, over the tokens of all processes.

    These are the mean and the largest ratio of policy to engine probability, and the share of tokens above the cap.
    `batch` is TRL's; `gather` joins the processes'.
    """
    import torch

    mask = batch["completion_mask"].bool() & ~batch["sampling_per_token_logps"].isnan()
    ratio = (batch["old_per_token_logps"] - batch["sampling_per_token_logps"])[mask].exp()
    sums = torch.stack([ratio.sum(), (ratio > ratio_cap).sum().to(ratio), ratio.new_tensor(ratio.numel())])
    total, above, count = gather(sums[None]).sum(0).tolist()
    largest = gather(ratio.max()[None] if ratio.numel() else ratio.new_zeros(1)).max().item()
    return {"ratio_mean": total / max(count, 1), "ratio_max": largest, "ratio_above_cap": above / max(count, 1)}

"""vLLM as the engine of rollouts: what TRL is told about it, and the proof that it has the policy's weights.

TRL itself runs the engine in the training process (colocate mode), puts it to sleep during the update and pushes
the weights before each generation. Evaluation has an engine of its own (eval_generation.py). vLLM is no part of
requirements.txt, because it wants other versions of transformers: requirements-vllm.txt has them.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from raccoon.constants import InputError
from raccoon.runs.log import RunError

# Mean distance of the log-probabilities of one prompt's tokens. bfloat16 kernels of two engines differ by
# hundredths; weights that were never pushed, thrown away by the sleep or misnamed differ by whole units. A push
# that is only one small step old is within rounding: for that the ratios of each step are logged.
SYNC_TOLERANCE = 0.2


def check_vllm(gpus: int, lora: bool) -> None:
    """Raises InputError where vLLM cannot make the rollouts."""
    if not find_spec("vllm"):
        raise InputError('GENERATION is "vllm", and the package vllm is missing: pip install -r '
                         'requirements-vllm.txt, or use --generation transformers')
    if not gpus:
        raise InputError('GENERATION is "vllm", and no GPU is visible: use --generation transformers')
    if lora and os.environ.get("ACCELERATE_USE_FSDP") == "true":
        raise InputError('GENERATION is "vllm", which gets no adapters of a sharded policy: train LoRA on one GPU, '
                         'or use --generation transformers')


def vllm_options(memory_share: float, max_length: int, ratio_cap: float) -> dict[str, Any]:
    """GRPOConfig's arguments for rollouts by vLLM; `max_length` is prompt and completion, in tokens.

    Each token's weight in the loss is its probability under the policy over that under vLLM, cut at `ratio_cap`.
    TRL's own choice leaves out whole sequences by the product of their ratios, which rounding alone takes far
    from 1 in a thousand tokens.
    """
    return {"use_vllm": True, "vllm_mode": "colocate", "vllm_enable_sleep_mode": True,
            "vllm_gpu_memory_utilization": memory_share, "vllm_max_model_length": max_length,
            "vllm_importance_sampling_correction": True, "vllm_importance_sampling_mode": "token_truncate",
            "vllm_importance_sampling_clip_max": ratio_cap}


def push_weights(trainer: Any, token_ids: list[int]) -> None:
    """Gives vLLM the policy's weights where it lacks them, and proves on a fixed text that they arrived.

    It lacks them after an update and after each generation, when it slept. Called by all processes together.
    """
    from raccoon.training.library_internals import engine_lacks_weights, note_engine_weights

    if not engine_lacks_weights(trainer):
        return
    generation = trainer.vllm_generation
    generation.sync_weights()
    note_engine_weights(trainer)
    if generation.enable_sleep_mode:
        generation.llm.wake_up(tags=["kv_cache"])
    check_sync(engine_log_probabilities(generation.llm, token_ids),
               policy_log_probabilities(trainer.model, token_ids, trainer.accelerator.device))


def engine_log_probabilities(engine: Any, token_ids: list[int]) -> list[float]:
    """vLLM's log-probability of each token after the first, given those before it."""
    from vllm import SamplingParams

    params = SamplingParams(temperature=1.0, max_tokens=1, prompt_logprobs=0)
    answer = engine.generate([{"prompt_token_ids": token_ids}], sampling_params=params, use_tqdm=False)[0]
    return [row[token].logprob for row, token in zip(answer.prompt_logprobs[1:], token_ids[1:], strict=True)]


def policy_log_probabilities(model: Any, token_ids: list[int], device: Any) -> list[float]:
    """The policy's log-probability of each token after the first, given those before it."""
    import torch

    ids_1_T = torch.tensor([token_ids], device=device)
    with torch.no_grad():
        logits_T_V = model(input_ids=ids_1_T).logits[0, :-1].float()
    return logits_T_V.log_softmax(-1).gather(-1, ids_1_T[0, 1:, None]).flatten().tolist()


def check_sync(engine: Sequence[float], policy: Sequence[float], tolerance: float = SYNC_TOLERANCE) -> float:
    """The mean distance of two engines' log-probabilities of one text; raises RunError above `tolerance`."""
    distance = sum(abs(a - b) for a, b in zip(engine, policy, strict=True)) / max(len(policy), 1)
    if not distance <= tolerance:  # also where it is not a number
        raise RunError(f"vLLM has other weights than the policy: their log-probabilities of one prompt differ by "
                       f"{distance:.3f} a token, over {tolerance}; use --generation transformers")
    return distance


def sampling_ratios(batch: dict[str, Any], ratio_cap: float, gather: Any) -> dict[str, float]:
    """How far the policy is from the engine that sampled, before any cut, over the tokens of all processes.

    The mean and the largest of policy probability over engine probability, and the share of tokens above the cap.
    `batch` is TRL's, with old_per_token_logps and sampling_per_token_logps (B, C); `gather` joins the processes'.
    """
    import torch

    mask = batch["completion_mask"].bool() & ~batch["sampling_per_token_logps"].isnan()
    ratio = (batch["old_per_token_logps"] - batch["sampling_per_token_logps"])[mask].exp()
    sums = torch.stack([ratio.sum(), (ratio > ratio_cap).sum().to(ratio), ratio.new_tensor(ratio.numel())])
    total, above, count = gather(sums[None]).sum(0).tolist()
    largest = gather(ratio.max()[None] if ratio.numel() else ratio.new_zeros(1)).max().item()
    return {"ratio_mean": total / max(count, 1), "ratio_max": largest, "ratio_above_cap": above / max(count, 1)}

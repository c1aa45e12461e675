"""A decoding loop that reads a prompt of several completions only once and drops ended completions from the batch.

transformers' generate() reads the prompt once for each completion, and computes every row until the longest one ends.
In a group of eight more than half of this work is wasted. This file imports torch at its top.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

ROWS = 128  # completions that callers decode together; a wider batch is not faster on a CPU
LEAVE_SHARE = 8  # ended rows are dropped when they are one in so many, because each drop copies the cache

# (logits (R, V), rows (R)) -> tokens (R): the next token of each row that is still open
Draw = Callable[[torch.Tensor, list[int]], torch.Tensor]
# (row, its token ids so far) -> whether the newest token ends it
Closes = Callable[[int, list[int]], bool]


@torch.inference_mode()
def decode(model: Any, prompts: Sequence[list[int]], longest: int, draw: Draw, closes: Closes) -> list[list[int]]:
    """A completion of each prompt as token ids, at most `longest`, with the token that ended it.

    `model` is a causal language model of transformers in evaluation mode. No prompt may be empty.
    """
    device = model.device
    distinct = {tuple(ids): number for number, ids in enumerate(dict.fromkeys(map(tuple, prompts)))}
    mask_U_P, ids_U_P = left_padded(list(distinct), device)
    output = model(
        input_ids=ids_U_P, attention_mask=mask_U_P, position_ids=positions(mask_U_P), use_cache=True, logits_to_keep=1
    )
    cache = output.past_key_values
    sources = torch.tensor([distinct[tuple(ids)] for ids in prompts], device=device)
    cache.batch_select_indices(sources)
    mask_R_T, logits_R_V = mask_U_P[sources], output.logits[sources, -1]

    rows = list(range(len(prompts)))  # the rows in the batch; some may have ended
    completions: list[list[int]] = [[] for _ in prompts]
    ended: set[int] = set()
    for length in range(1, longest + 1):
        tokens_R = draw(logits_R_V, rows)
        for row, token in zip(rows, tokens_R.tolist(), strict=True):
            if row not in ended:
                completions[row].append(token)
                if closes(row, completions[row]):
                    ended.add(row)
        still = [place for place, row in enumerate(rows) if row not in ended]
        if not still or length == longest:
            break
        if len(rows) - len(still) >= max(1, len(rows) // LEAVE_SHARE):
            kept = torch.tensor(still, device=device)
            cache.batch_select_indices(kept)
            rows, mask_R_T, tokens_R = [rows[place] for place in still], mask_R_T[kept], tokens_R[kept]
        mask_R_T = torch.cat([mask_R_T, mask_R_T.new_ones(len(rows), 1)], dim=1)
        output = model(
            input_ids=tokens_R[:, None],
            attention_mask=mask_R_T,
            position_ids=positions(mask_R_T)[:, -1:],
            past_key_values=cache,
            use_cache=True,
        )
        logits_R_V = output.logits[:, -1]
    return completions


def left_padded(prompts: Sequence[Sequence[int]], device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(attention mask, token ids) of prompts, both (U, P). Padding is token 0, which the mask hides."""
    ids = [torch.tensor(prompt, device=device) for prompt in prompts]
    return (
        pad_sequence([torch.ones_like(each) for each in ids], batch_first=True, padding_side="left"),
        pad_sequence(ids, batch_first=True, padding_side="left"),
    )


def positions(mask_R_T: torch.Tensor) -> torch.Tensor:
    """The position of each token in its own row, (R, T); padding has position 0."""
    return (mask_R_T.cumsum(dim=1) - 1).clamp(min=0)


def sampler(config: Any) -> Draw:
    """What draws the next token as a GenerationConfig of transformers says: the likeliest, or a sample."""
    if not config.do_sample:
        return lambda logits_R_V, rows: logits_R_V.argmax(dim=-1)
    warpers = [TemperatureLogitsWarper(float(config.temperature))]
    if config.top_k:
        warpers.append(TopKLogitsWarper(config.top_k))
    if config.top_p is not None and config.top_p < 1:
        warpers.append(TopPLogitsWarper(config.top_p))

    def draw(logits_R_V: torch.Tensor, rows: list[int]) -> torch.Tensor:
        scores_R_V = logits_R_V.float()
        for warper in warpers:
            scores_R_V = warper(None, scores_R_V)
        return drawn(scores_R_V)

    return draw


def drawn(scores_R_V: torch.Tensor) -> torch.Tensor:
    """A token for each row, (R), drawn from the softmax of its scores by the inverse of the cumulative probability.

    On a CPU torch.multinomial() would take a fifth of a step with 50,000 tokens.
    """
    sums_R_V = scores_R_V.softmax(dim=-1).cumsum(dim=-1)
    points_R_1 = torch.rand(len(sums_R_V), 1, device=sums_R_V.device) * sums_R_V[:, -1:]
    return torch.searchsorted(sums_R_V, points_R_1, right=True)[:, 0].clamp(max=sums_R_V.size(1) - 1)


def own_randomness() -> AbstractContextManager:
    """A block that does not change the random state of the CPU and of this process's GPU."""
    return torch.random.fork_rng(devices=[torch.cuda.current_device()] if torch.cuda.is_available() else [])


class WorkingCopy:
    """A copy of a policy's weights in another dtype, only for decoding; casting them for each token takes longer."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.model: Any = None

    def drop(self) -> None:
        """Frees the copy's memory."""
        self.model = None

    @torch.no_grad()
    def of(self, policy: Any) -> Any:
        """The copy, updated with the policy's newest weights."""
        if self.model is None:
            with own_randomness(), policy.device:  # else a resumed run, which makes it later, would sample otherwise
                self.model = AutoModelForCausalLM.from_config(policy.config, dtype=self.dtype).eval()
        newest = dict(policy.named_parameters())
        for name, weight in self.model.named_parameters():
            weight.copy_(newest[name])
        return self.model

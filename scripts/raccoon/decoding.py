"""A decoding loop that reads a prompt of several completions only once and drops ended completions from the batch.

transformers' generate() reads the prompt once for each completion, and computes every row until the longest one ends.
In a group of eight more than half of this work is wasted. A memory keeps what was read for prompts that go on from
there: in a second turn only the message is read. This file imports torch at its top.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, DynamicCache, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper
from transformers.cache_utils import DynamicLayer

ROWS = 128  # completions that callers decode together; a wider batch is not faster on a CPU
ROOM = 32  # tokens for which a cache has room ahead
LEAVE_SHARE = 8  # ended rows are dropped when they are one in so many, because each drop copies the cache
ALIKE = 1.15  # texts are read in one pass if none is more than so many times as long as another: the rest is padding

# (logits (R, V), rows (R)) -> tokens (R): the next token of each row that is still open
Draw = Callable[[torch.Tensor, list[int]], torch.Tensor]
# (row, its token ids so far) -> whether the newest token ends it
Closes = Callable[[int, list[int]], bool]


class RoomyLayer(DynamicLayer):
    """A cache layer with room for the next ROOM tokens, so that a step adds its tokens without copying all others.

    transformers' own layer copies its keys and values for each token.
    """

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        self.keys, self.values = layer.keys, layer.values
        self.whole: tuple[torch.Tensor, ...] = ()  # keys and values (R, H, T + room, D); `keys`, `values` begin them

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any) -> tuple[Any, Any]:
        before, length = self.keys.size(-2), self.keys.size(-2) + key_states.size(-2)
        if not self.whole or self.whole[0].size(-2) < length:
            more = (0, 0, 0, length - before + ROOM)
            self.whole = tuple(torch.nn.functional.pad(each, more) for each in (self.keys, self.values))
        for whole, new in zip(self.whole, (key_states, value_states), strict=True):
            whole[..., before:length, :] = new
        self.keys, self.values = (whole[..., :length, :] for whole in self.whole)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self.whole = ()


# The keys and values of one text, (H, T, D) each, of every layer
Read = list[tuple[torch.Tensor, torch.Tensor]]


class PrefixMemory:
    """What a model has read, by token ids, so that a prompt that begins with such a text need not be read from there.

    It holds for one state of the weights. `computed` counts the tokens that the model has read, padding too. `closed`
    says that no later prompt goes on from what is decoded now, so that nothing is kept. Only caches of plain layers can
    be taken apart; with others, like a sliding window's, every prompt is read anew.
    """

    def __init__(self) -> None:
        self.computed, self.closed = 0, False
        self.read: dict[tuple[int, ...], Read] = {}

    def clear(self) -> None:
        """Frees what is kept."""
        self.read, self.closed = {}, False

    def keep_for(self, prompts: Sequence[list[int]]) -> None:
        """Frees what none of these prompts goes on from."""
        needed = {self.longest(ids) for ids in prompts}
        self.read = {ids: each for ids, each in self.read.items() if ids in needed}

    def longest(self, prompt: Sequence[int]) -> tuple[int, ...]:
        """The longest kept text, shorter than a prompt, with which the prompt begins; () if there is none."""
        lengths = sorted({len(ids) for ids in self.read if len(ids) < len(prompt)}, reverse=True)
        beginnings = (tuple(prompt[:length]) for length in lengths)
        return next((ids for ids in beginnings if ids in self.read), ())

    def keep(self, texts: list[tuple[int, ...]], cache: Any, mask_R_T: torch.Tensor, places: list[int]) -> None:
        """Keeps the texts that stand at these places of a cache; what follows a text there is left out."""
        plain = all(type(layer) in (DynamicLayer, RoomyLayer) for layer in cache.layers)
        if self.closed or not plain or not places:
            return
        for text, place in zip(texts, places, strict=True):
            kept = mask_R_T[place].nonzero()[: len(text), 0]
            self.read[text] = [(layer.keys[place, :, kept], layer.values[place, :, kept]) for layer in cache.layers]

    def prefill(self, model: Any, prompts: list[tuple[int, ...]]) -> tuple[Any, torch.Tensor, torch.Tensor]:
        """Reads prompts: (cache, attention mask (U, P), logits (U, V) of the next token).

        If the memory has the beginning of some, texts of about the same length are read together, from where it ends,
        and the rows are then put together without padding in between.
        """
        known = [self.longest(prompt) for prompt in prompts]
        if not any(known):
            mask_U_P, ids_U_P = left_padded(prompts, model.device)
            output = self.call(
                model, input_ids=ids_U_P, attention_mask=mask_U_P, position_ids=positions(mask_U_P), logits_to_keep=1
            )
            return output.past_key_values, mask_U_P, output.logits[:, -1]
        news = [prompt[len(start) :] for prompt, start in zip(prompts, known, strict=True)]
        rows: list[Read] = [[] for _ in prompts]
        logits: list[torch.Tensor] = [torch.empty(0)] * len(prompts)
        for group in alike(list(map(len, news))):
            begun = [self.read.get(known[place], []) for place in group]
            cache, mask_G_K = assembled(begun, [len(known[place]) for place in group], model)
            mask_G_S, ids_G_S = left_padded([news[place] for place in group], model.device)
            mask_G_T = torch.cat([mask_G_K, mask_G_S], dim=1)
            output = self.call(
                model,
                input_ids=ids_G_S,
                attention_mask=mask_G_T,
                position_ids=positions(mask_G_T)[:, -ids_G_S.size(1) :],
                past_key_values=cache,
                logits_to_keep=1,
            )
            for number, place in enumerate(group):
                kept = mask_G_T[number].nonzero()[:, 0]
                layers = output.past_key_values.layers
                rows[place] = [(layer.keys[number, :, kept], layer.values[number, :, kept]) for layer in layers]
                logits[place] = output.logits[number, -1]
        for start in known:
            self.read.pop(start, None)  # its row is longer now
        cache, mask_U_P = assembled(rows, list(map(len, prompts)), model)
        return cache, mask_U_P, torch.stack(logits)

    def call(self, model: Any, **inputs: Any) -> Any:
        """The model's output; the tokens are counted."""
        self.computed += inputs["input_ids"].numel()
        return model(**inputs, use_cache=True)


def alike(lengths: list[int]) -> list[list[int]]:
    """Places of lengths in groups, the longest first, in which no length is more than ALIKE times another."""
    groups: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if groups and lengths[groups[-1][0]] <= ALIKE * lengths[place]:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def assembled(rows: list[Read], lengths: list[int], model: Any) -> tuple[Any, torch.Tensor]:
    """A cache (R rows) of texts of these lengths, padded on the left, and its mask (R, T); a text may be empty."""
    longest, cache = max(lengths), DynamicCache()
    mask_R_T = torch.tensor([[0] * (longest - length) + [1] * length for length in lengths])
    depth = max(map(len, rows))
    for layer in range(depth):
        shape = next(row[layer][0] for row in rows if row)
        blank = shape.new_zeros(shape.size(0), 0, shape.size(2))
        parts = [row[layer] if row else (blank, blank) for row in rows]
        keys, values = (
            torch.stack([torch.nn.functional.pad(each, (0, 0, longest - each.size(1), 0)) for each in side])
            for side in zip(*parts, strict=True)
        )
        cache.update(keys, values, layer)
    return cache, mask_R_T.view(len(rows), longest).to(model.device, torch.long)


@torch.inference_mode()
def decode(
    model: Any,
    prompts: Sequence[list[int]],
    longest: int,
    draw: Draw,
    closes: Closes,
    memory: PrefixMemory | None = None,
) -> list[list[int]]:
    """A completion of each prompt as token ids, at most `longest`, with the token that ended it.

    `model` is a causal language model of transformers in evaluation mode. No prompt may be empty. A `memory` is read
    and gets what is decoded here; it changes no token, up to rounding.
    """
    device, kept = model.device, memory or PrefixMemory()
    kept.closed |= memory is None
    distinct = {tuple(ids): number for number, ids in enumerate(dict.fromkeys(map(tuple, prompts)))}
    cache, mask_U_P, logits_U_V = kept.prefill(model, list(distinct))
    sources = torch.tensor([distinct[tuple(ids)] for ids in prompts], device=device)
    cache.batch_select_indices(sources)
    cache.layers = [RoomyLayer(layer) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    mask_R_T, logits_R_V = mask_U_P[sources], logits_U_V[sources]

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
        over = len(ended) == len(prompts) or length == longest
        still = [] if over else [place for place, row in enumerate(rows) if row not in ended]
        if len(rows) - len(still) >= max(1, len(rows) // LEAVE_SHARE):
            gone = sorted(set(range(len(rows))) - set(still))
            # The newest token was not read yet
            texts = [(*prompts[rows[place]], *completions[rows[place]][:-1]) for place in gone]
            kept.keep(texts, cache, mask_R_T, gone)
            if over:
                break
            staying = torch.tensor(still, device=device)
            cache.batch_select_indices(staying)
            rows, mask_R_T, tokens_R = [rows[place] for place in still], mask_R_T[staying], tokens_R[staying]
        mask_R_T = torch.cat([mask_R_T, mask_R_T.new_ones(len(rows), 1)], dim=1)
        output = kept.call(
            model,
            input_ids=tokens_R[:, None],
            attention_mask=mask_R_T,
            position_ids=positions(mask_R_T)[:, -1:],
            past_key_values=cache,
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

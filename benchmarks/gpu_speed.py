"""How long a call takes on a device, and a decoded token: with generate(), and with a CUDA graph of one step."""

import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import StaticCache

WARM_STEPS = 3  # before a step is captured: a graph cannot hold what libraries do in a first call


def timed(work: Callable[[], Any], count: int, device: str) -> float:
    """Seconds of one call out of `count`, after one that is not counted."""
    work()
    waits = torch.get_device_module(device).synchronize
    waits()
    started = time.perf_counter()
    for _ in range(count):
        work()
    waits()
    return (time.perf_counter() - started) / count


def difference_ms(work: Callable[[int], Any], counts: list[int], device: str) -> float:
    """Milliseconds a token: the time of a long run of `work`, given the number of tokens, less that of a short one."""
    short, long = (timed(lambda count=count: work(count), 1, device) for count in counts)
    return 1000 * (long - short) / (counts[1] - counts[0])


def random_prompts(model: Any, rows: int, tokens: int) -> torch.Tensor:
    """Different prompts, (rows, tokens)."""
    return torch.randint(model.config.vocab_size, (rows, tokens), device=model.device)


def padded_mask(ids: torch.Tensor) -> torch.Tensor:
    """A mask that leaves out one token, as a training batch's: without padding attention takes another, faster path."""
    mask = torch.ones_like(ids)
    mask[0, 0] = 0
    return mask


def generate_ms(model: Any, prompts: torch.Tensor, counts: list[int]) -> tuple[float, torch.Tensor]:
    """Milliseconds for one token of all sequences in generate(), and the tokens of the long run; greedy."""
    made = {}

    def generate(count: int) -> None:
        made[count] = model.generate(
            prompts,
            attention_mask=padded_mask(prompts),
            min_new_tokens=count,
            max_new_tokens=count,
            do_sample=False,
            disable_compile=True,
        )

    return difference_ms(generate, counts, model.device.type), made[counts[1]]


@torch.no_grad()
def graph_ms(model: Any, prompts: torch.Tensor, count: int) -> float | None:
    """Milliseconds of a greedy step with a static cache, replayed from a CUDA graph; None on a CPU, after one step.

    Raises RuntimeError if the graph writes every token to the same place of the cache.
    """
    steps = WARM_STEPS + 1 + count
    cache = StaticCache(config=model.config, max_cache_len=prompts.shape[1] + steps)
    tokens = model(prompts, past_key_values=cache, logits_to_keep=1).logits[:, -1].argmax(-1, keepdim=True)

    def step() -> None:
        logits = model(tokens, past_key_values=cache).logits
        tokens.copy_(logits[:, -1].argmax(-1, keepdim=True))

    if model.device.type == "cpu":
        step()
        return None
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    seconds = timed(graph.replay, count, "cuda")
    if int(cache.get_seq_length()) != prompts.shape[1] + steps:
        raise RuntimeError("the CUDA graph repeats one position: its static cache does not grow")
    return 1000 * seconds

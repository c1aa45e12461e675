"""TRL's batches: groups that refills swap, and the rows and prompts that a pass may leave out or share."""

import math
import random
from dataclasses import asdict
from itertools import compress
from typing import Any

import datasets
import torch
from trl.trainer.utils import nanstd

from raccoon.constants import InputError
from raccoon.runs.log import Rollout, is_constant
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import Task


def task_row(task: Task) -> dict[str, Any]:
    """A task as TRL takes it: a prompt, and a column for the reward function."""
    return {"prompt": messages(task), "task": asdict(task)}


def rows(tasks: list[Task]) -> datasets.Dataset:
    return datasets.Dataset.from_list([task_row(task) for task in tasks])


class Refills:
    """Swaps groups that teach nothing for groups of other tasks, at most `most` times a step (arXiv 2503.14476)."""

    def __init__(self, trainer: Any, most: int) -> None:
        self.trainer, self.most = trainer, most
        self.tasks: list[Task] = []  # that it draws from

    def fill(self, output: dict, rollouts: list[Rollout]) -> list[Rollout]:
        """Changes TRL's batch and its rollouts in place; returns the rollouts that are left out."""
        trainer, size = self.trainer, self.trainer.num_generations
        unused: list[Rollout] = []
        for attempt in range(self.most):
            constant = constant_groups(rollouts, size)
            wanted = trainer.most(len(constant))
            if not wanted:
                break
            spare, drawn = trainer.graded_batch(self.inputs(wanted, attempt))
            useful = sorted(set(range(wanted)) - set(constant_groups(drawn, size)))
            self.swap(output, rollouts, spare, drawn, list(zip(constant, useful, strict=False)))
            unused += drawn
        return unused

    def inputs(self, groups: int, attempt: int) -> list[dict]:
        """This process's rows for a refill. Step and attempt decide its tasks, so that a resumed run draws the same."""
        trainer = self.trainer
        draw = random.Random(f"{trainer.args.seed} {trainer.state.global_step} {attempt}")
        drawn = draw.choices(self.tasks, k=groups * trainer.accelerator.num_processes)
        own = drawn[trainer.accelerator.process_index * groups :][:groups]
        return [task_row(task) for task in own for _ in range(trainer.num_generations)]

    def swap(
        self, output: dict, rollouts: list[Rollout], spare: dict, drawn: list[Rollout], groups: list[tuple[int, int]]
    ) -> None:
        """Exchanges groups of `output` and `rollouts` for groups of `spare` and `drawn`."""
        trainer, size = self.trainer, self.trainer.num_generations
        pairs = [(into * size + i, out_of * size + i) for into, out_of in groups for i in range(size)]
        copy_rows(output, spare, pairs, trainer.pad_token_id)
        for into, out_of in pairs:
            rollouts[into], drawn[out_of] = drawn[out_of], rollouts[into]
        count_tokens(output, trainer.accelerator.gather)
        if trainer.scale_rewards == "batch":
            output["advantages"] = batch_scaled_advantages(trainer, rollouts)


def constant_groups(rollouts: list[Rollout], size: int) -> list[int]:
    """The indices of the groups whose members differ at most in style."""
    groups = [rollouts[start : start + size] for start in range(0, len(rollouts), size)]
    return [number for number, group in enumerate(groups) if is_constant(group)]


def copy_rows(output: dict, spare: dict, pairs: list[tuple[int, int]], pad_id: int) -> None:
    """Copies rows of one of TRL's batches into another, in place; `pairs` are (row of output, row of spare).

    Both are padded to the wider batch's width: prompts (B, P) on the left, everything else (B, C) on the right.
    """

    def padded(tensor: torch.Tensor, name: str, width: int) -> torch.Tensor:
        missing = width - tensor.size(1)
        # A ratio of 1 is none; VESPO multiplies those of all columns
        value = {"prompt_ids": pad_id, "completion_ids": pad_id, "importance_sampling_ratio": 1}.get(name, 0)
        return torch.nn.functional.pad(tensor, (missing, 0) if name.startswith("prompt") else (0, missing), value=value)

    into, out_of = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for name, tensor in output.items():
        source = spare[name]
        if tensor.dim() == 2:
            width = max(tensor.size(1), source.size(1))
            tensor, source = padded(tensor, name, width), padded(source, name, width)
        if tensor.dim():
            tensor[into] = source[out_of]
        output[name] = tensor


def count_tokens(output: dict, gather: Any) -> None:
    """Counts the tokens of TRL's batch that have a loss, in all processes: as TRL does, without feedback."""
    sampled = output["completion_mask"] * output.get("tool_mask", 1)
    output["num_items_in_batch"] = gather(sampled.sum()).sum()


def leave_out_passed(output: dict, rollouts: list[Rollout], gather: Any) -> None:
    """Takes completions that were cut, and whose code passes all the same, out of the loss (arXiv 2603.07777).

    They count as a FAIL: to learn from them would make right code less likely. In place; all processes together.
    """
    kept = [not (rollout.truncated and rollout.verdict.status == "PASS") for rollout in rollouts]
    output["completion_mask"] = output["completion_mask"] * output["completion_mask"].new_tensor(kept)[:, None]
    count_tokens(output, gather)


def mean_scaled_advantages(advantages: torch.Tensor, rollouts: list[Rollout], size: int, accelerator: Any) -> Any:
    """Centred rewards (B) divided by their group's mean reward: MaxRL (arXiv 2602.02710, its estimator of K of N).

    For rewards of 1 and 0 a right completion gets N/K - 1 and a wrong one -1, so the gradient is that of the
    log-likelihood of a PASS, up to its order N. A group without a reward above 0 has none. Groups of `size` may span
    processes.
    """
    rewards = advantages.new_tensor([math.nan if rollout.reward is None else rollout.reward for rollout in rollouts])
    means = accelerator.gather(rewards).view(-1, size).nanmean(dim=1).repeat_interleave(size)
    means = means[accelerator.process_index * len(rewards) :][: len(rewards)]
    return torch.where(means > 0, advantages / means, torch.zeros_like(advantages))


def batch_scaled_advantages(trainer: Any, rollouts: list[Rollout]) -> torch.Tensor:
    """TRL's advantages for scale_rewards="batch", computed again after groups were swapped."""
    values = [math.nan if rollout.reward is None else rollout.reward for rollout in rollouts]
    rewards = torch.tensor(values, device=trainer.args.device)
    groups = rewards.view(-1, trainer.num_generations)
    centred = (groups - groups.nanmean(dim=1, keepdim=True)).flatten()
    return (centred / (nanstd(trainer.accelerator.gather(rewards)) + 1e-4)).nan_to_num(nan=0.0)


class PlannedPasses:
    """The passes of a generation as SAVINGS wants them: "rows" leaves rows out, "prompts" sorts the rows by prompt."""

    def __init__(self, trainer: Any, savings: tuple[str, ...]) -> None:
        self.trainer, self.skip, self.share = trainer, "rows" in savings, "prompts" in savings
        self.made: list[dict] | None = None  # TRL's passes of the newest generation, and the same as planned
        self.planned: list[dict] = []

    def instead_of(self, inputs: dict) -> dict:
        """The planned pass in the place of TRL's; a batch that is none of TRL's passes stays."""
        made = self.trainer.buffered_passes or []
        place = next((number for number, each in enumerate(made) if each is inputs), None)
        if place is None or not (self.skip or self.share):
            return inputs
        if self.made is not made:
            self.made, self.planned = made, self.plan(made)
        return self.planned[place]

    def plan(self, passes: list[dict]) -> list[dict]:
        """One generation's passes, the same number of rows in each process. Those of one step may be sorted."""
        args, accelerator = self.trainer.args, self.trainer.accelerator
        if args.steps_per_generation == args.gradient_accumulation_steps and not weighs_by_pass(args):
            passes = signal_first(passes, by_prompt=self.share)
        if not self.skip:
            return passes
        counts = torch.stack([batch["advantages"].count_nonzero() for batch in passes])
        most = accelerator.gather(counts[None]).amax(dim=0).clamp(min=1).tolist()
        return [rows_with_signal(batch, count) for batch, count in zip(passes, most, strict=True)]


def weighs_by_pass(args: Any) -> bool:
    """Whether a token's weight depends on the other tokens of its pass, so that no row may change its pass."""
    entropy = args.top_entropy_quantile < 1 or args.entropy_coef or args.use_adaptive_entropy
    return args.loss_type == "bnpo" or bool(entropy)


def signal_first(passes: list[dict], by_prompt: bool = False) -> list[dict]:
    """The rows of one step, sorted by length, with those of advantage 0 last, in as many passes as before.

    Rows of similar length need little padding, and a pass of rows without a signal costs almost nothing. With
    `by_prompt`, the rows of one prompt stay together instead.
    """
    first = passes[0]
    whole = {name: torch.cat([batch[name] for batch in passes]) if first[name].dim() else first[name] for name in first}
    lengths = (whole["prompt_mask"].sum(dim=1) + whole["completion_mask"].sum(dim=1)).tolist()
    silent = (whole["advantages"] == 0).tolist()
    place = whole["prompt_ids"].tolist() if by_prompt else [-length for length in lengths]
    order = torch.tensor(sorted(range(len(lengths)), key=lambda row: (silent[row], place[row])))
    return [taken(whole, part) for part in order.to(whole["advantages"].device).chunk(len(passes))]


def taken(batch: dict, rows: torch.Tensor) -> dict:
    """Some rows of a TRL batch, in this order."""
    return {name: value[rows] if value.dim() else value for name, value in batch.items()}


def rows_with_signal(batch: dict, count: int) -> dict:
    """`count` rows of a TRL batch, and no columns that then hold only padding.

    The rows with a signal come first. If there are fewer, rows of advantage 0 follow, which add nothing to the
    gradient: in each pass all processes must have the same number of rows, because TRL gathers a value of each.
    """
    chosen = taken(batch, (batch["advantages"] == 0).int().argsort(stable=True)[:count])
    prompt, completion = (max(1, int(chosen[f"{part}_mask"].sum(dim=1).max())) for part in ("prompt", "completion"))
    return {
        name: value if value.dim() < 2 else value[:, -prompt:] if name.startswith("prompt") else value[:, :completion]
        for name, value in chosen.items()
    }


def logprobs_and_entropies(
    logits_B_C_V: torch.Tensor, tokens_B_C: torch.Tensor, with_gradient: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-probability (B, C) of each token, and the entropy (B, C) where it stands, perhaps `with_gradient`.

    The gradient of the entropy takes a second copy of the logits.
    """
    logits_B_C_V = logits_B_C_V.float()
    norms_B_C = logits_B_C_V.logsumexp(dim=-1)
    logprobs_B_C = logits_B_C_V.gather(-1, tokens_B_C[..., None])[..., 0] - norms_B_C
    with torch.set_grad_enabled(with_gradient and torch.is_grad_enabled()):
        expected_B_C = ((logits_B_C_V - norms_B_C[..., None]).exp() * logits_B_C_V).sum(dim=-1)
        entropies_B_C = norms_B_C - expected_B_C
    return logprobs_B_C, entropies_B_C


def separate_logprobs(
    model: Any,
    input_ids_B_T: torch.Tensor,
    attention_mask_B_T: torch.Tensor,
    width: int,
    temperature: float,
    with_gradient: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies (B, width) from a pass in which each row has its own prompt."""
    logits = model(
        input_ids=input_ids_B_T, attention_mask=attention_mask_B_T, use_cache=False, logits_to_keep=width + 1
    ).logits[:, :-1]
    return logprobs_and_entropies(logits / temperature, input_ids_B_T[:, -width:], with_gradient)


def share_prompts(
    input_ids_B_T: torch.Tensor, attention_mask_B_T: torch.Tensor, width: int, config: Any = None
) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor]:
    """The batch as one sequence (1, L), without padding, in which each prompt stands once, before its completions.

    A completion sees its prompt and itself, so each token has the same log-probability as in a row of its own
    (arXiv 2506.05433). The last `width` columns are the completions. Returns the model's inputs, and for N completion
    tokens the places (N) in the sequence whose logits predict them, and their rows and columns (N, 2).
    """
    tokens: list[int] = []
    positions: list[int] = []
    owners: list[tuple[int, int]] = []  # of a token: its prompt, and its row, which is -1 in a prompt
    prompts: dict[tuple[int, ...], tuple[int, int]] = {}  # a prompt's number, and the place of its last token
    places: list[int] = []
    cells: list[tuple[int, int]] = []
    split = input_ids_B_T.size(1) - width
    for row, (ids, kept) in enumerate(zip(input_ids_B_T.tolist(), attention_mask_B_T.tolist(), strict=True)):
        prompt = tuple(compress(ids[:split], kept[:split]))
        columns = list(compress(range(width), kept[split:]))
        if prompt not in prompts:
            prompts[prompt] = len(prompts), len(tokens) + len(prompt) - 1
            tokens += prompt
            positions += range(len(prompt))
            owners += [(prompts[prompt][0], -1)] * len(prompt)
        number, last = prompts[prompt]
        places += [last, *range(len(tokens), len(tokens) + len(columns) - 1)][: len(columns)]
        cells += [(row, column) for column in columns]
        tokens += [ids[split + column] for column in columns]
        positions += range(len(prompt), len(prompt) + len(columns))
        owners += [(number, row)] * len(columns)
    device = input_ids_B_T.device
    prompt_L, row_L = torch.tensor(owners, device=device).T
    sees_L_L = ((prompt_L[:, None] == prompt_L) & ((row_L == -1) | (row_L[:, None] == row_L))).tril()
    position_L = torch.tensor(positions, device=device)
    inputs = {
        "input_ids": torch.tensor([tokens], device=device),
        "position_ids": position_L[None],
        "attention_mask": masks(sees_L_L, position_L, config),
    }
    return inputs, torch.tensor(places, device=device), torch.tensor(cells, device=device).view(-1, 2)


def masks(sees_L_L: torch.Tensor, position_L: torch.Tensor, config: Any) -> Any:
    """What each token sees, as a model of this configuration takes it: (1, 1, L, L), or that for each kind of layer.

    transformers adds no sliding window to a mask that is given, so those layers need a mask of their own.
    """
    whole = sees_L_L[None, None]
    window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
    if not window or kinds and "sliding_attention" not in kinds:
        return whole
    near = whole & (position_L[:, None] - position_L < window)
    return {"full_attention": whole, "sliding_attention": near} if kinds else near


def shared_logprobs(
    model: Any,
    input_ids_B_T: torch.Tensor,
    attention_mask_B_T: torch.Tensor,
    width: int,
    temperature: float,
    with_gradient: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies (B, width), 0 at padding, from a pass in which each prompt stands once."""
    inputs, places, cells = share_prompts(input_ids_B_T, attention_mask_B_T, width, text_config(model))
    logits = model(**inputs, use_cache=False, logits_to_keep=places).logits / temperature
    tokens_B_C, cell = input_ids_B_T[:, -width:], tuple(cells.T)
    zeros_B_C = torch.zeros(tokens_B_C.shape, device=logits.device)
    logprobs, entropies = logprobs_and_entropies(logits, tokens_B_C[cell][None], with_gradient)
    return zeros_B_C.index_put(cell, logprobs[0]), zeros_B_C.index_put(cell, entropies[0])


def check_sharing(model: Any, length: int) -> None:
    """Raises InputError if the model computes something else where a prompt stands once, before two completions.

    Layers that ignore the mask do so, like recurrent ones. `length`, in tokens, is that of the prompt and of each
    completion. The last predictions of both are compared: they depend on all before.
    """
    rows = torch.arange(3, 3 + 4 * length).view(2, 2 * length) % model.config.vocab_size
    rows[:, :length] = rows[0, :length]
    compared, whole = min(8, length), torch.ones_like(rows)
    inputs, places, _ = share_prompts(rows, whole, length, text_config(model))
    last = places.view(2, length)[:, -compared:]
    try:
        with torch.no_grad():
            apart = model(input_ids=rows, attention_mask=whole, use_cache=False, logits_to_keep=compared + 1).logits
            together = model(**inputs, use_cache=False, logits_to_keep=last.flatten()).logits
        same = torch.allclose(apart[:, :-1], together.view_as(apart[:, :-1]), rtol=1e-3, atol=1e-2)
    except (RuntimeError, TypeError, ValueError):  # it takes no such mask
        same = False
    if not same:
        raise InputError(
            f"prompts of SAVINGS changes what a model of type {model.config.model_type} computes, because some of its "
            "layers do not follow the attention mask; leave prompts out of --savings"
        )


def text_config(model: Any) -> Any:
    """The configuration of a model's text part; the model may be wrapped for several processes."""
    return getattr(model, "module", model).config.get_text_config()

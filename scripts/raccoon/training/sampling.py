"""Sampling completions of the policy: by TRL's engines or by the own decoding loop, in steps and outside of them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from raccoon import decoding
from raccoon.decoding import WorkingCopy, own_randomness
from raccoon.progress import progress_bar
from raccoon.runs.heldout import profile_records
from raccoon.runs.log import PROFILE_LOG, Rollout
from raccoon.tasks.markup import ends_in_closed_fence
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import Task
from raccoon.training import sharding
from raccoon.training.vllm_rollouts import push_weights


class Sampler:
    """Draws completions for a CodeTrainer, always with the newest weights.

    Outside of steps it samples `together` completions at once, or as many as in a step if that is more.
    """

    def __init__(self, trainer: Any, savings: tuple[str, ...], together: int, adapters: bool) -> None:
        self.trainer, self.lean = trainer, "generation" in savings
        self.fence = FenceStop(trainer.processing_class) if "fence" in savings else None
        args = trainer.args
        self.together = max(together, args.per_device_train_batch_size * args.steps_per_generation)
        computed = adapters or trainer.is_fsdp_enabled  # then whole weights are in the precision of the computation
        self.working_copy = WorkingCopy(torch.bfloat16) if self.lean and args.bf16 and not computed else None

    def gathered(self) -> AbstractContextManager:
        """Holds the whole weights on each process while it generates; not with vLLM, which has its own copy."""
        return nullcontext() if self.trainer.use_vllm else sharding.unsharded(self.trainer.model)

    def complete(self, prompt_ids: list[list[int]], *others: Any) -> Any:
        """(completion ids, log-probabilities or None) of prompts; `others` are TRL's further arguments."""
        trainer = self.trainer
        if trainer.use_vllm:
            push_weights(trainer, trainer.prompt_token_ids([trainer.train_dataset[0]["prompt"]])[0])
        if self.lean:
            return self.decode(prompt_ids), None
        with generating(trainer.accelerator.unwrap_model(trainer.model), self.fence):
            completion_ids, logprobs = trainer.trl_completions(prompt_ids, *others)
        return self.fence.cut(completion_ids) if self.fence else completion_ids, logprobs

    def decode(self, prompt_ids: list[list[int]]) -> list[list[int]]:
        """Completions of the prompts from the own decoding loop, ROWS at a time."""
        trainer, config = self.trainer, self.trainer.generation_config
        policy = trainer.accelerator.unwrap_model(trainer.model)
        ends, shortest = set(trainer.eos_token_ids), config.min_new_tokens or 0

        def closes(row: int, ids: list[int]) -> bool:
            ended = ids[-1] in ends or self.fence is not None and self.fence.closes(ids)
            return ended and len(ids) >= shortest

        model = self.working_copy.of(policy) if self.working_copy else policy
        training, completions, draw = model.training, [], decoding.sampler(config)
        model.eval()
        for start in range(0, len(prompt_ids), decoding.ROWS):
            some = prompt_ids[start : start + decoding.ROWS]
            completions += decoding.decode(model, some, trainer.max_completion_length, draw, closes)
        model.train(training)
        if self.working_copy and not trainer.args.use_cpu:
            self.working_copy.drop()  # a GPU needs its memory for the update
        return completions

    def sample(self, tasks: list[Task], temperature: float, shown: str = "") -> list[Rollout]:
        """A completion of each task, in order, without a trace in training's random state; temperature 0 is greedy."""
        trainer = self.trainer
        processes, rank = trainer.accelerator.num_processes, trainer.accelerator.process_index
        share = -(-len(tasks) // processes)
        own = (tasks + tasks[:1] * processes)[rank * share :][:share]  # the same number on each process
        prompt_ids = trainer.prompt_token_ids([messages(task) for task in own])
        size = len(own) if trainer.use_vllm else self.together  # vLLM makes its own batches
        completion_ids: list[list[int]] = []
        bar = progress_bar(total=len(own), desc=shown, unit="completion", disable=not shown or rank > 0)
        with own_randomness(), at_temperature(trainer, temperature), self.gathered(), bar:
            torch.manual_seed(trainer.args.seed + rank)
            for start in range(0, len(own), size):
                ids, _ = self.complete(prompt_ids[start : start + size], None, {}, 1)
                completion_ids += ids
                bar.update(len(ids))
        return gather_object(trainer.reward.evaluate(own, completion_ids))[: len(tasks)]

    def profile(self, tasks: list[Task], samples: int, temperature: float) -> list[dict]:
        """The lines of profile.jsonl: the policy's results on each task before training. Made once in a run."""
        trainer = self.trainer
        profile = trainer.run_log.read(PROFILE_LOG, until=0)
        if not profile:
            if trainer.is_fsdp_enabled:
                trainer.model = trainer.model_wrapped = sharding.shard(trainer.accelerator, trainer.model)
            sampled = [task for task in tasks for _ in range(samples)]
            profile = profile_records(self.sample(sampled, temperature, "profile"))
            if trainer.accelerator.is_main_process:
                trainer.run_log.append(PROFILE_LOG, profile)
        return profile


@contextmanager
def at_temperature(trainer: Any, temperature: float) -> Iterator[None]:
    """Generation at a temperature other than training's (0: greedy), within a with block."""
    engine: Any = trainer.vllm_generation if trainer.use_vllm else trainer
    changed: dict[str, Any] = {"temperature": temperature}
    if not trainer.use_vllm:
        kwargs = {**trainer.generation_kwargs, "do_sample": temperature > 0, "temperature": temperature or 1.0}
        changed = {"generation_kwargs": kwargs, "generation_config": GenerationConfig(**kwargs, disable_compile=True)}
    kept = {name: getattr(engine, name) for name in changed}
    engine.__dict__.update(changed)
    try:
        yield
    finally:
        engine.__dict__.update(kept)


@contextmanager
def generating(model: Any, fence: "FenceStop | None") -> Iterator[None]:
    """Makes the model's generate() sample by its arguments alone, for this process alone, within a with block.

    By itself it takes what its arguments leave open, like min_p, from the checkpoint's generation_config.json, and
    processes with a sharded model wait for each other's longest completion. With `fence` it ends completions there too.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    checkpoints, registered = base.generation_config, vars(model).get("generate")
    base.generation_config = GenerationConfig()
    criteria = StoppingCriteriaList([FenceCriterion(fence.closes)] if fence else [])
    model.generate = partial(type(model).generate, model, synced_gpus=False, stopping_criteria=criteria)
    try:
        yield
    finally:
        base.generation_config = checkpoints
        del model.generate
        if registered:
            model.generate = registered


class FenceStop:
    """Ends completions after the line that closes their code fence; adds no end token that was not sampled."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
        self.line_ends = {token for token, text in enumerate(texts) if "\n" in text}

    def closes(self, ids: list[int]) -> bool:
        """Whether a completion's newest token ends the line that closes its code fence."""
        if not ids or ids[-1] not in self.line_ends or not {"`", "~"} & set(self.tokenizer.decode(ids[-8:])):
            return False
        return ends_in_closed_fence(self.tokenizer.decode(ids, skip_special_tokens=True))

    def cut(self, completion_ids: list[list[int]]) -> list[list[int]]:
        """The completions, each cut where it was stopped; generate() goes on until the batch's longest one ends."""
        places = [range(1, len(ids) + 1) for ids in completion_ids]
        return [
            ids[: next((end for end in ends if self.closes(ids[:end])), len(ids))]
            for ids, ends in zip(completion_ids, places, strict=True)
        ]


class FenceCriterion(StoppingCriteria):
    """The criterion for one call of generate(); transformers asks it after each token."""

    def __init__(self, closes: Callable[[list[int]], bool]) -> None:
        self.closes, self.prompt_length = closes, 0

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self.prompt_length = self.prompt_length or input_ids.size(1) - 1
        completions = input_ids[:, self.prompt_length :].tolist()
        return torch.tensor([self.closes(ids) for ids in completions], device=input_ids.device)

"""Makes passes at full length before the first step, so that a lack of memory shows in the first minute.

They train nothing and change nothing: no gradient, no metric and no random state. A dry run also generates at full
length, prints its measurements beside the plan, and ends. This file imports torch at its top, so the training script
imports it late.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from raccoon.constants import RunError
from raccoon.decoding import own_randomness
from raccoon.training.callbacks import Watch
from raccoon.training.library_internals import metrics_left_alone

CPU_TOKENS = 16  # tokens that a dry run generates without a GPU; each may take a second


@dataclass
class MemoryProbe(Watch):
    """Makes the passes when training begins. With `then_end`, the dry run, it then ends the process.

    In a step of several passes, a pass has the gradients of earlier ones beside it, so two are made. `moments_gb` are
    Adam's moments. A new run has none before its first update, so as much memory is held in their place. `planned`
    holds the plan's GB while training and generating, and its least seconds of a pass and of a token; a missing entry
    was not planned. Raises RunError if the GPU's memory is too small.
    """

    prompt: int  # tokens
    completion: int
    moments_gb: float
    planned: dict[str, float]
    then_end: bool

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        passes = min(args.gradient_accumulation_steps, 2)
        what = f"a pass of {args.per_device_train_batch_size} x {self.prompt + self.completion} tokens"
        size = self.missing_moments() if torch.cuda.is_available() else 0
        moments = self.fitting(what, lambda: torch.empty(size, dtype=torch.uint8, device=args.device))
        seconds = self.fitting(what, lambda: [self.timed(self.run_pass) for _ in range(passes)][-1])
        self.trainer.model_wrapped.zero_grad(set_to_none=True)
        training = self.trainer.memory.gb
        print(f"probe    {what}: peak {training:.3g} GB{self.beside('training', ' of {:.3g} planned')}", flush=True)
        self.forget_peak()
        if self.then_end:
            token = self.fitting("generating at full length", self.generate)
            self.print_list(
                {"training": training, "generating": self.trainer.memory.gb, "pass": seconds, "token": token}
            )
            sys.exit(0)
        del moments
        self.forget_peak()  # the run's own peak counts from here

    def forget_peak(self) -> None:
        """Starts a new measurement of the peak."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.trainer.memory.restart()

    def missing_moments(self) -> int:
        """The bytes of Adam's moments that the optimizer does not hold: in a resumed run it has them already."""
        tensors = [
            value
            for state in self.trainer.optimizer.state.values()
            for value in state.values()
            if torch.is_tensor(value)
        ]
        held = sum((each.to_local() if isinstance(each, DTensor) else each).nbytes for each in tensors)
        return max(0, int(self.moments_gb * 1e9) - held)

    def fitting(self, what: str, work: Callable[[], Any]) -> Any:
        """Returns what `work` returns. If the GPU's memory is too small, raises RunError with the remedy."""
        try:
            return work()
        except torch.cuda.OutOfMemoryError as error:
            raise RunError(
                f"{what} does not fit the GPU ({str(error).splitlines()[0]}); --plan shows the nearest "
                "setting that does"
            ) from error

    def timed(self, work: Callable[[], Any]) -> float:
        """The seconds that `work` takes."""
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - started

    def beside(self, name: str, words: str) -> str:
        """The planned figure as text; "" if there is none."""
        return words.format(self.planned[name]) if name in self.planned else ""

    def run_pass(self) -> None:
        """A forward and backward pass of the largest batch, through every wrapper that training uses."""
        trainer = self.trainer
        model = trainer.model_wrapped
        model.train()
        trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
        with metrics_left_alone(trainer):
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(model, self.batch())
            trainer.accelerator.backward(loss)

    def generate(self) -> float:
        """Seconds a token, for generation from the longest prompts in which no completion ends early."""
        trainer, cuda = self.trainer, torch.cuda.is_available()
        tokens = self.completion if cuda else min(self.completion, CPU_TOKENS)
        size = trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation
        words = trainer.model.config.vocab_size
        prompts = [[place % words for place in range(self.prompt)] for _ in range(size)]
        prompts[0] = prompts[0][1:] or prompts[0]  # padded, as in training
        kept = trainer.generation_config
        limits = {"min_new_tokens": tokens, "max_new_tokens": tokens}
        if not trainer.use_vllm:
            trainer.generation_config = type(kept)(**{**kept.to_diff_dict(), **limits})
        try:
            with own_randomness(), trainer.gathered():
                return self.timed(lambda: trainer.complete(prompts, None, {}, 1)) / tokens
        finally:
            trainer.generation_config = kept

    def print_list(self, measured: dict[str, float]) -> None:
        """Prints the measurements of a dry run beside the plan."""
        unit = "a GPU" if torch.cuda.is_available() else "a process"
        rows = {
            "training": f"GB {unit}, training",
            "generating": f"GB {unit}, generating",
            "pass": "s a pass, at the least",
            "token": "ms a token of all sequences, at the least",
        }
        print("check    | what | measured | planned |\ncheck    | --- | --- | --- |")
        for name, text in rows.items():
            scale = 1000 if name == "token" else 1
            planned = f"{self.planned[name] * scale:.3g}" if name in self.planned else "not planned"
            print(f"check    | {text} | {measured[name] * scale:.3g} | {planned} |")
        print("dry run  every check passed and the model has made a pass; nothing was trained", flush=True)

    def batch(self) -> dict[str, torch.Tensor]:
        """A batch in TRL's names: as many sequences as a pass has, at full length, of tokens that count upwards.

        The first prompt is one token shorter, because without padding attention takes another path, with less memory.
        """
        args, device = self.trainer.args, self.trainer.args.device
        size, words = args.per_device_train_batch_size, self.trainer.model.config.vocab_size
        lengths = {"prompt": self.prompt, "completion": self.completion}
        first = torch.arange(size, device=device)[:, None]  # no two prompts are equal, so none is shared
        batch = {
            f"{part}_ids": (torch.arange(length, device=device) + first) % words for part, length in lengths.items()
        }
        batch |= {
            f"{part}_mask": torch.ones((size, length), dtype=torch.long, device=device)
            for part, length in lengths.items()
        }
        batch["prompt_mask"][0, 0] = 0
        batch["advantages"] = torch.zeros(size, device=device)  # zero, so that nothing is learnt
        batch["ref_per_token_logps"] = torch.zeros((size, self.completion), device=device)
        tokens = size * self.completion * args.steps_per_generation * self.trainer.accelerator.num_processes
        return batch | {"num_items_in_batch": torch.tensor(tokens, device=device)}

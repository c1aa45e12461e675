"""One pass at full length before the first step, so that what will not fit fails in minute one, not at night.

It trains nothing and leaves no trace: no gradient, no metric, no random number. It covers the update's memory,
not that of generation. It imports torch at its top, so the training script imports it late.
"""

import sys
from dataclasses import dataclass
from typing import Any

import torch

from raccoon.runs.log import RunError
from raccoon.training.library_internals import metrics_left_alone
from raccoon.training.trainer import Watch, peak_memory_gb


@dataclass
class MemoryProbe(Watch):
    """Runs the pass when training begins; `then_end` ends the process after it.

    `moments_gb` stands in for Adam's moments, which are made at the first update only. Raises RunError where
    the GPU's memory does not suffice.
    """

    prompt: int  # tokens
    completion: int
    moments_gb: float
    planned_gb: float
    then_end: bool

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        what = f"a pass of {args.per_device_train_batch_size} x {self.prompt + self.completion} tokens"
        moments = torch.empty(int(self.moments_gb * 1e9) if torch.cuda.is_available() else 0, dtype=torch.uint8,
                              device=args.device)
        try:
            self.run_pass()
        except torch.cuda.OutOfMemoryError as error:
            raise RunError(f"{what} does not fit the GPU ({str(error).splitlines()[0]}); --plan shows the nearest "
                           "setting that does") from error
        del moments
        planned = f" of {self.planned_gb:.3g} planned" if torch.cuda.is_available() else ""
        print(f"probe    {what}: peak {peak_memory_gb():.3g} GB{planned}", flush=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()  # the run's own peak is measured from here
        if self.then_end:
            print("dry run  every check passed, the model has made a pass, nothing was trained", flush=True)
            sys.exit(0)

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
        model.zero_grad(set_to_none=True)

    def batch(self) -> dict[str, torch.Tensor]:
        """As many sequences as a pass has, counting through the vocabulary to full length; in TRL's names."""
        args, device = self.trainer.args, self.trainer.args.device
        size, words = args.per_device_train_batch_size, self.trainer.model.config.vocab_size
        lengths = {"prompt": self.prompt, "completion": self.completion}
        batch = {f"{part}_ids": (torch.arange(length, device=device) % words).repeat(size, 1)
                 for part, length in lengths.items()}
        batch |= {f"{part}_mask": torch.ones((size, length), dtype=torch.long, device=device)
                  for part, length in lengths.items()}
        batch["advantages"] = torch.zeros(size, device=device)  # nothing to learn
        batch["ref_per_token_logps"] = torch.zeros((size, self.completion), device=device)
        tokens = size * self.completion * args.steps_per_generation * self.trainer.accelerator.num_processes
        return batch | {"num_items_in_batch": torch.tensor(tokens, device=device)}

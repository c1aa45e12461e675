"""Callbacks that watch a run step by step: the clock, the weights, the held-out control, the stop signal."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import TrainerCallback

from raccoon.runs.heldout import (
    best_heldout,
    checks_without_gain,
    gap_warning,
    heldout_line,
    heldout_record,
    loss_alarm,
)
from raccoon.runs.log import HELDOUT_LOG, METRICS_LOG, finite
from raccoon.runs.stop import StopSignal
from raccoon.tasks.task import Task
from raccoon.training.library_internals import sleeping_bytes

SAMPLED_WEIGHTS = 256  # elements of each tensor that are watched; to watch all would need a copy of the model


class PeakMemory:
    """The most memory that this process has held since `restart`, on the GPU if there is one, else on the machine.

    What sleeps in vLLM is not held, but torch counts it. So the counter starts again whenever more or less of it
    sleeps, and the peak of each part is what torch counted minus what slept.
    """

    def __init__(self, engine: Any = None) -> None:
        """`engine` is the vLLM that sleeps in this process, if there is one."""
        for name in ("sleep", "wake_up") if engine else ():
            setattr(engine, name, partial(self.across, getattr(engine, name)))
        self.restart()

    def restart(self) -> None:
        """Forgets the peak so far."""
        self.before, self.asleep = 0, sleeping_bytes()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def across(self, change: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls `change`, after which other parts of vLLM's memory sleep."""
        peak = self.held()
        changed = change(*args, **kwargs)
        self.restart()
        self.before = peak
        return changed

    def held(self) -> int:
        """The peak in bytes."""
        if torch.cuda.is_available():
            return max(self.before, torch.cuda.max_memory_allocated() - self.asleep)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    @property
    def gb(self) -> float:
        return self.held() / 1e9


class Watch(TrainerCallback):
    """A callback that knows its trainer."""

    trainer: Any  # a CodeTrainer; it sets this attribute


class StepClock(Watch):
    """Splits a step's seconds into generating, rewarding and updating, and loads the steps before a resume."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.metrics = self.trainer.run_log.read(METRICS_LOG, state.global_step)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.perf_counter()
        self.trainer.seconds = dict.fromkeys(self.trainer.seconds, 0.0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        seconds = self.trainer.seconds
        seconds["update"] = time.perf_counter() - self.started - seconds["generate"] - seconds["reward"]


class WeightWatch(Watch):
    """Measures on a sample of the weights how many an update changes, and by how much."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        self.before = sampled_weights(model)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        after = sampled_weights(model)
        ratio = (after - self.before).norm() / self.before.norm()
        self.trainer.step_record["weights_changed"] = (after != self.before).float().mean().item()
        self.trainer.step_record["update_ratio"] = ratio.item()


def sampled_weights(model: torch.nn.Module) -> torch.Tensor:
    """A copy of evenly spaced elements of each trained tensor, or of this process's shard of it."""
    samples = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
            flat = local.detach().reshape(-1)
            samples.append(flat[:: max(1, flat.numel() // SAMPLED_WEIGHTS)].float().cpu())
    return torch.cat(samples)


@dataclass
class HeldoutControl(Watch):
    """Checks the policy on tasks that it is not trained on, before training and every `every` steps.

    It saves and keeps the best checkpoint. The run ends after `patience` checks without a better one (0: never).
    """

    tasks: list[Task]
    every: int
    temperature: float
    patience: int

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.history = self.trainer.run_log.read(HELDOUT_LOG, state.global_step)
        if not self.history:
            self.check(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every:
            return
        self.check(state.global_step)
        if best_heldout(self.history)["step"] == state.global_step:
            state.best_global_step, state.best_metric = state.global_step, self.history[-1]["pass_rate"]
            control.should_save = True
        if self.patience and checks_without_gain(self.history) >= self.patience:
            self.trainer.ended = f"early stop, no better held-out pass rate in {self.patience} checks"
            print(self.trainer.ended, flush=True)
            control.should_save = control.should_training_stop = True

    def check(self, step: int) -> None:
        rollouts = self.trainer.sample(self.tasks, self.temperature)
        statuses = {rollout.task_id: rollout.status for rollout in rollouts}
        first = self.history[0]["statuses"] if self.history else {}
        self.history.append(finite(heldout_record(step, statuses, first)))
        if self.trainer.accelerator.is_main_process:
            self.trainer.run_log.append(HELDOUT_LOG, self.history[-1:])
        print(heldout_line(self.history), flush=True)
        warning = gap_warning(self.history, self.trainer.metrics)
        print(warning, end="\n" if warning else "", flush=True)
        alarm = loss_alarm(self.history)
        if alarm:
            print(f"warning: {alarm.message}", flush=True)
        if alarm and alarm.stop:
            self.trainer.end(alarm.message)


@dataclass
class StopBetweenSteps(Watch):
    """Ends training after the step in which a stop signal reached any process.

    `every` is the number of steps that share one generation. Only at its multiples can a checkpoint resume exactly.
    """

    stop: StopSignal
    every: int

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every:
            return
        if self.trainer.agreed(self.stop):
            self.trainer.end(self.stop.name)

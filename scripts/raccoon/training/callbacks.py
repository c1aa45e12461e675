"""Callbacks that watch a run: the clock, the weights, the memory, the held-out control, the stop signal.

This file imports torch at its top, so the training script imports it late.
"""

import inspect
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pkgutil import resolve_name
from runpy import run_path
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from raccoon.constants import InputError, RunError, check_choice
from raccoon.decoding import own_randomness
from raccoon.launch import StopSignal
from raccoon.runs import heldout
from raccoon.runs.diagnosis import closing_paragraph, replay
from raccoon.runs.log import HELDOUT_LOG, METRICS_LOG, STEP_PARTS, finite
from raccoon.tasks.task import Task
from raccoon.training.library_internals import left_alone, sleeping_bytes

SAMPLED_WEIGHTS = 256  # elements of each tensor that are watched; to watch all would need a copy of the model
CPU_TOKENS = 16  # tokens that a dry run generates without a GPU; each may take a second


def check_trackers(names: Sequence[str]) -> None:
    """Raises InputError for a tracker that transformers has no callback for, or whose package it does not find."""
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    for name in names:
        check_choice("REPORT_TO", name, ("none", *INTEGRATION_TO_CALLBACK))
        try:
            INTEGRATION_TO_CALLBACK[name]()  # sends nothing before the trainer calls it
        except (ImportError, RuntimeError, ValueError) as error:
            raise InputError(f"REPORT_TO {name} cannot be used: {error} Or leave it out of REPORT_TO") from error


def callback_makers(names: Sequence[str]) -> list[Callable[[], Any]]:
    """What the names stand for: "module:name", or "path/file.py:name". Raises InputError for what cannot be called."""
    found = []
    for name in names:
        place, _, inside = name.rpartition(":")
        try:
            maker = run_path(place)[inside] if place.endswith(".py") else resolve_name(name) if place else None
        except (ImportError, AttributeError, KeyError, OSError, SyntaxError, ValueError) as error:
            raise InputError(
                f"CALLBACKS {name} is not found: {error}; install its package, or give its file"
            ) from error
        if not callable(maker):
            raise InputError(
                f"CALLBACKS {name!r} names no callback; give module:name or file.py:name of a subclass of "
                "transformers.TrainerCallback, or of a function that returns one"
            )
        if not takes_nothing(maker):
            raise InputError(
                f"CALLBACKS {name} needs arguments, and is called without any; give a function that returns one"
            )
        found.append(maker)
    return found


def takes_nothing(maker: Callable[..., Any]) -> bool:
    try:
        inspect.signature(maker).bind()
    except TypeError:
        return False
    except ValueError:  # it tells no signature
        return True
    return True


def added_callbacks(names: Sequence[str]) -> list[TrainerCallback]:
    """The callbacks that CALLBACKS names, made without arguments. Raises InputError for what is none."""
    made = [maker() for maker in callback_makers(names)]
    for name, callback in zip(names, made, strict=True):
        if not isinstance(callback, TrainerCallback):
            raise InputError(f"CALLBACKS {name} makes a {type(callback).__name__}; give a transformers.TrainerCallback")
    return made


class PeakMemory:
    """The most memory that this process has held since `restart`, on the GPU if there is one, else on the machine.

    What sleeps in vLLM (`engine`, if it sleeps in this process) is not held, but torch counts it. So the counter starts
    again whenever more or less of it sleeps, and the peak of each part is what torch counted minus what slept.
    """

    def __init__(self, engine: Any = None) -> None:
        for name in ("sleep", "wake_up") if engine else ():
            setattr(engine, name, partial(self.across, getattr(engine, name)))
        self.restart()

    def restart(self) -> None:
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


class StepWatch(Watch):
    """Splits a step's seconds into their parts (log.TIMED), and measures what the update changes.

    The share of weights that change, and by how much, are those of a sample. It also loads the steps before a resume.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        trainer, log = self.trainer, self.trainer.run_log
        trainer.metrics, checks = (log.read(name, state.global_step) for name in (METRICS_LOG, HELDOUT_LOG))
        trainer.sentinels, trainer.findings = replay(trainer.metrics, checks)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.perf_counter()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        self.before = sampled_weights(model)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        after = sampled_weights(model)
        ratio = (after - self.before).norm() / self.before.norm()
        self.trainer.step_record["weights_changed"] = (after != self.before).float().mean().item()
        self.trainer.step_record["update_ratio"] = ratio.item()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        seconds = self.trainer.seconds
        others = sum(seconds[part] for part in STEP_PARTS if part != "update")
        seconds["update"] = time.perf_counter() - self.started - others

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        closing = closing_paragraph(self.trainer.findings)
        print(closing, end="\n" if closing else "", flush=True)


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
    """Checks the policy on the held-out tasks before training, between steps and at the end; saves the best one."""

    tasks: list[Task]
    constants: heldout.Heldout

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.history = self.trainer.run_log.read(HELDOUT_LOG, state.global_step)
        if not self.history:
            self.check(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.constants.every and state.global_step < state.max_steps:
            return
        self.check(state.global_step)
        if heldout.best_heldout(self.history)["step"] == state.global_step:
            state.best_global_step, state.best_metric = state.global_step, self.history[-1]["pass_rate"]
            control.should_save = True
        patience = self.constants.patience
        if patience and heldout.checks_without_gain(self.history) >= patience:
            self.trainer.ended = f"early stop, no better held-out pass rate in {patience} checks"
            print(self.trainer.ended, flush=True)
            control.should_save = control.should_training_stop = True

    def check(self, step: int) -> None:
        with self.trainer.clock("heldout"):
            rollouts = self.trainer.sampler.sample(self.tasks, self.constants.temperature)
        statuses = {rollout.task_id: rollout.status for rollout in rollouts}
        first = self.history[0]["statuses"] if self.history else {}
        at_first = None
        if self.trainer.conversations:
            at_first = sum(rollout.status == "PASS" and len(rollout.turns) == 1 for rollout in rollouts)
        self.history.append(finite(heldout.heldout_record(step, statuses, first, at_first)))
        if self.trainer.accelerator.is_main_process:
            self.trainer.run_log.append(HELDOUT_LOG, self.history[-1:])
        print(heldout.heldout_line(self.history), flush=True)
        self.trainer.report(self.trainer.sentinels.check(self.history[-1]))


@dataclass
class StopBetweenSteps(Watch):
    """Ends training after the step in which a stop signal reached any process, at a multiple of `every`.

    So many steps share one generation: a checkpoint between them could not resume exactly.
    """

    stop: StopSignal
    every: int

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every == 0 and self.trainer.agreed(self.stop):
            self.trainer.end(self.stop.name)


@dataclass
class MemoryProbe(Watch):
    """Makes passes at full length when training begins, so that a lack of memory (RunError) shows in the first minute.

    They train nothing and change nothing: no gradient, no metric and no random state. With `then_end`, the dry run, it
    also generates at full length, prints its measurements beside the plan, and ends the process. In a step of several
    passes, a pass has the gradients of earlier ones beside it, so two are made. Adam has no moments before a new run's
    first update, so as much memory is held in their place.
    """

    prompt: int  # tokens
    completion: int  # all that follows the prompt
    moments_gb: float  # of Adam
    planned: dict[str, float]  # GB while "training" and "generating", least seconds of a "pass" and a "token"
    then_end: bool

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        passes = min(args.gradient_accumulation_steps, 2)
        what = f"a pass of {args.per_device_train_batch_size} x {self.prompt + self.completion} tokens"
        slow = "" if torch.cuda.is_available() else ", which takes a while without a GPU"
        print(f"probe    {what} begins{slow}", flush=True)
        size = self.missing_moments() if torch.cuda.is_available() else 0
        moments = self.fitting(what, lambda: torch.empty(size, dtype=torch.uint8, device=args.device))
        seconds = self.fitting(what, lambda: [self.timed(self.run_pass) for _ in range(passes)][-1])
        self.trainer.model_wrapped.zero_grad(set_to_none=True)
        training = self.trainer.memory.gb
        beside = f" of {self.planned['training']:.3g} planned" if "training" in self.planned else ""
        print(f"probe    {what}: peak {training:.3g} GB{beside}", flush=True)
        self.forget_peak()
        if self.then_end:
            print("probe    generating at full length begins", flush=True)
            token = self.fitting("generating at full length", self.generate)
            peaks = {"training": training, "generating": self.trainer.memory.gb}
            self.print_list({**peaks, "pass": seconds, "token": token})
            sys.exit(0)
        del moments
        self.forget_peak()  # the run's own peak counts from here

    def forget_peak(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.trainer.memory.restart()

    def missing_moments(self) -> int:
        """The bytes of Adam's moments that the optimizer does not hold: in a resumed run it has them already."""
        values = [value for state in self.trainer.optimizer.state.values() for value in state.values()]
        tensors = [value for value in values if torch.is_tensor(value)]
        held = sum((each.to_local() if isinstance(each, DTensor) else each).nbytes for each in tensors)
        return max(0, int(self.moments_gb * 1e9) - held)

    def fitting(self, what: str, work: Callable[[], Any]) -> Any:
        """Returns what `work` returns. If the GPU's memory is too small, raises RunError with the remedy."""
        try:
            return work()
        except torch.cuda.OutOfMemoryError as error:
            reason = str(error).splitlines()[0]
            raise RunError(
                f"{what} does not fit the GPU ({reason}); --plan shows the nearest setting that does"
            ) from error

    def timed(self, work: Callable[[], Any]) -> float:
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - started

    def run_pass(self) -> None:
        """A forward and backward pass of the largest batch, through every wrapper that training uses."""
        trainer = self.trainer
        model = trainer.model_wrapped
        model.train()
        trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
        with left_alone(trainer):
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(model, self.batch())
            trainer.accelerator.backward(loss)

    def generate(self) -> float:
        """Seconds a token, for generation from the longest prompts in which no completion ends early."""
        trainer, cuda = self.trainer, torch.cuda.is_available()
        answer = min(self.completion, trainer.max_completion_length)  # the last of a conversation
        tokens = answer if cuda else min(answer, CPU_TOKENS)
        size = trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation
        words = trainer.model.config.vocab_size
        longest = self.prompt + self.completion - answer
        prompts = [[place % words for place in range(longest)] for _ in range(size)]
        prompts[0] = prompts[0][1:] or prompts[0]  # padded, as in training
        kept = trainer.generation_config
        if not trainer.use_vllm:
            limits = {"min_new_tokens": tokens, "max_new_tokens": tokens}
            trainer.generation_config = type(kept)(**kept.to_diff_dict() | limits)
        try:
            with own_randomness(), trainer.sampler.gathered():
                return self.timed(lambda: trainer.sampler.complete(prompts, None, {}, 1)) / tokens
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
        first = torch.arange(size, device=device)[:, None]  # no two prompts are equal, so none is shared
        batch = {}
        for part, length in (("prompt", self.prompt), ("completion", self.completion)):
            batch[f"{part}_ids"] = (torch.arange(length, device=device) + first) % words
            batch[f"{part}_mask"] = torch.ones((size, length), dtype=torch.long, device=device)
        batch["prompt_mask"][0, 0] = 0
        batch["advantages"] = torch.zeros(size, device=device)  # zero, so that nothing is learnt
        batch["ref_per_token_logps"] = torch.zeros((size, self.completion), device=device)
        if self.trainer.use_vllm:
            batch["importance_sampling_ratio"] = torch.ones((size, self.completion), device=device)
        tokens = size * self.completion * args.steps_per_generation * self.trainer.accelerator.num_processes
        return batch | {"num_items_in_batch": torch.tensor(tokens, device=device)}

"""The trainer: TRL's GRPOTrainer for executed code, with logs, sentinels, checkpoints that count once they are whole.

It imports torch, transformers and trl at its top, so it is imported only after every check of the input has passed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from peft import NoMatchingPeftModuleError
from transformers import PrinterCallback

from raccoon.constants import InputError
from raccoon.launch import StopSignal
from raccoon.model_files import open_to_others
from raccoon.runs.checkpoints import SIZES_FILE, remove_old, write_sizes
from raccoon.runs.findings import Finding
from raccoon.runs.log import (
    COMPLETIONS_LOG,
    METRICS_LOG,
    TIMED,
    TRL_NAMES,
    Rollout,
    RunLog,
    completion_records,
    finite,
    rollout_metrics,
    seconds_left,
    step_line,
)
from raccoon.runs.sentinels import Sentinels
from raccoon.tasks.task import Task
from raccoon.training import batches, sharding
from raccoon.training.callbacks import PeakMemory, StepWatch, Watch
from raccoon.training.library_internals import OpenTrainer, engine_settings, push_merged_copies
from raccoon.training.policy import saving
from raccoon.training.sampling import Conversations, Sampler
from raccoon.training.vllm_rollouts import sampling_ratios


class CodeTrainer(OpenTrainer):
    """GRPO (arXiv 2402.03300, as TRL implements it) on completions whose code is executed.

    It logs every completion and every step. `reward` provides its reward functions; `savings` are names of SAVINGS;
    at most `refills` times a step it draws other groups for those that teach nothing; `sample_rows` completions are
    sampled together outside of steps; with `conversations` a completion has several turns. After training,
    `stop_reason` says why the run is unfinished ("" if it is finished), and `ended` says what ended a finished run.
    """

    def __init__(
        self,
        *,
        reward: Any,
        run_log: RunLog,
        savings: tuple[str, ...] = (),
        refills: int = 0,
        kept_checkpoints: int = 0,
        sample_rows: int = 0,
        conversations: Conversations | None = None,
        **kwargs: Any,
    ) -> None:
        self.reward, self.run_log, self.kept_checkpoints = reward, run_log, kept_checkpoints
        self.seconds = dict.fromkeys(TIMED, 0.0)  # since the newest line of metrics.jsonl
        self.step_record: dict[str, Any] = {}
        self.metrics: list[dict] = []  # the lines of metrics.jsonl
        self.sentinels, self.findings = Sentinels(), list[Finding]()
        self.stop_reason, self.ended = "", "the last step was made"
        kwargs["callbacks"] = [StepWatch(), *kwargs.get("callbacks", ())]
        self.conversations = conversations
        if conversations:
            conversations.trainer = self
            kwargs["rollout_func"] = conversations.rollouts
        with engine_settings(kwargs["model"], kwargs["args"]):
            try:
                super().__init__(reward_funcs=[self.clocked(each) for each in reward.functions], **kwargs)
            except NoMatchingPeftModuleError as error:
                wanted = "give all-linear, or a regular expression of whole names, like .*[qv]_proj"
                raise InputError(f"no layer of the model is one of LORA_TARGETS: {wanted}") from error
        self.remove_callback(PrinterCallback)
        if self.args.scale_rewards == "mean":  # graded_batch divides
            self.scale_rewards = "none"
        self.mask_truncated_completions = self.args.mask_truncated_completions is True
        if self.is_fsdp_enabled:
            sharding.configure(self.accelerator)
        self.share_prompts = "prompts" in savings
        if self.share_prompts:
            batches.check_sharing(self.model, conversations.longest if conversations else self.max_completion_length)
        adapters = kwargs.get("peft_config") is not None
        if adapters and self.use_vllm:
            push_merged_copies(self)
        self.sampler = Sampler(self, savings, sample_rows, adapters)
        self.refills, self.passes = batches.Refills(self, refills), batches.PlannedPasses(self, savings)
        self.memory = PeakMemory(self.vllm_generation.llm if self.args.vllm_enable_sleep_mode else None)
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, Watch):
                callback.trainer = self

    def train_on(self, tasks: list[Task], order: list[Task]) -> None:
        """Sets the run's prompts, in their order, and the tasks from which refills draw."""
        self.refills.tasks, self.train_dataset = tasks, batches.rows(order)

    @contextmanager
    def clock(self, part: str) -> Iterator[None]:
        """Adds the time of the block to a part of the step's seconds."""
        started = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - started

    def clocked(self, function: Callable[..., list[float | None]]) -> Callable[..., list[float | None]]:
        """A reward function that adds its time, and then that until the slowest process is done, to the step's."""

        @wraps(function)
        def scored(*args: Any, **kwargs: Any) -> list[float | None]:
            with self.clock("reward"):
                rewards = function(*args, **kwargs)
            with self.clock("wait"):
                self.accelerator.wait_for_everyone()
            return rewards

        return scored

    def sample_completions(self, *args: Any, **kwargs: Any) -> Any:
        with self.clock("generate"), self.sampler.generation():
            return self.sampler.complete(*args, **kwargs)

    def token_logprobs(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, ...]:
        """TRL's, except where prompts are shared, and in bfloat16 on a CPU, where its tiles would take float32.

        The entropies have a gradient if the loss has a term of them.
        """
        tiles = not self.share_prompts and not (self.args.use_cpu and self.args.bf16)
        if tiles or kwargs.get("compute_aux_loss"):
            return self.trl_logprobs(model, input_ids, attention_mask, logits_to_keep, batch_size, **kwargs)
        size, logprobs_of = (
            batch_size or len(input_ids),
            batches.shared_logprobs if self.share_prompts else batches.separate_logprobs,
        )
        with self.accelerator.autocast():
            parts = [
                logprobs_of(model, ids, kept, logits_to_keep, self.temperature, self.has_entropy_term)
                for ids, kept in zip(input_ids.split(size), attention_mask.split(size), strict=True)
            ]
        logprobs, entropies = (torch.cat(values) for values in zip(*parts, strict=True))
        return logprobs, entropies, None

    def compute_loss(self, model: Any, inputs: dict, *args: Any, **kwargs: Any) -> Any:
        return super().compute_loss(model, self.passes.instead_of(inputs), *args, **kwargs)

    def graded_batch(self, inputs: list[dict]) -> tuple[dict[str, Any], list[Rollout]]:
        """TRL's batch of these rows, and their rollouts."""
        if self.conversations:
            self.conversations.tasks = [Task(**row["task"]) for row in inputs]
            with self.clock("generate"):
                self.sampler.push()  # TRL would push the weights too, but not check them
        output, rollouts = self.trl_batch(inputs), self.reward.take_rollouts()
        if self.args.scale_rewards == "mean":
            output["advantages"] = batches.mean_scaled_advantages(
                output["advantages"], rollouts, self.num_generations, self.accelerator
            )
        if self.args.mask_truncated_completions == "passed":
            batches.leave_out_passed(output, rollouts, self.accelerator.gather)
        return output, rollouts

    def make_batch(self, inputs: list[dict]) -> dict[str, Any]:
        output, rollouts = self.graded_batch(inputs)
        unused = self.refills.fill(output, rollouts)
        self.log_rollouts(output["advantages"].tolist(), rollouts, unused)
        if self.use_vllm:
            cap = self.args.vllm_importance_sampling_clip_max
            self.step_record |= sampling_ratios(output, cap, self.accelerator.gather)
        return output

    def log_rollouts(self, advantages: list[float], rollouts: list[Rollout], unused: list[Rollout]) -> None:
        """Logs every completion of the step, of all processes; those of groups left out are marked as unused."""
        own = [replace(rollout, advantage=advantage) for rollout, advantage in zip(rollouts, advantages, strict=True)]
        together = gather_object(own + [replace(rollout, used=False) for rollout in unused])
        turns = self.conversations.turns.most if self.conversations else 1
        self.step_record = rollout_metrics(together, self.num_generations, turns)
        if self.accelerator.is_main_process:
            records = completion_records(self.state.global_step + 1, self.num_generations, together)
            self.run_log.append(COMPLETIONS_LOG, records)

    def clip_gradients(self, model: torch.nn.Module) -> torch.Tensor:
        norm = self.trl_clipping(model)
        if not torch.isfinite(norm):
            self.optimizer.zero_grad()  # such an update would destroy every weight
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" not in logs:
            return super().log(logs, start_time)
        logs |= {name: value for name, value in self.step_record.items() if isinstance(value, float)}
        super().log(logs, start_time)
        record = {"step": self.state.global_step, **self.step_record, "seconds": self.take_seconds()}
        record["peak_memory_gb"] = self.memory.gb
        kept = ("loss", "grad_norm", "learning_rate", "entropy", "kl", "num_tokens", *TRL_NAMES)
        self.metrics.append(finite(record | {name: logs.get(name) for name in kept}))
        if self.accelerator.is_main_process:
            self.run_log.append(METRICS_LOG, self.metrics[-1:])
            left = seconds_left(self.metrics, self.state.max_steps)
            print(step_line(self.metrics[-1], self.state.max_steps, left), flush=True)
        self.report(self.sentinels.see(self.metrics[-1]))

    def report(self, findings: list[Finding]) -> None:
        """Prints what the sentinels found; ends the run if a finding says so."""
        self.findings += findings
        for found in findings:
            kind = "info" if found.severity == "info" else "warning"
            print(f"{kind}: step {found.seen}: {found.message}", flush=True)
            if found.severity == "stop":
                self.end(found.message)

    def take_seconds(self) -> dict[str, float]:
        """The seconds since the newest line, as means over the processes; they count from 0 again."""
        own = torch.tensor([[*self.seconds.values()]], dtype=torch.float64, device=self.args.device)
        self.seconds = dict.fromkeys(TIMED, 0.0)
        return dict(zip(TIMED, self.accelerator.gather(own).mean(dim=0).tolist(), strict=True))

    def agreed(self, stop: StopSignal) -> int:
        """The stop signal's number, or 0, the same on all processes, which it may not have reached at once."""
        stop.number = self.most(stop.number)
        return stop.number

    def most(self, number: int) -> int:
        """The largest of the processes' numbers."""
        return int(self.accelerator.gather(torch.tensor([number], device=self.args.device)).max())

    def end(self, reason: str) -> None:
        """Ends training after this step, and saves a checkpoint."""
        self.stop_reason = reason
        self.control.should_save = self.control.should_training_stop = True

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Writes nothing: model_card.py writes the card at the end, from the run's logs."""

    def write_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Writes TRL's checkpoint. When all of it is written, marks it as whole and deletes older ones."""
        folder, state = self.args.output_dir, self.state
        checkpoint = Path(folder) / f"checkpoint-{state.global_step}"
        with self.clock("checkpoint"), saving(checkpoint.name, folder):
            if self.accelerator.is_main_process:
                (checkpoint / SIZES_FILE).unlink(missing_ok=True)  # it may be written over a damaged one
            self.trl_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                open_to_others(checkpoint)
                write_sizes(checkpoint, self.accelerator.num_processes)
                remove_old(folder, self.kept_checkpoints, state.global_step, state.best_global_step)

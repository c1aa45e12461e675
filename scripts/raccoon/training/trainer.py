"""The trainer: TRL's GRPOTrainer for executed code, with refills, logs, sentinels, checkpoints and samples.

It has no settings of its own: recipe/building.py passes the script's constants. It imports torch, transformers and trl
at its top, so it is imported only after every check of the input has passed.
"""

import math
import random
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import GenerationConfig, PrinterCallback
from trl.trainer.utils import nanstd

from raccoon import decoding
from raccoon.cpu import return_freed_memory
from raccoon.decoding import WorkingCopy, own_randomness
from raccoon.progress import progress_bar
from raccoon.runs.checkpoints import remove_old, remove_sizes, write_sizes
from raccoon.runs.log import COMPLETIONS_LOG, METRICS_LOG, PROFILE_LOG, RunLog, finite
from raccoon.runs.profile import profile_records
from raccoon.runs.rollouts import Rollout, completion_records, rollout_metrics, seconds_left, step_line
from raccoon.runs.sentinels import alarms
from raccoon.runs.stop import StopSignal
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import Task
from raccoon.training import sharding
from raccoon.training.batches import (
    check_sharing,
    constant_groups,
    copy_rows,
    rows,
    rows_with_signal,
    separate_logprobs,
    shared_logprobs,
    signal_first,
    task_row,
)
from raccoon.training.callbacks import PeakMemory, Watch
from raccoon.training.export import saving
from raccoon.training.library_internals import OpenTrainer, engine_settings, push_merged_copies
from raccoon.training.policy import generating
from raccoon.training.sharding import unsharded
from raccoon.training.vllm_rollouts import push_weights, sampling_ratios


class CodeTrainer(OpenTrainer):
    """GRPO (arXiv 2402.03300, as TRL implements it) on completions whose code is executed.

    It logs every completion and every step. It swaps groups that teach nothing for groups of other `tasks`, at most
    `max_refills` times a step (dynamic sampling, arXiv 2503.14476).

    `reward` provides its reward functions. Outside of steps it samples `sample_rows` completions together, or as many
    as in a step if that is more. After training, `stop_reason` says why the run is unfinished ("" if it is finished),
    and `ended` says what ended a finished run.
    """

    def __init__(
        self,
        *,
        reward: Any,
        tasks: list[Task],
        max_refills: int,
        run_log: RunLog,
        fence_stop: Any = None,
        lean: bool = False,
        skip_rows: bool = False,
        share_prompts: bool = False,
        kept_checkpoints: int = 0,
        sample_rows: int = 0,
        **kwargs: Any,
    ) -> None:
        with engine_settings(kwargs["model"], kwargs["args"]):
            super().__init__(reward_funcs=reward.functions, train_dataset=rows(tasks), **kwargs)
        self.remove_callback(PrinterCallback)
        if self.is_fsdp_enabled:
            sharding.configure(self.accelerator)
        self.reward, self.tasks, self.max_refills = reward, tasks, max_refills
        self.run_log, self.fence_stop = run_log, fence_stop
        self.lean, self.skip_rows, self.share_prompts = lean, skip_rows, share_prompts
        self.kept_checkpoints = kept_checkpoints
        self.sample_rows = max(sample_rows, self.args.per_device_train_batch_size * self.args.steps_per_generation)
        if share_prompts:
            check_sharing(self.model, self.max_completion_length)
        adapters = kwargs.get("peft_config") is not None
        computed = adapters or self.is_fsdp_enabled  # then whole weights are in the precision of the computation
        self.working_copy = WorkingCopy(torch.bfloat16) if lean and self.args.bf16 and not computed else None
        if adapters and self.use_vllm:
            push_merged_copies(self)
        self.memory = PeakMemory(self.vllm_generation.llm if self.args.vllm_enable_sleep_mode else None)
        self.metrics: list[dict] = []  # the lines of metrics.jsonl
        self.stop_reason, self.ended = "", "the last step was made"
        self.seconds = {"generate": 0.0, "reward": 0.0, "update": 0.0}
        self.step_record: dict[str, Any] = {}
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, Watch):
                callback.trainer = self

    def train_on(self, tasks: list[Task], order: list[Task]) -> None:
        """Sets the run's prompts, in their order, and the tasks from which refills draw."""
        self.tasks, self.train_dataset = tasks, rows(order)

    def sample_completions(self, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        if self.args.use_cpu:
            return_freed_memory()  # the update's
        with self.gathered():
            generated = self.complete(*args, **kwargs)
        if self.args.use_cpu:
            return_freed_memory()
        self.seconds["generate"] += time.perf_counter() - started
        return generated

    def gathered(self) -> AbstractContextManager:
        """Holds the whole weights on each process while it generates; not with vLLM, which has its own copy."""
        return nullcontext() if self.use_vllm else unsharded(self.model)

    def complete(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's completions, sampled with the newest weights."""
        if self.use_vllm:
            push_weights(self, self.prompt_token_ids([messages(self.tasks[0])])[0])
        if self.lean:
            return self.decode(*args), None
        with generating(self.accelerator.unwrap_model(self.model), self.fence_stop):
            completion_ids, logprobs = super().sample_completions(*args, **kwargs)
        return self.fence_stop.cut(completion_ids) if self.fence_stop else completion_ids, logprobs

    def decode(self, prompt_ids: list[list[int]], *_: Any) -> list[list[int]]:
        """Completions of the prompts from this project's own decoding loop, ROWS at a time."""
        policy, config = self.accelerator.unwrap_model(self.model), self.generation_config
        ends, shortest = set(self.eos_token_ids), config.min_new_tokens or 0
        stop = self.fence_stop.closes if self.fence_stop else lambda ids: False

        def closes(row: int, ids: list[int]) -> bool:
            return len(ids) >= shortest and (ids[-1] in ends or stop(ids))

        model = self.working_copy.of(policy) if self.working_copy else policy
        training, completions = model.training, []
        model.eval()
        for start in range(0, len(prompt_ids), decoding.ROWS):
            completions += decoding.decode(
                model,
                prompt_ids[start : start + decoding.ROWS],
                self.max_completion_length,
                decoding.sampler(config),
                closes,
            )
        model.train(training)
        if self.working_copy and not self.args.use_cpu:
            self.working_copy.drop()  # a GPU needs its memory for the update
        return completions

    def token_logprobs(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, ...]:
        """TRL's, except where prompts are shared, and in bfloat16 on a CPU.

        There TRL's tiles would compute the gradient of the output head in float32.
        """
        tiles = not self.share_prompts and not (self.args.use_cpu and self.args.bf16)
        if tiles or kwargs.get("compute_aux_loss"):
            return super().token_logprobs(model, input_ids, attention_mask, logits_to_keep, batch_size, *args, **kwargs)
        size, logprobs_of = batch_size or len(input_ids), shared_logprobs if self.share_prompts else separate_logprobs
        with self.accelerator.autocast():
            parts = [
                logprobs_of(model, ids, kept, logits_to_keep, self.temperature)
                for ids, kept in zip(input_ids.split(size), attention_mask.split(size), strict=True)
            ]
        logprobs, entropies = (torch.cat(values) for values in zip(*parts, strict=True))
        return logprobs, entropies, None

    def plan_passes(self, passes: list[dict]) -> list[dict]:
        """One generation's passes, the same number of rows in each process. Those of one step may be sorted."""
        if not self.skip_rows and not self.share_prompts:
            return passes
        if self.args.steps_per_generation == self.args.gradient_accumulation_steps:
            passes = signal_first(passes, by_prompt=self.share_prompts)
        if not self.skip_rows:
            return passes
        counts = torch.stack([batch["advantages"].count_nonzero() for batch in passes])
        most = self.accelerator.gather(counts[None]).amax(dim=0).clamp(min=1).tolist()
        return [rows_with_signal(batch, count) for batch, count in zip(passes, most, strict=True)]

    def score_completions(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        started = time.perf_counter()
        rewards = super().score_completions(*args, **kwargs)
        self.seconds["reward"] += time.perf_counter() - started
        return rewards

    def make_batch(self, inputs: list[dict]) -> dict[str, Any]:
        output = super().make_batch(inputs)
        rollouts, unused = self.reward.take_rollouts(), []
        for attempt in range(self.max_refills):
            constant = constant_groups(rollouts, self.num_generations)
            wanted = self.most(len(constant))
            if not wanted:
                break
            spare = super().make_batch(self.spare_inputs(wanted, attempt))
            drawn = self.reward.take_rollouts()
            useful = sorted(set(range(wanted)) - set(constant_groups(drawn, self.num_generations)))
            self.swap(output, rollouts, spare, drawn, list(zip(constant, useful, strict=False)))
            unused += drawn
        self.log_rollouts(output["advantages"].tolist(), rollouts, unused)
        if self.use_vllm:
            cap = self.args.vllm_importance_sampling_clip_max
            self.step_record |= sampling_ratios(output, cap, self.accelerator.gather)
        return output

    def spare_inputs(self, groups: int, attempt: int) -> list[dict]:
        """This process's rows for a refill. Step and attempt decide its tasks, so that a resumed run draws the same."""
        draw = random.Random(f"{self.args.seed} {self.state.global_step} {attempt}")
        drawn = draw.choices(self.tasks, k=groups * self.accelerator.num_processes)
        own = drawn[self.accelerator.process_index * groups :][:groups]
        return [task_row(task) for task in own for _ in range(self.num_generations)]

    def swap(
        self, output: dict, rollouts: list[Rollout], spare: dict, drawn: list[Rollout], groups: list[tuple[int, int]]
    ) -> None:
        """Exchanges groups of `output` and `rollouts` for groups of `spare` and `drawn`."""
        size = self.num_generations
        pairs = [(into * size + i, out_of * size + i) for into, out_of in groups for i in range(size)]
        copy_rows(output, spare, pairs, self.pad_token_id)
        for into, out_of in pairs:
            rollouts[into], drawn[out_of] = drawn[out_of], rollouts[into]
        output["num_items_in_batch"] = self.accelerator.gather(output["completion_mask"].sum()).sum()
        if self.scale_rewards == "batch":
            output["advantages"] = self.batch_scaled_advantages(rollouts)

    def batch_scaled_advantages(self, rollouts: list[Rollout]) -> torch.Tensor:
        """TRL's advantages for scale_rewards="batch", computed again after groups were swapped."""
        values = [math.nan if rollout.reward is None else rollout.reward for rollout in rollouts]
        rewards = torch.tensor(values, device=self.args.device)
        groups = rewards.view(-1, self.num_generations)
        centred = (groups - groups.nanmean(dim=1, keepdim=True)).flatten()
        return (centred / (nanstd(self.accelerator.gather(rewards)) + 1e-4)).nan_to_num(nan=0.0)

    def log_rollouts(self, advantages: list[float], rollouts: list[Rollout], unused: list[Rollout]) -> None:
        """Logs every completion of the step, of all processes; those of groups left out are marked as unused."""
        own = [replace(rollout, advantage=advantage) for rollout, advantage in zip(rollouts, advantages, strict=True)]
        together = gather_object(own + [replace(rollout, used=False) for rollout in unused])
        self.step_record = rollout_metrics(together, self.num_generations)
        if self.accelerator.is_main_process:
            records = completion_records(self.state.global_step + 1, self.num_generations, together)
            self.run_log.append(COMPLETIONS_LOG, records)

    def clip_gradients(self, model: torch.nn.Module) -> torch.Tensor:
        norm = super().clip_gradients(model)
        if not torch.isfinite(norm):
            self.optimizer.zero_grad()  # such an update would destroy every weight
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" not in logs:
            return super().log(logs, start_time)
        logs |= {name: value for name, value in self.step_record.items() if isinstance(value, float)}
        super().log(logs, start_time)
        record = {
            "step": self.state.global_step,
            **self.step_record,
            "seconds": dict(self.seconds),
            "peak_memory_gb": self.memory.gb,
        }
        for name in ("loss", "grad_norm", "learning_rate", "entropy", "kl", "num_tokens"):
            record[name] = logs.get(name)
        self.metrics.append(finite(record))
        if self.accelerator.is_main_process:
            self.run_log.append(METRICS_LOG, self.metrics[-1:])
            left = seconds_left(self.metrics, self.state.max_steps)
            print(step_line(self.metrics[-1], self.state.max_steps, left), flush=True)
        for alarm in alarms(self.metrics):
            print(f"warning: step {record['step']}: {alarm.message}", flush=True)
            if alarm.stop:
                self.end(alarm.message)

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

    def sample(self, tasks: list[Task], temperature: float, shown: str = "") -> list[Rollout]:
        """A completion of each task, in order; temperature 0 is greedy. Training's random state is not changed.

        `shown` names the progress bar; "" shows none.
        """
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        share = -(-len(tasks) // processes)
        own = (tasks + tasks[:1] * processes)[rank * share :][:share]  # the same number on each process
        prompt_ids = self.prompt_token_ids([messages(task) for task in own])
        size = len(own) if self.use_vllm else self.sample_rows  # vLLM makes its own batches
        completion_ids: list[list[int]] = []
        bar = progress_bar(total=len(own), desc=shown, unit="completion", disable=not shown or rank > 0)
        with own_randomness(), Sampling(self, temperature), self.gathered(), bar:
            torch.manual_seed(self.args.seed + rank)
            for start in range(0, len(own), size):
                ids, _ = self.complete(prompt_ids[start : start + size], None, {}, 1)
                completion_ids += ids
                bar.update(len(ids))
        return gather_object(self.reward.evaluate(own, completion_ids))[: len(tasks)]

    def profile(self, tasks: list[Task], samples: int, temperature: float) -> list[dict]:
        """The lines of profile.jsonl: the policy's results on each task before training. Made once in a run."""
        profile = self.run_log.read(PROFILE_LOG, until=0)
        if not profile:
            if self.is_fsdp_enabled:
                self.model = self.model_wrapped = sharding.shard(self.accelerator, self.model)
            sampled = [task for task in tasks for _ in range(samples)]
            profile = profile_records(self.sample(sampled, temperature, "profile"))
            if self.accelerator.is_main_process:
                self.run_log.append(PROFILE_LOG, profile)
        return profile

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Writes nothing: model_card.py writes the card at the end, from the run's logs."""

    def write_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Writes TRL's checkpoint. When all of it is written, marks it as whole and deletes older ones."""
        checkpoint = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        with saving(checkpoint.name, self.args.output_dir):
            if self.accelerator.is_main_process:
                remove_sizes(checkpoint)
            super().write_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                write_sizes(checkpoint, self.accelerator.num_processes)
                remove_old(
                    self.args.output_dir, self.kept_checkpoints, self.state.global_step, self.state.best_global_step
                )


class Sampling:
    """Generation at a temperature other than training's (0: greedy), within a with block."""

    def __init__(self, trainer: CodeTrainer, temperature: float) -> None:
        self.engine = trainer.vllm_generation if trainer.use_vllm else trainer
        self.changed: dict[str, Any] = {"temperature": temperature}
        if not trainer.use_vllm:
            kwargs = {**trainer.generation_kwargs, "do_sample": temperature > 0, "temperature": temperature or 1.0}
            self.changed = {
                "generation_kwargs": kwargs,
                "generation_config": GenerationConfig(**kwargs, disable_compile=True),
            }

    def __enter__(self) -> None:
        self.kept = {name: getattr(self.engine, name) for name in self.changed}
        vars(self.engine).update(self.changed)

    def __exit__(self, *_: object) -> None:
        vars(self.engine).update(self.kept)

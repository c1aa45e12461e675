"""What touches the weights: loading the policy, TRL's GRPOTrainer for executed code, its callbacks.

It holds no setting: train_rl_poc.py passes its constants. It imports torch, transformers and trl at its
top, so that script imports it only after every check of the input has passed.
"""

import logging
import math
import random
import resource
import time
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from accelerate.utils import gather_object
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PrinterCallback, TrainerCallback
from transformers.trainer_utils import rotate_checkpoints
from trl import GRPOTrainer
from trl.trainer.utils import nanstd

import sharding
from code_tasks import InputError, Task, messages
from policy_export import saving
from run_checkpoints import remove_sizes, write_sizes
from run_control import (
    COMPLETIONS_LOG,
    HELDOUT_LOG,
    METRICS_LOG,
    PROFILE_LOG,
    Rollout,
    RunLog,
    StopSignal,
    completion_records,
    finite,
    is_constant,
    rollout_metrics,
    step_line,
)
from run_heldout import best_heldout, checks_without_gain, gap_warning, heldout_line, heldout_record
from run_profile import profile_records
from run_sentinels import alarms
from sharding import unsharded
from vllm_rollouts import push_weights, sampling_ratios

SAMPLED_WEIGHTS = 256  # elements of each tensor watched for change: all of them would need a second model


def quiet_libraries() -> None:
    """Leaves the log to the run's own lines."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    logging.getLogger("trl").setLevel(logging.ERROR)  # it would print every completion that has no reward
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def load_tokenizer(path: str) -> Any:
    """The model's tokenizer; raises InputError where it cannot be read or has no chat template."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load the tokenizer of {path} ({str(error).splitlines()[0]}); "
                         "give --model-path a saved model, or a hub id and a network") from error
    if not tokenizer.chat_template:
        raise InputError(f"{path} has no chat template; start from a model that was taught to chat")
    return tokenizer


def prompt_lengths(tasks: list[Task], tokenizer: Any, enable_thinking: bool) -> list[int]:
    """Tokens of each task's prompt in the chat template."""
    conversations = [messages(task) for task in tasks]
    rendered = tokenizer.apply_chat_template(conversations, add_generation_prompt=True,
                                             enable_thinking=enable_thinking)
    return [len(ids) for ids in rendered["input_ids"]]


def prompt_end(tokenizer: Any, enable_thinking: bool) -> str:
    """What the chat template puts between a user's words and the completion."""
    return tokenizer.apply_chat_template([{"role": "user", "content": ""}], tokenize=False,
                                         add_generation_prompt=True, enable_thinking=enable_thinking)


def load_policy(path: str, tokenizer: Any, dtype: str) -> Any:
    """The model, told every token that ends a completion.

    Qwen's base models declare <|endoftext|> as their end while their chat template closes a turn with
    <|im_end|>: unless both are declared, a completion runs on to its limit.
    """
    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
    declared = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(declared if isinstance(declared, list) else [declared])} - {None}
    turn = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rendered = tokenizer.apply_chat_template(turn)["input_ids"]
    closing = [token for token in rendered if token in tokenizer.all_special_ids][-1:]
    model.generation_config.eos_token_id = sorted({*ends, *closing})
    return model


def task_row(task: Task) -> dict[str, Any]:
    """A task as TRL takes it: a prompt, and a column that the reward function gets."""
    return {"prompt": messages(task), "task": asdict(task)}


def rows(tasks: list[Task]) -> datasets.Dataset:
    return datasets.Dataset.from_list([task_row(task) for task in tasks])


class CodeTrainer(GRPOTrainer):
    """GRPO (arXiv 2402.03300, as TRL implements it) on completions whose code is executed.

    It logs every completion and every step, and swaps groups that teach nothing for groups of other `tasks`,
    at most `max_refills` times a step (dynamic sampling, arXiv 2503.14476).

    `reward` is the source of its reward functions. After training, `stop_reason` says why the run is unfinished, ""
    where it is not, and `ended` what ended a finished one.
    """

    def __init__(self, *, reward: Any, tasks: list[Task], max_refills: int, run_log: RunLog,
                 **kwargs: Any) -> None:
        super().__init__(reward_funcs=reward.functions, train_dataset=rows(tasks), **kwargs)
        self.remove_callback(PrinterCallback)
        if self.is_fsdp_enabled:
            sharding.configure(self.accelerator)
        self.reward, self.tasks, self.max_refills = reward, tasks, max_refills
        self.run_log = run_log
        self.metrics: list[dict] = []  # the lines of metrics.jsonl
        self.stop_reason, self.ended = "", "the last step was made"
        self.seconds = {"generate": 0.0, "reward": 0.0, "update": 0.0}
        self.step_record: dict[str, Any] = {}
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, Watch):
                callback.trainer = self

    def train_on(self, tasks: list[Task], order: list[Task]) -> None:
        """Sets the prompts of the run, in their order, and the tasks that refills draw from."""
        self.tasks, self.train_dataset = tasks, rows(order)

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        with self.gathered():
            generated = self.complete(*args, **kwargs)
        self.seconds["generate"] += time.perf_counter() - started
        return generated

    def gathered(self) -> AbstractContextManager:
        """Whole weights on each process, for as long as it generates; with vLLM that has them instead."""
        return nullcontext() if self.use_vllm else unsharded(self.model)

    def complete(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's completions, sampled with the newest weights."""
        if self.use_vllm:
            push_weights(self, self._tokenize_prompts([messages(self.tasks[0])])[0][0])
        return super()._generate_single_turn(*args, **kwargs)

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        started = time.perf_counter()
        rewards = super()._calculate_rewards(*args, **kwargs)
        self.seconds["reward"] += time.perf_counter() - started
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        rollouts, unused = self.reward.take_rollouts(), []
        for attempt in range(self.max_refills):
            constant = constant_groups(rollouts, self.num_generations)
            count = torch.tensor([len(constant)], device=self.args.device)
            wanted = int(self.accelerator.gather(count).max())
            if not wanted:
                break
            spare = super()._generate_and_score_completions(self.spare_inputs(wanted, attempt))
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
        """This process's rows for a refill; its tasks follow from step and attempt, as a resume needs."""
        draw = random.Random(f"{self.args.seed} {self.state.global_step} {attempt}")
        drawn = draw.choices(self.tasks, k=groups * self.accelerator.num_processes)
        own = drawn[self.accelerator.process_index * groups :][:groups]
        return [task_row(task) for task in own for _ in range(self.num_generations)]

    def swap(self, output: dict, rollouts: list[Rollout], spare: dict, drawn: list[Rollout],
             groups: list[tuple[int, int]]) -> None:
        """Exchanges groups of `output` and its rollouts for groups of `spare` and those drawn with it."""
        size = self.num_generations
        pairs = [(into * size + i, out_of * size + i) for into, out_of in groups for i in range(size)]
        copy_rows(output, spare, pairs, self._tokenizer.pad_token_id)
        for into, out_of in pairs:
            rollouts[into], drawn[out_of] = drawn[out_of], rollouts[into]
        output["num_items_in_batch"] = self.accelerator.gather(output["completion_mask"].sum()).sum()
        if self.scale_rewards == "batch":
            output["advantages"] = self.batch_scaled_advantages(rollouts)

    def batch_scaled_advantages(self, rollouts: list[Rollout]) -> torch.Tensor:
        """TRL's advantages for scale_rewards="batch", once the batch is another than TRL scaled."""
        values = [math.nan if rollout.reward is None else rollout.reward for rollout in rollouts]
        rewards = torch.tensor(values, device=self.args.device)
        groups = rewards.view(-1, self.num_generations)
        centred = (groups - groups.nanmean(dim=1, keepdim=True)).flatten()
        return (centred / (nanstd(self.accelerator.gather(rewards)) + 1e-4)).nan_to_num(nan=0.0)

    def log_rollouts(self, advantages: list[float], rollouts: list[Rollout], unused: list[Rollout]) -> None:
        """Writes every completion of the step, of all processes; those of groups left out as unused."""
        own = [replace(rollout, advantage=advantage)
               for rollout, advantage in zip(rollouts, advantages, strict=True)]
        together = gather_object(own + [replace(rollout, used=False) for rollout in unused])
        self.step_record = rollout_metrics(together, self.num_generations)
        if self.accelerator.is_main_process:
            records = completion_records(self.state.global_step + 1, self.num_generations, together)
            self.run_log.append(COMPLETIONS_LOG, records)

    def _clip_grad_norm(self, model: torch.nn.Module) -> torch.Tensor:
        norm = super()._clip_grad_norm(model)
        if not torch.isfinite(norm):
            self.optimizer.zero_grad()  # one such update would destroy every weight
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" not in logs:
            return super().log(logs, start_time)
        logs |= {name: value for name, value in self.step_record.items() if isinstance(value, float)}
        super().log(logs, start_time)
        record = {"step": self.state.global_step, **self.step_record, "seconds": dict(self.seconds),
                  "peak_memory_gb": peak_memory_gb()}
        for name in ("loss", "grad_norm", "learning_rate", "entropy", "kl", "num_tokens"):
            record[name] = logs.get(name)
        self.metrics.append(finite(record))
        if self.accelerator.is_main_process:
            self.run_log.append(METRICS_LOG, self.metrics[-1:])
            print(step_line(self.metrics[-1], self.state.max_steps), flush=True)
        for alarm in alarms(self.metrics):
            print(f"warning: step {record['step']}: {alarm.message}", flush=True)
            if alarm.stop:
                self.end(alarm.message)

    def end(self, reason: str) -> None:
        """Ends training after this step, with a checkpoint."""
        self.stop_reason = reason
        self.control.should_save = self.control.should_training_stop = True

    def sample(self, tasks: list[Task], temperature: float) -> list[Rollout]:
        """A completion of each task, in order (0: greedy); leaves training's random state as it was."""
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        share = -(-len(tasks) // processes)
        own = (tasks + tasks[:1] * processes)[rank * share :][:share]  # equally many on each process
        prompt_ids, _, _ = self._tokenize_prompts([messages(task) for task in own])
        size = self.args.per_device_train_batch_size * self.args.steps_per_generation
        completion_ids: list[list[int]] = []
        with torch.random.fork_rng(), Sampling(self, temperature), self.gathered():
            torch.manual_seed(self.args.seed + rank)
            for start in range(0, len(own), size):
                ids, _ = self.complete(prompt_ids[start : start + size], None, {}, 1)
                completion_ids += ids
        return gather_object(self.reward.evaluate(own, completion_ids))[: len(tasks)]

    def profile(self, tasks: list[Task], samples: int, temperature: float) -> list[dict]:
        """How the policy does on each task before training, as profile.jsonl has it; made once for a run."""
        profile = self.run_log.read(PROFILE_LOG, until=0)
        if not profile:
            if self.is_fsdp_enabled:
                self.model = self.model_wrapped = sharding.shard(self.accelerator, self.model)
            profile = profile_records(self.sample([task for task in tasks for _ in range(samples)], temperature))
            if self.accelerator.is_main_process:
                self.run_log.append(PROFILE_LOG, profile)
        return profile

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None with every checkpoint: model_card.py writes it at the end, from the run's logs."""

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """TRL's checkpoint; only once all of it is written does it count as whole, and do older ones go."""
        checkpoint = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        with saving(checkpoint.name, self.args.output_dir):
            if self.accelerator.is_main_process:
                remove_sizes(checkpoint)
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                write_sizes(checkpoint, self.accelerator.num_processes)
                rotate_checkpoints(self.args.output_dir, limit, self.state.best_model_checkpoint, use_mtime=True)
        self.args.save_total_limit = limit


def peak_memory_gb() -> float:
    """The most memory that this process has held: of the GPU where there is one, else of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


class Sampling:
    """Generation at another temperature than training's (0: greedy), for the length of a with block."""

    def __init__(self, trainer: CodeTrainer, temperature: float) -> None:
        self.engine = trainer.vllm_generation if trainer.use_vllm else trainer
        self.changed: dict[str, Any] = {"temperature": temperature}
        if not trainer.use_vllm:
            kwargs = {**trainer.generation_kwargs, "do_sample": temperature > 0, "temperature": temperature or 1.0}
            self.changed = {"generation_kwargs": kwargs,
                            "generation_config": GenerationConfig(**kwargs, disable_compile=True)}

    def __enter__(self) -> None:
        self.kept = {name: getattr(self.engine, name) for name in self.changed}
        vars(self.engine).update(self.changed)

    def __exit__(self, *_: object) -> None:
        vars(self.engine).update(self.kept)


def constant_groups(rollouts: list[Rollout], size: int) -> list[int]:
    """The numbers, from 0, of the groups whose members differ at most in style."""
    groups = [rollouts[start : start + size] for start in range(0, len(rollouts), size)]
    return [number for number, group in enumerate(groups) if is_constant(group)]


def copy_rows(output: dict, spare: dict, pairs: list[tuple[int, int]], pad_id: int) -> None:
    """Copies rows of one of TRL's batches into another, in place; `pairs` are (row of output, row of spare).

    Prompts (B, P) are padded on the left and everything else (B, C) on the right, to the wider batch's width.
    """
    into, out_of = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for name, tensor in output.items():
        source = spare[name]
        if tensor.dim() == 2:
            width = max(tensor.size(1), source.size(1))
            value = pad_id if name in ("prompt_ids", "completion_ids") else 0
            left = name.startswith("prompt")
            tensor, source = padded(tensor, width, left, value), padded(source, width, left, value)
        if tensor.dim():
            tensor[into] = source[out_of]
        output[name] = tensor


def padded(tensor: torch.Tensor, width: int, left: bool, value: int) -> torch.Tensor:
    """A (B, W) tensor widened to (B, width)."""
    missing = width - tensor.size(1)
    return torch.nn.functional.pad(tensor, (missing, 0) if left else (0, missing), value=value)


class Watch(TrainerCallback):
    """A callback that knows its trainer, which introduces itself."""

    trainer: CodeTrainer


class StepClock(Watch):
    """Splits a step's seconds into generating, rewarding and updating, and remembers the steps before a resume."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.metrics = self.trainer.run_log.read(METRICS_LOG, state.global_step)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.perf_counter()
        self.trainer.seconds = dict.fromkeys(self.trainer.seconds, 0.0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        seconds = self.trainer.seconds
        seconds["update"] = time.perf_counter() - self.started - seconds["generate"] - seconds["reward"]


class WeightWatch(Watch):
    """Measures on a sample of the weights how many an update changes, and how much."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        self.before = sampled_weights(model)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        after = sampled_weights(model)
        ratio = (after - self.before).norm() / self.before.norm()
        self.trainer.step_record["weights_changed"] = (after != self.before).float().mean().item()
        self.trainer.step_record["update_ratio"] = ratio.item()


def sampled_weights(model: torch.nn.Module) -> torch.Tensor:
    """Copies of evenly spaced elements of each trained tensor, or of this process's shard of it."""
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

    The best checkpoint is written and kept; `patience` checks after it end the run (0: never).
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


@dataclass
class StopBetweenSteps(Watch):
    """Ends training after the step in which a stop signal reached any process.

    `every` is the number of steps that share one generation: a checkpoint is exact only at its multiples.
    """

    stop: StopSignal
    every: int

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every:
            return
        number = torch.tensor([self.stop.number], device=args.device)
        self.stop.number = int(self.trainer.accelerator.gather(number).max())
        if self.stop.number:
            self.trainer.end(self.stop.name)

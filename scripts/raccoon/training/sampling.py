"""Sampling completions of the policy: by TRL's engines or by the own decoding loop, in steps and outside of them.

A conversation is a completion of several turns: the policy reads what its code did, and answers again.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from raccoon import decoding
from raccoon.constants import InputError
from raccoon.conversation import TurnTemplate
from raccoon.decoding import PrefixMemory, WorkingCopy, own_randomness
from raccoon.launch import StopSignal
from raccoon.model_files import context_length, declared_ends, end_tokens
from raccoon.progress import progress_bar
from raccoon.runs.heldout import profile_records
from raccoon.runs.log import PROFILE_LOG, Rollout
from raccoon.savings import return_freed_memory
from raccoon.tasks.markup import ends_in_closed_fence
from raccoon.tasks.prompts import messages, prompt_lengths
from raccoon.tasks.task import Task
from raccoon.training import sharding
from raccoon.training.library_internals import engine_awake
from raccoon.training.policy import load_chat_tokenizer
from raccoon.training.sections import Training
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
        self.memory = PrefixMemory() if self.lean and trainer.conversations else None

    def gathered(self) -> AbstractContextManager:
        """Holds the whole weights on each process while it generates; vLLM, which has its own copy, stays awake."""
        trainer = self.trainer
        if not trainer.use_vllm:
            return sharding.unsharded(trainer.model)
        self.push()
        return engine_awake(trainer.vllm_generation) if trainer.conversations else nullcontext()

    @contextmanager
    def generation(self) -> Iterator[None]:
        """What a generation of a step needs, and what it leaves to be freed."""
        on_cpu = self.trainer.args.use_cpu
        if on_cpu:
            return_freed_memory()  # the update's
        with self.gathered():
            yield
        if on_cpu:
            return_freed_memory()

    def push(self) -> None:
        """Gives vLLM the newest weights, if it samples and lacks them; all processes must call this together."""
        trainer = self.trainer
        if trainer.use_vllm:
            push_weights(trainer, trainer.prompt_token_ids([trainer.train_dataset[0]["prompt"]])[0])

    def complete(self, prompt_ids: list[list[int]], *others: Any) -> Any:
        """(completion ids, log-probabilities or None) of prompts; `others` are TRL's further arguments."""
        trainer = self.trainer
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

        if self.memory:
            self.memory.keep_for(prompt_ids)
        model = self.working_copy.of(policy) if self.working_copy else policy
        training, completions, draw = model.training, [], decoding.sampler(config)
        model.eval()
        for start in range(0, len(prompt_ids), decoding.ROWS):
            some = prompt_ids[start : start + decoding.ROWS]
            completions += decoding.decode(model, some, trainer.max_completion_length, draw, closes, self.memory)
        model.train(training)
        if self.working_copy and not trainer.args.use_cpu:
            self.working_copy.drop()  # a GPU needs its memory for the update
        return completions

    def sample(
        self, tasks: list[Task], temperature: float, shown: str = "", stop: StopSignal | None = None
    ) -> list[Rollout]:
        """A completion of each task, in order, without a trace in training's random state; temperature 0 is greedy.

        [] if the run is told to stop.
        """
        trainer = self.trainer
        processes, rank = trainer.accelerator.num_processes, trainer.accelerator.process_index
        share = -(-len(tasks) // processes)
        own = (tasks + tasks[:1] * processes)[rank * share :][:share]  # the same number on each process
        prompt_ids = trainer.prompt_token_ids([messages(task) for task in own])
        size = len(own) if trainer.use_vllm else self.together  # vLLM makes its own batches
        rollouts: list[Rollout] = []
        completion_ids: list[list[int]] = []
        bar = progress_bar(total=len(own), desc=shown, unit="completion", disable=not shown or rank > 0)
        with own_randomness(), at_temperature(trainer, temperature), self.gathered(), bar:
            torch.manual_seed(trainer.args.seed + rank)
            for start in range(0, len(own), size):
                if stop and trainer.agreed(stop):
                    return []
                some = slice(start, start + size)
                if trainer.conversations:
                    rollouts += trainer.conversations.graded(own[some], prompt_ids[some])
                else:
                    completion_ids += self.complete(prompt_ids[some], None, {}, 1)[0]
                bar.update(len(own[some]))
        return gather_object(rollouts or trainer.reward.evaluate(own, completion_ids))[: len(tasks)]

    def profile(self, tasks: list[Task], samples: int, temperature: float, stop: StopSignal) -> list[dict]:
        """The lines of profile.jsonl: the policy's results on each task before training. Made once in a run.

        [] if the run is told to stop; then it is made anew by the run that goes on.
        """
        trainer = self.trainer
        profile = trainer.run_log.read(PROFILE_LOG, until=0)
        if not profile:
            if trainer.is_fsdp_enabled:
                trainer.model = trainer.model_wrapped = sharding.shard(trainer.accelerator, trainer.model)
            sampled = [task for task in tasks for _ in range(samples)]
            profile = profile_records(self.sample(sampled, temperature, "profile", stop))
            if profile and trainer.accelerator.is_main_process:
                trainer.run_log.append(PROFILE_LOG, profile)
        return profile


@dataclass
class Conversation:
    """A prompt, and what follows it: answers of the policy, and messages in between."""

    task: Task
    prompt_ids: list[int]
    ids: list[int] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)  # of each token: 1 if the policy sampled it, 0 in a message
    logprobs: list[float | None] = field(default_factory=list)  # by vLLM; None in a message
    newest: list[int] = field(default_factory=list)  # the newest answer
    answers: list[Rollout] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def answer(self, ids: list[int], logprobs: list[float | None] | None) -> None:
        self.newest = ids
        self.ids += ids
        self.sampled += [1] * len(ids)
        self.logprobs += logprobs or []

    def tell(self, feedback: str, ids: list[int]) -> None:
        self.told.append(feedback)
        self.ids += ids
        self.sampled += [0] * len(ids)
        self.logprobs += [None] * len(ids)


class Conversations:
    """Conversations of several turns: the policy answers, its code is graded, and it answers again if it has feedback.

    An answer that was cut ends its conversation. `tasks` are those of the batch that TRL asks for next, `longest` the
    most tokens after a prompt. Raises InputError for a chat template that takes no second message.
    """

    trainer: Any  # a CodeTrainer; it sets this attribute

    def __init__(self, run: Training) -> None:
        self.turns, self.thinking = run.turns, run.sampling.enable_thinking
        self.context = context_length(run.model_path)
        tokenizer = load_chat_tokenizer(run.model_path)
        ends = end_tokens(tokenizer, declared_ends(run.model_path))
        self.template = TurnTemplate(tokenizer, ends, self.thinking)
        message = self.template.longest(self.turns.max_feedback)
        self.longest = self.turns.tokens(run.sampling.max_completion_length, message)
        self.tasks: list[Task] = []
        if self.template.rewrites:
            print("turns    the chat template changes earlier answers; here they stay as they were sampled", flush=True)

    def with_room(self, tasks: list[Task]) -> list[Task]:
        """The tasks whose prompt leaves room for a whole conversation in the model's context; says which do not."""
        lengths = prompt_lengths(tasks, self.template.tokenizer, self.thinking) if tasks else []
        left_out = [
            task.task_id
            for task, length in zip(tasks, lengths, strict=True)
            if self.context and length + self.longest > self.context
        ]
        why = f"a prompt and {self.longest} tokens of answers and feedback exceed the model's context of {self.context}"
        if left_out and len(left_out) == len(tasks):
            raise InputError(f"{why} with every task: lower MAX_TURNS, MAX_COMPLETION_LENGTH or MAX_FEEDBACK")
        if left_out:
            named = ", ".join([*left_out[:3], *["..."][: len(left_out) - 3]])
            print(f"left out {len(left_out)} of {len(tasks)} tasks, with which {why}: {named}", flush=True)
        return [task for task in tasks if task.task_id not in left_out]

    def rollouts(self, prompts: list[list[dict]], trainer: Any) -> dict[str, Any]:
        """TRL's rollout_func. Its reward functions get the rollouts, which are graded already."""
        with ExitStack() as stack:
            with trainer.clock("generate"):
                stack.enter_context(trainer.sampler.generation())
            held = self.held(self.tasks, trainer.prompt_token_ids(prompts))
        return {
            "prompt_ids": [each.prompt_ids for each in held],
            "completion_ids": [each.ids for each in held],
            "logprobs": [each.logprobs for each in held] if trainer.use_vllm else None,
            "env_mask": [each.sampled for each in held],
            "rollout": self.of(held),
        }

    def graded(self, tasks: list[Task], prompt_ids: list[list[int]]) -> list[Rollout]:
        """The rollouts of conversations outside of a step, whose seconds stay as they are."""
        kept = dict(self.trainer.seconds)
        held = self.held(tasks, prompt_ids)
        self.trainer.seconds = kept
        return self.of(held)

    def of(self, held: list[Conversation]) -> list[Rollout]:
        return [self.trainer.reward.of_conversation(each.answers, each.told) for each in held]

    def held(self, tasks: list[Task], prompt_ids: list[list[int]]) -> list[Conversation]:
        """One conversation on each task. All processes must call this together, and all make as many turns."""
        trainer, memory = self.trainer, self.trainer.sampler.memory
        held = [Conversation(*each) for each in zip(tasks, prompt_ids, strict=True)]
        going = held
        for turn in range(1, self.turns.most + 1):
            last = turn == self.turns.most
            if memory:
                memory.closed = last
            with trainer.clock("generate"):
                self.answer(going, prompt_ids[0])
            with trainer.clock("reward"):
                going = self.grade(going, 0 if last else self.turns.max_feedback)
            with trainer.clock("wait"):
                most = trainer.most(len(going))
            if not most:
                break
        if memory:
            memory.clear()
        return held

    def answer(self, going: list[Conversation], spare: list[int]) -> None:
        """Adds the next answer to each. All processes must send a vLLM server as many texts; `spare` fills up."""
        trainer, texts = self.trainer, [each.prompt_ids + each.ids for each in going]
        if trainer.use_vllm and trainer.args.vllm_mode == "server":
            texts += [spare] * (trainer.most(len(texts)) - len(texts))
        if not texts:
            return
        completion_ids, logprobs = trainer.sampler.complete(texts, None, {}, 1)
        for place, each in enumerate(going):
            each.answer(list(completion_ids[place]), list(logprobs[place]) if logprobs else None)

    def grade(self, going: list[Conversation], max_feedback: int) -> list[Conversation]:
        """Grades the newest answers, and gives their conversations the feedback; those that go on."""
        if not going:
            return []  # as in a process whose conversations have all ended; tokenizers make a text of no text
        reward = self.trainer.reward
        graded = reward.evaluate([each.task for each in going], [each.newest for each in going], max_feedback)
        still = []
        for each, rollout in zip(going, graded, strict=True):
            each.answers.append(rollout)
            feedback = rollout.verdict.feedback
            if feedback and not rollout.truncated and rollout.verdict.status != "INFRA":
                each.tell(feedback, self.template.after(each.newest, feedback))
                still.append(each)
        return still


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

"""Generates completions in batches: the model's plain greedy answer, or samples that do not depend on the batch.

It grades nothing and writes nothing. Engines: "transformers" (CPU or GPU; LoRA adapters are merged on load), "lean"
(the same model, decoded by decoding.py) and "vllm" (CPU or GPU, if it is installed). Greedy decoding takes the argmax
at every step, whatever the model's generation_config asks for: penalties and sampling defaults are switched off, and
its EOS ids are kept.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raccoon.constants import InputError
from raccoon.conversation import TurnTemplate
from raccoon.model_files import declared_ends, end_tokens, error_line, is_adapter, load_tokenizer, load_weights
from raccoon.records import Verdict
from raccoon.tasks.prompts import direct_prompt, messages, stop_words, until_stop_word
from raccoon.tasks.task import Task
from raccoon.vllm_engine import prepare_vllm

WIDEST = 4  # the longest prompt of a batch is at most so many times as long as its shortest
SHORT = 1000  # characters: a batch whose prompts are all shorter is never cut for it
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # the values that vLLM accepts as the maximum rank


@dataclass(frozen=True)
class Decoding:
    """How completions are decoded. All of it is part of a completion's fingerprint."""

    mode: str = "greedy"  # or "sampled"
    max_tokens: int = 1024
    temperature: float = 1.0  # of "sampled", like top_p
    top_p: float = 1.0
    seed: int = 0
    enable_thinking: bool = False
    dtype: str = "auto"  # the type in which the checkpoint was saved
    engine: str = "transformers"
    prompt_style: str = "chat"  # or "completion": the beginning of a program; stop words end it

    @property
    def direct(self) -> bool:
        return self.prompt_style == "completion"

    @property
    def sampled(self) -> bool:
        return self.mode == "sampled"


@dataclass(frozen=True)
class Completion:
    """The text of a model. `code` is set only if the text is known to be a program (a sample's "solution")."""

    text: str
    prompt: str
    truncated: bool = False  # max_tokens were written without an end token
    code: str | None = None
    alone: bool = False  # the code is the whole program: no part of the prompt is added
    ids: tuple[int, ...] = ()  # the text's tokens with its end token, if the model runs here


@dataclass(frozen=True)
class Turn:
    """A graded answer of a conversation. Its verdict's feedback is the message that followed; "" after the last."""

    completion: Completion
    code: str
    verdict: Verdict


@dataclass(frozen=True)
class Slot:
    """The place of one completion to generate: a task, the number of its sample, and what was said before.

    `turns` is the most that its conversation may have, `max_feedback` the most characters after each of its answers. A
    saved conversation has several turns and no feedback.
    """

    task: Task
    sample: int = 0
    turns: int = 1
    max_feedback: int = 0
    said: tuple[Turn, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        return self.task.task_id, self.sample

    @property
    def is_last(self) -> bool:
        return len(self.said) + 1 >= self.turns

    def ends_with(self, completion: Completion) -> bool:
        """Whether no answer follows this one, whatever its verdict."""
        return self.is_last or bool(self.max_feedback) and completion.truncated

    def goes_on(self, turn: Turn) -> bool:
        """Whether an answer follows this one: in a saved conversation any, else one on which there is feedback."""
        return not self.ends_with(turn.completion) and (bool(turn.verdict.feedback) or not self.max_feedback)

    def after(self, turn: Turn) -> "Slot":
        return replace(self, said=(*self.said, turn))


Ended = Callable[[Slot, Completion], None]
Tell = Callable[[int, list[int]], None]  # (row, its token ids)


def ignore(slot: Slot, completion: Completion) -> None:
    """Does nothing at a completion's end."""


def plan_batches(slots: Sequence[Slot], size: int, shift: int = 0) -> list[list[Slot]]:
    """The slots in batches of at most `size`: prompts of similar length together, the longest first.

    A batch with long prompts holds none that is much shorter, because every row is padded to the longest one. The plan
    depends only on its arguments, so that a resumed run generates the same batches. `shift` moves the borders of the
    batches, so that a repeated evaluation does not repeat its rounding errors.
    """
    ordered = sorted(slots, key=lambda r: (-len(r.task.prompt), r.task.task_id, r.sample))
    borders = {0, *range(shift % size or size, len(ordered), size)}
    plan: list[list[Slot]] = []
    for place, slot in enumerate(ordered):
        if place in borders or len(plan[-1][0].task.prompt) > max(SHORT, WIDEST * len(slot.task.prompt)):
            plan.append([])
        plan[-1].append(slot)
    return plan


def row_seed(seed: int, slot: Slot) -> int:
    """The seed of one sample. It does not depend on the batch or the process; each later turn has its own."""
    turn = [len(slot.said)] if slot.said else []
    text = json.dumps([seed, slot.task.task_id, slot.sample, *turn])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class Engine:
    """The interface of an engine: a loaded model and how it decodes."""

    decoding: Decoding
    tokenizer: Any
    ends: list[int]  # token ids that end a completion

    def generate(self, slots: Sequence[Slot], ended: Ended = ignore) -> list[Completion]:
        """One completion for each slot. Calls `ended` for each when its text ends."""
        raise NotImplementedError

    def close(self) -> None:
        """Frees the model's memory, which a later engine could not use otherwise."""
        raise NotImplementedError

    def prompts(self, slots: Sequence[Slot]) -> list[str]:
        """The texts to send: direct prompts, plain ones for a tokenizer without a template, or the template's."""
        tasks, decoding, tokenizer = [slot.task for slot in slots], self.decoding, self.tokenizer
        if decoding.direct:
            return list(map(direct_prompt, tasks))
        if tokenizer.chat_template is None:
            return [task.prompt for task in tasks]
        options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": decoding.enable_thinking}
        return [tokenizer.apply_chat_template(messages(task), **options) for task in tasks]

    def tokens(self, prompts: list[str]) -> Any:
        """Token ids of rendered prompts. A template has written its special tokens; other prompts get them here."""
        special = self.decoding.direct or self.tokenizer.chat_template is None
        return self.tokenizer(prompts, add_special_tokens=special)

    def rows(self, slots: Sequence[Slot], prompts: list[str]) -> list[list[int]]:
        """The token ids to send: the prompt's, then each earlier answer as it was sampled and the message after it."""
        rows = self.tokens(prompts)["input_ids"]
        if not any(slot.said for slot in slots):
            return rows
        template = TurnTemplate(self.tokenizer, self.ends, self.decoding.enable_thinking)
        for slot, row in zip(slots, rows, strict=True):
            for turn in slot.said:
                answer = list(turn.completion.ids)
                row += answer + template.after(answer, turn.verdict.feedback)
        return rows

    def words(self, slots: Sequence[Slot]) -> list[tuple[str, ...]]:
        return [stop_words(slot.task) if self.decoding.direct else () for slot in slots]


class TransformersEngine(Engine):
    """Batched generate() of transformers, left-padded, on the first GPU of this process or the CPU."""

    def __init__(self, folder: Path, decoding: Decoding) -> None:
        import torch
        from transformers import GenerationConfig

        self.decoding = decoding
        self.tokenizer = load_tokenizer(folder)
        self.device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
        self.model = load_weights(folder, decoding.dtype).to(self.device).eval()
        self.ends = end_tokens(self.tokenizer, self.model.generation_config.eos_token_id)
        # Set on the model, because generate() takes missing values from the model's own configuration, and Qwen's asks
        # for a repetition penalty.
        self.model.generation_config = GenerationConfig(
            max_new_tokens=decoding.max_tokens,
            do_sample=False,
            eos_token_id=self.ends or None,
            pad_token_id=self.tokenizer.pad_token_id,
        )

    def generate(self, slots: Sequence[Slot], ended: Ended = ignore) -> list[Completion]:
        import torch

        prompts = self.prompts(slots)
        inputs = self.tokenizer.pad({"input_ids": self.rows(slots, prompts)}, return_tensors="pt").to(self.device)
        start = inputs["input_ids"].shape[1]

        def tell(row: int, ids: list[int]) -> None:
            ended(slots[row], self._completion(ids[start:], prompts[row], slots[row]))

        watch = EndWatch(self, start, self.words(slots), tell)
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                logits_processor=self._sampler(slots),
                stopping_criteria=[watch],
            )
        return list(map(self._completion, output[:, start:].tolist(), prompts, slots))

    def close(self) -> None:
        import gc

        import torch

        del self.model
        gc.collect()
        torch.cuda.empty_cache()

    def _sampler(self, slots: Sequence[Slot]) -> list:
        if not self.decoding.sampled:
            return []
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        nucleus = [TopPLogitsWarper(self.decoding.top_p)] if self.decoding.top_p < 1 else []
        seeds = [row_seed(self.decoding.seed, slot) for slot in slots]
        return [TemperatureLogitsWarper(self.decoding.temperature), *nucleus, GumbelNoise(seeds, self.device)]

    def _completion(self, row: list[int], prompt: str, slot: Slot) -> Completion:
        stop = next((i for i, token in enumerate(row) if token in self.ends), None)
        text = self.tokenizer.decode(row[:stop], skip_special_tokens=True)
        kept = until_stop_word(text, slot.task) if self.decoding.direct else text
        ids = tuple(row if stop is None else row[: stop + 1])
        return Completion(kept, prompt, truncated=stop is None and kept == text, ids=ids)


class LeanEngine(TransformersEngine):
    """The same with decoding.py's loop: a prompt is read once for all its samples, and ended rows leave the batch.

    Of a conversation only the newest message is read, until another batch begins.
    """

    memory: Any = None  # decoding.PrefixMemory, if conversations may go on

    def generate(self, slots: Sequence[Slot], ended: Ended = ignore) -> list[Completion]:
        from raccoon.decoding import PrefixMemory, decode

        prompts = self.prompts(slots)
        prompt_ids = self.rows(slots, prompts)
        if not any(slot.said for slot in slots):
            self.memory = PrefixMemory() if any(slot.turns > 1 for slot in slots) else None
        if self.memory:
            self.memory.keep_for(prompt_ids)
            self.memory.closed = all(slot.is_last for slot in slots)
        words = self.words(slots)
        *warpers, noise = self._sampler(slots) or [None]

        def draw(logits_R_V: Any, rows: list[int]) -> Any:
            scores_R_V = logits_R_V.float()
            for processor in [*warpers, *([noise.of(rows)] if noise else [])]:
                scores_R_V = processor(None, scores_R_V)
            return scores_R_V.argmax(dim=-1)

        def closes(row: int, ids: list[int]) -> bool:
            if ids[-1] in self.ends:
                ended(slots[row], self._completion(ids, prompts[row], slots[row]))
                return True
            tail = self.tokenizer.decode(ids[-EndWatch.TAIL :]) if words[row] else ""
            return any(word in tail for word in words[row])

        rows = decode(self.model, prompt_ids, self.decoding.max_tokens, draw, closes, self.memory)
        return list(map(self._completion, rows, prompts, slots))


class EndWatch:
    """Ends the rows whose completion (from `start` on) has one of their words; calls `tell` at a row's end token."""

    TAIL = 16  # the last tokens, in which a stop word of at most 12 characters must end

    def __init__(self, engine: "TransformersEngine", start: int, words: list[tuple[str, ...]], tell: Tell) -> None:
        self.engine, self.start, self.words, self.tell = engine, start, words, tell
        self.told: set[int] = set()

    def __call__(self, input_ids_B_T: Any, scores: Any, **options: Any) -> Any:
        import torch

        for row, token in enumerate(input_ids_B_T[:, -1].tolist()):
            if token in self.engine.ends and row not in self.told:
                self.told.add(row)
                self.tell(row, input_ids_B_T[row].tolist())
        stops = [False] * len(input_ids_B_T)
        if any(self.words):
            first = max(self.start, input_ids_B_T.shape[1] - self.TAIL)
            tails = self.engine.tokenizer.batch_decode(input_ids_B_T[:, first:])
            stops = [any(word in tail for word in words) for tail, words in zip(tails, self.words, strict=True)]
        return torch.tensor(stops, device=input_ids_B_T.device)


class GumbelNoise:
    """Turns argmax into sampling: each row adds Gumbel noise of its own generator (Gumbel 1954).

    A draw depends only on the row's seed, not on the batch, the process or earlier rows.
    """

    def __init__(self, seeds: Sequence[int], device: str) -> None:
        import torch

        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def of(self, rows: Sequence[int]) -> "GumbelNoise":
        """The noise of some of the rows. It continues their generators."""
        chosen = GumbelNoise((), "cpu")
        chosen.generators = [self.generators[row] for row in rows]
        return chosen

    def __call__(self, input_ids: Any, scores_B_V: Any) -> Any:
        import torch

        noise_B_V = torch.empty(scores_B_V.shape, device=scores_B_V.device)
        for row, generator in zip(noise_B_V, self.generators, strict=True):
            row.exponential_(generator=generator)
        return scores_B_V.float() - noise_B_V.log()


class VllmEngine(Engine):
    """vLLM's engine, in this process. It schedules by itself, so give it batches of some hundred requests.

    A LoRA adapter is served together with its base model. On a CPU nothing is compiled, because that would take longer
    than it saves. A prompt is read as a whole there: vLLM 0.31.0 cannot sample by a request's seed after a part of one.
    """

    def __init__(self, folder: Path, decoding: Decoding) -> None:
        prepare_vllm()
        from torch.cuda import is_available
        from transformers import AutoConfig
        from vllm import EngineArgs, LLMEngine

        self.decoding = decoding
        self.cached_tokens = 0  # of all prompts so far, those that the prefix cache has spared
        self.tokenizer = load_tokenizer(folder)
        base, self.adapter = str(folder), None
        options: dict[str, Any] = {}
        if is_adapter(folder):
            base, self.adapter, options = served_adapter(folder)
        config = AutoConfig.from_pretrained(base)
        self.ends = end_tokens(self.tokenizer, declared_ends(base))
        # "auto" is the checkpoint's own type; vLLM would use half precision for float32.
        stored = str(config.dtype).removeprefix("torch.") if decoding.dtype == "auto" and config.dtype else ""
        if not is_available():
            options |= {"enforce_eager": True, "enable_chunked_prefill": False}
        options |= {"dtype": stored or decoding.dtype, "seed": decoding.seed, "generation_config": "vllm"}
        options |= {"use_tqdm_on_load": False, "disable_log_stats": True}
        try:
            self.model = LLMEngine.from_engine_args(EngineArgs(model=base, **options))
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"vLLM cannot serve the model in {folder} ({type(error).__name__}: {error_line(error)}): "
                "use --engine transformers"
            ) from error

    def generate(self, slots: Sequence[Slot], ended: Ended = ignore) -> list[Completion]:
        prompts = self.prompts(slots)
        for number, (slot, row) in enumerate(zip(slots, self.rows(slots, prompts), strict=True)):
            self.model.add_request(
                str(number), {"prompt_token_ids": row}, self._sampling(slot), lora_request=self.adapter
            )
        completions: dict[int, Completion] = {}
        while self.model.has_unfinished_requests():
            for output in self.model.step():
                if output.finished:
                    number, answer = int(output.request_id), output.outputs[0]
                    cut, ids = answer.finish_reason == "length", tuple(answer.token_ids)
                    completions[number] = Completion(answer.text, prompts[number], cut, ids=ids)
                    self.cached_tokens += output.num_cached_tokens or 0
                    ended(slots[number], completions[number])
        return [completions[number] for number in range(len(slots))]

    def close(self) -> None:
        from vllm.distributed import cleanup_dist_env_and_memory

        self.model.engine_core.shutdown()
        cleanup_dist_env_and_memory()

    def _sampling(self, slot: Slot) -> Any:
        from vllm import SamplingParams

        decoding = self.decoding
        options: dict[str, Any] = {"max_tokens": decoding.max_tokens, "stop_token_ids": self.ends, "temperature": 0.0}
        if decoding.direct:
            options["stop"] = list(stop_words(slot.task))
        if decoding.sampled:
            seed = row_seed(decoding.seed, slot)
            options |= {"temperature": decoding.temperature, "top_p": decoding.top_p, "seed": seed}
        return SamplingParams(**options)


def served_adapter(folder: Path) -> tuple[str, Any, dict[str, Any]]:
    """(base model, vLLM's form of the adapter, options of the engine) for a LoRA adapter."""
    from vllm.lora.request import LoRARequest

    settings = json.loads((folder / "adapter_config.json").read_text())
    rank = next((rank for rank in LORA_RANKS if rank >= settings["r"]), None)
    if rank is None:
        raise InputError(
            f"the adapter in {folder} has rank {settings['r']}, but vLLM serves at most {LORA_RANKS[-1]}: "
            "use --engine transformers"
        )
    options = {"enable_lora": True, "max_loras": 1, "max_lora_rank": rank}
    return settings["base_model_name_or_path"], LoRARequest("adapter", 1, str(folder)), options


ENGINES: dict[str, Callable[[Path, Decoding], Engine]] = {
    "transformers": TransformersEngine,
    "lean": LeanEngine,
    "vllm": VllmEngine,
}


def load_engine(folder: Path, decoding: Decoding) -> Engine:
    """The engine that `decoding` names, with the model loaded. Raises InputError if it is not installed."""
    return ENGINES[decoding.engine](folder, decoding)

"""Generates completions in batches: the model's plain greedy answer, or samples that no batch can change.

It grades nothing and writes nothing. Engines: "transformers" (CPU or GPU, LoRA adapters merged on load) and
"vllm" (its offline engine, where it is installed). Greedy decoding is the argmax at every step, whatever the
model's generation_config asks for: penalties and sampling defaults are switched off, its EOS ids are kept.

Inputs:  a model folder with tokenizer, or a LoRA adapter folder (adapter_config.json).
Outputs: Completion records.
"""

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import InputError
from raccoon.model_files import end_tokens, is_adapter, load_tokenizer
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import Task


@dataclass(frozen=True)
class Decoding:
    """How completions are decoded; everything here is part of a completion's fingerprint."""

    mode: str = "greedy"   # or "sampled"
    max_tokens: int = 1024
    temperature: float = 1.0   # of "sampled", as top_p
    top_p: float = 1.0
    seed: int = 0
    enable_thinking: bool = False
    dtype: str = "auto"   # the one that the checkpoint was saved in
    engine: str = "transformers"

    @property
    def sampled(self) -> bool:
        return self.mode == "sampled"


@dataclass(frozen=True)
class Request:
    """One completion to generate: a task and which of its samples."""

    task: Task
    sample: int = 0

    @property
    def key(self) -> tuple[str, int]:
        return self.task.task_id, self.sample


@dataclass(frozen=True)
class Completion:
    """What a model wrote. `code` is set only where the text is known to be a program (a sample's "solution")."""

    text: str
    prompt: str
    truncated: bool = False   # max_tokens were written and none of them ends a text
    code: str | None = None


Ended = Callable[[Request, Completion], None]


def ignore(request: Request, completion: Completion) -> None:
    """Told of a completion's end, does nothing."""


def plan_batches(requests: Sequence[Request], size: int, shift: int = 0) -> list[list[Request]]:
    """The requests in batches of at most `size`, prompts of like length together, the longest first.

    The plan depends on its arguments alone, so that a resumed run generates in the same batches. `shift`
    moves the batches' borders: a repeated evaluation must not repeat its rounding errors too.
    """
    ordered = sorted(requests, key=lambda r: (-len(r.task.prompt), r.task.task_id, r.sample))
    borders = [0, *range(shift % size or size, len(ordered), size), len(ordered)]
    return [ordered[a:b] for a, b in itertools.pairwise(borders) if a < b]


def row_seed(seed: int, request: Request) -> int:
    """The seed of one sample, which neither its batch nor its process changes."""
    text = json.dumps([seed, request.task.task_id, request.sample])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def check_model_folder(folder: Path) -> None:
    """Raises InputError for a folder that holds no model, or no tokenizer; imports nothing."""
    if not (folder / "config.json").is_file() and not is_adapter(folder):
        raise InputError(f"no model in {folder} (neither config.json nor adapter_config.json): give the folder "
                         "that save_pretrained wrote")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json",
                                                      "tokenizer.model", "vocab.json")):
        if not is_adapter(folder):
            raise InputError(f"no tokenizer in {folder}: copy tokenizer.json and tokenizer_config.json of its "
                             "base model there")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise InputError(f"no weights in {folder} (neither *.safetensors nor *.bin): was the save interrupted?")


def load_engine(folder: Path, decoding: Decoding) -> "TransformersEngine | VllmEngine":
    """The engine that `decoding` names, with the model loaded. Raises InputError where it is not installed."""
    return ENGINES[decoding.engine](folder, decoding)


def render_prompt(tokenizer: Any, task: Task, enable_thinking: bool) -> str:
    """The text sent: the chat template's, or the plain prompt for a tokenizer without template."""
    if tokenizer.chat_template is None:
        return task.prompt
    return tokenizer.apply_chat_template(messages(task), tokenize=False, add_generation_prompt=True,
                                         enable_thinking=enable_thinking)


def tokenize(tokenizer: Any, prompts: list[str], **options: Any) -> Any:
    """Token ids of rendered prompts; a template has written its special tokens, a plain prompt needs them."""
    return tokenizer(prompts, add_special_tokens=tokenizer.chat_template is None, **options)


class TransformersEngine:
    """Batched generate() of transformers, left-padded, on the first GPU of this process or the CPU."""

    def __init__(self, folder: Path, decoding: Decoding) -> None:
        import torch
        from transformers import GenerationConfig

        self.decoding = decoding
        self.tokenizer = load_tokenizer(folder)
        self.device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
        self.model = load_model(folder, decoding.dtype).to(self.device).eval()
        self.ends = end_tokens(self.tokenizer, self.model.generation_config.eos_token_id)
        # Set on the model: generate() fills what an argument leaves open from the model's own, and Qwen's asks
        # for a repetition penalty.
        self.model.generation_config = GenerationConfig(
            max_new_tokens=decoding.max_tokens, do_sample=False, eos_token_id=self.ends or None,
            pad_token_id=self.tokenizer.pad_token_id)

    def generate(self, requests: Sequence[Request], ended: Ended = ignore) -> list[Completion]:
        """One completion for each request, generated together; `ended` is told of each as its text ends."""
        import torch

        prompts = [render_prompt(self.tokenizer, r.task, self.decoding.enable_thinking) for r in requests]
        inputs = tokenize(self.tokenizer, prompts, padding=True, return_tensors="pt").to(self.device)
        start = inputs["input_ids"].shape[1]

        def tell(row: int, ids: list[int]) -> None:
            ended(requests[row], self._completion(ids[start:], prompts[row]))

        with torch.inference_mode():
            output = self.model.generate(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"],
                logits_processor=self._sampler(requests), stopping_criteria=[EndWatch(self.ends, tell)])
        return [self._completion(row, prompt) for row, prompt in zip(output[:, start:].tolist(), prompts, strict=True)]

    def _sampler(self, requests: Sequence[Request]) -> list:
        if not self.decoding.sampled:
            return []
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        nucleus = [TopPLogitsWarper(self.decoding.top_p)] if self.decoding.top_p < 1 else []
        seeds = [row_seed(self.decoding.seed, request) for request in requests]
        return [TemperatureLogitsWarper(self.decoding.temperature), *nucleus, GumbelNoise(seeds, self.device)]

    def _completion(self, row: list[int], prompt: str) -> Completion:
        stop = next((i for i, token in enumerate(row) if token in self.ends), None)
        text = self.tokenizer.decode(row[:stop], skip_special_tokens=True)
        return Completion(text, prompt, truncated=stop is None)


class EndWatch:
    """A stopping criterion that stops nothing: it tells of each row when its end token is written."""

    def __init__(self, ends: Sequence[int], tell: Callable[[int, list[int]], None]) -> None:
        self.ends, self.tell, self.told = set(ends), tell, set()

    def __call__(self, input_ids_B_T: Any, scores: Any, **options: Any) -> Any:
        import torch

        for row, token in enumerate(input_ids_B_T[:, -1].tolist()):
            if token in self.ends and row not in self.told:
                self.told.add(row)
                self.tell(row, input_ids_B_T[row].tolist())
        return torch.zeros(len(input_ids_B_T), dtype=torch.bool, device=input_ids_B_T.device)


class GumbelNoise:
    """A logits processor that turns argmax into sampling: each row adds Gumbel noise of its own generator.

    argmax(logits + Gumbel noise) is a draw from softmax(logits) (Gumbel 1954), and here one that depends on
    the row's seed alone, not on the batch, the process or what was generated before.
    """

    def __init__(self, seeds: Sequence[int], device: str) -> None:
        import torch

        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Any, scores_B_V: Any) -> Any:
        import torch

        noise_B_V = torch.empty(scores_B_V.shape, device=scores_B_V.device)
        for row, generator in zip(noise_B_V, self.generators, strict=True):
            row.exponential_(generator=generator)
        return scores_B_V.float() - noise_B_V.log()


def load_model(folder: Path, dtype: str) -> Any:
    """The causal language model of a folder; an adapter is merged into its base. Runs no code of the folder."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        if is_adapter(folder):
            from peft import AutoPeftModelForCausalLM

            return AutoPeftModelForCausalLM.from_pretrained(folder, dtype=dtype).merge_and_unload(safe_merge=True)
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"cannot load the model in {folder} ({type(error).__name__}: {first_line(error)}): "
                         "save it again with save_pretrained") from error


class VllmEngine:
    """vLLM's offline engine. It schedules by itself: give it batches of some hundred requests."""

    def __init__(self, folder: Path, decoding: Decoding) -> None:
        try:
            from vllm import LLM
        except ImportError:
            raise InputError('ENGINE is "vllm", and the package vllm is missing: pip install vllm, or use '
                             '--engine transformers') from None
        if is_adapter(folder):
            raise InputError(f"{folder} is a LoRA adapter, which the vllm engine does not merge: "
                             "use --engine transformers")
        self.decoding = decoding
        self.tokenizer = load_tokenizer(folder)
        self.model = LLM(model=str(folder), dtype=decoding.dtype, seed=decoding.seed, generation_config="vllm")
        self.ends = end_tokens(self.tokenizer, load_generation_config(folder).eos_token_id)

    def generate(self, requests: Sequence[Request], ended: Ended = ignore) -> list[Completion]:
        """One completion for each request. `ended` is not told: the engine returns all at once."""
        prompts = [render_prompt(self.tokenizer, r.task, self.decoding.enable_thinking) for r in requests]
        ids = tokenize(self.tokenizer, prompts)["input_ids"]
        outputs = self.model.generate([{"prompt_token_ids": row} for row in ids],
                                      [self._sampling(request) for request in requests], use_tqdm=False)
        answers = [output.outputs[0] for output in outputs]
        return [Completion(answer.text, prompt, truncated=answer.finish_reason == "length")
                for answer, prompt in zip(answers, prompts, strict=True)]

    def _sampling(self, request: Request) -> Any:
        from vllm import SamplingParams

        common = {"max_tokens": self.decoding.max_tokens, "stop_token_ids": self.ends}
        if not self.decoding.sampled:
            return SamplingParams(temperature=0.0, **common)
        return SamplingParams(temperature=self.decoding.temperature, top_p=self.decoding.top_p,
                              seed=row_seed(self.decoding.seed, request), **common)


def load_generation_config(folder: Path) -> Any:
    """The model's generation_config, or one made from its config where it has none."""
    from transformers import AutoConfig, GenerationConfig

    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder)
    return GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder))


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]


ENGINES = {"transformers": TransformersEngine, "vllm": VllmEngine}

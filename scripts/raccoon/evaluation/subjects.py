"""The subjects of an evaluation with one interface: models, and the controls gold and stub (samples.py: saved answers).

A subject has a `name`, lists the completions that it must give for tasks (`slots`), what each depends on
(`fingerprint`), and gives them (`complete`). Bad input is reported here, before torch is imported.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from raccoon.constants import InputError
from raccoon.evaluation.engines import (
    Completion,
    Decoding,
    Ended,
    Engine,
    Slot,
    ignore,
    load_engine,
    plan_batches,
    row_seed,
)
from raccoon.evaluation.grading import Key, fingerprint_of
from raccoon.gpus import device_files
from raccoon.llm.client import Answer, Endpoint, LlmClient, Request, ServerLost
from raccoon.model_files import check_model_folder, is_adapter, is_hub_id
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import Task, stub_program

MAX_CPU_GB = 8  # of weights; a larger model is refused on a machine without a GPU, where 14B would take days
CONTROLS = ("gold", "stub")
SERVED = "openai:"  # before the name of a model behind an OpenAI-compatible server
# It follows the client's own first message in a test request: some chat templates take no second one
SECOND_TURN = ({"role": "assistant", "content": "OK"}, {"role": "user", "content": "Say OK again."})
LARGEST_SEED = 2**31 - 1  # every server accepts it
FREE_BATCH = 32  # completions that need no model, appended together after grading


class Subject:
    """The interface of a subject, with defaults for subjects whose completions need no model."""

    name: str
    path: str
    control = False  # True: gold or stub, for calibration
    costly = False  # True: a model makes its completions, so they are kept; False: they can be made again
    local = False  # True: its model runs here, so several processes can share the work
    apart = False  # True: no completion depends on its batch, so each is kept as soon as it ends
    fault = ""  # why a completion is missing
    lost = False  # True: no other will come, because its server is gone
    ignores_seeds = False  # True: it gave the same text for two seeds

    @property
    def turns(self) -> int:
        """The most answers in one of its conversations."""
        return 1

    def modes(self, wanted: Sequence[str]) -> list[str]:
        """The modes in which it is evaluated, out of those that are wanted for models."""
        return ["greedy"]

    def slots(self, tasks: Sequence[Task], mode: str) -> list[Slot]:
        """The completions that it must give for `tasks`."""
        raise NotImplementedError

    def batches(self, slots: list[Slot], size: int) -> list[list[Slot]]:
        """The slots in batches, one for each call of complete()."""
        return [slots[i : i + FREE_BATCH] for i in range(0, len(slots), FREE_BATCH)]

    def fingerprint(self, slot: Slot, mode: str) -> str:
        """A digest of everything that the completion depends on."""
        raise NotImplementedError

    def answer(self, slot: Slot) -> Completion:
        """The completion of a subject that needs no model."""
        raise NotImplementedError

    def complete(self, slots: Sequence[Slot], mode: str, ended: Ended = ignore) -> Sequence[Completion | None]:
        """A completion for each slot, None if a server gave none (`fault`). May call `ended` for each that ends."""
        return [self.answer(slot) for slot in slots]

    def alone(self, slots: Sequence[Slot]) -> set[Key]:
        """The keys of the slots whose completion is a whole program that needs no part of the prompt."""
        return {slot.key for slot in slots if not self.costly and self.answer(slot).alone}

    def release(self) -> None:
        """Frees its memory."""


@dataclass(frozen=True)
class Control(Subject):
    """`gold`: each task's solution. `stub`: a function that returns None. In a fence, as by a model, unless `plain`."""

    name: str
    path: str = ""
    plain: bool = False
    control = True

    def slots(self, tasks: Sequence[Task], mode: str) -> list[Slot]:
        return [Slot(task) for task in tasks if task.solution or self.name == "stub"]

    def fingerprint(self, slot: Slot, mode: str) -> str:
        return fingerprint_of(self.answer(slot).text)

    def answer(self, slot: Slot) -> Completion:
        task = slot.task
        code = task.solution if self.name == "gold" else stub_program(task)
        if self.plain:
            return Completion(code, task.prompt, code=code)
        fence = "`" * (4 if "```" in code else 3)
        return Completion(f"{fence}python\n{code}\n{fence}\n", task.prompt)


@dataclass(frozen=True)
class Asked:
    """What a model is asked for: samples of each task in mode "sampled", and for each at most so many turns.

    `max_feedback` is the most characters that it is told after an answer.
    """

    num_samples: int = 1
    turns: int = 1
    max_feedback: int = 0


@dataclass
class LanguageModel(Subject):
    """The common part of a model in a folder and a model behind a server."""

    name: str
    path: str
    decodings: dict[str, Decoding]  # by mode
    asked: Asked
    repeat: int = 0  # 0, or which repetition of an earlier model this is
    costly = True

    @property
    def turns(self) -> int:
        return self.asked.turns

    def modes(self, wanted: Sequence[str]) -> list[str]:
        return list(wanted)

    def slots(self, tasks: Sequence[Task], mode: str) -> list[Slot]:
        samples = self.asked.num_samples if mode == "sampled" else 1
        turns, feedback = self.asked.turns, self.asked.max_feedback
        return [Slot(task, i, turns, feedback) for task in tasks for i in range(samples)]


@dataclass
class Model(LanguageModel):
    """A language model. Its engine is loaded when the first completion is asked for."""

    local = True
    weights: str = ""  # digest of the folder's files
    engine: Engine | None = field(default=None, repr=False)

    def batches(self, slots: list[Slot], size: int) -> list[list[Slot]]:
        return plan_batches(slots, size, shift=self.repeat * (size // 2))

    def fingerprint(self, slot: Slot, mode: str) -> str:
        if not self.weights:
            self.weights = folder_digest(Path(self.path))
        return fingerprint_of(self.weights, repr(self.decodings[mode]), slot.task.prompt, str(slot.sample))

    def complete(self, slots: Sequence[Slot], mode: str, ended: Ended = ignore) -> list[Completion]:
        if self.engine is None:
            self.engine = load_engine(Path(self.path), self.decodings[mode])
            if self.engine.tokenizer.chat_template is None and not self.decodings[mode].direct:
                print(f"{self.name}: its tokenizer has no chat template, so prompts are sent as plain text")
        self.engine.decoding = self.decodings[mode]
        return self.engine.generate(slots, ended)

    def release(self) -> None:
        if self.engine is not None:
            self.engine.close()
            self.engine = None


@dataclass
class ServedModel(LanguageModel):
    """A model behind an OpenAI-compatible server. What it did not answer is not wrong: the next run asks again."""

    endpoint: Endpoint = field(kw_only=True)
    ignores_seeds: bool = False
    apart = True

    def batches(self, slots: list[Slot], size: int) -> list[list[Slot]]:
        size = max(size, 8 * self.endpoint.concurrency)  # the server is idle between two batches
        return [slots[i : i + size] for i in range(0, len(slots), size)]

    def fingerprint(self, slot: Slot, mode: str) -> str:
        decoding = repr(replace(self.decodings[mode], dtype="", engine=SERVED))  # the server decides these
        endpoint = self.endpoint
        return fingerprint_of(endpoint.base_url, endpoint.model, decoding, slot.task.prompt, str(slot.sample))

    def complete(self, slots: Sequence[Slot], mode: str, ended: Ended = ignore) -> list[Completion | None]:
        completions: list[Completion | None] = [None] * len(slots)
        decoding = self.decodings[mode]
        temperature = decoding.temperature if decoding.sampled else 0.0
        seeds = [row_seed(decoding.seed, slot) & LARGEST_SEED if decoding.sampled else None for slot in slots]

        def keep(number: int, answer: Answer) -> None:
            if answer.text is None and not answer.finish_reason:  # a filter may answer without text
                self.fault = answer.error
                return
            truncated = answer.finish_reason == "length"
            completion = Completion(answer.text or "", slots[number].task.prompt, truncated=truncated)
            completions[number] = completion
            ended(slots[number], completion)

        with LlmClient(self.endpoint) as server:
            requests = [
                Request(tuple(conversation(slot)), temperature, decoding.max_tokens, seed=seed)
                for slot, seed in zip(slots, seeds, strict=True)
            ]
            try:
                server.ask_all(requests, keep)
            except ServerLost as error:
                self.fault, self.lost = str(error), True
        return completions


def conversation(slot: Slot) -> list[dict[str, str]]:
    """The messages that ask for the next answer: the prompt, then each earlier answer and what it was told."""
    talk = messages(slot.task)
    for turn in slot.said:
        talk += [{"role": "assistant", "content": turn.completion.text}]
        talk += [{"role": "user", "content": turn.verdict.feedback}]
    return talk


def find_subjects(
    models: Sequence[str],
    repeat: int,
    decodings: Mapping[str, Decoding],
    asked: Asked,
    server: Endpoint | None = None,
    plain_controls: bool = False,
    test_seeds: bool = False,
) -> list[Subject]:
    """Models and controls in the given order. `server` is for models called openai:NAME; it gets a test request.

    With `test_seeds` it gets two more, which show whether it samples: one sample of each task does not show it.

    A model that is given twice is evaluated again as `<name>.repeat2`, with other batch borders and sampling seeds.
    `repeat` 2 does that for each model. Differences are then noise of the evaluation. Names are folder names; folders
    of the same name also get the names of their parents. Raises InputError.
    """
    served = {word: find_served(word, server, asked.turns) for word in models if word.startswith(SERVED)}
    folders = {word: find_model(word) for word in models if word not in CONTROLS and word not in served}
    names = distinct_names(set(folders.values()))
    subjects: list[Subject] = []
    seen: Counter[str] = Counter()
    for word in [*models] * repeat:
        path = str(folders.get(word, word))
        seen[path] += 1
        times = seen[path]
        if word in CONTROLS:
            subjects += [Control(word, plain=plain_controls)] if times == 1 else []
            continue
        shifted = {mode: replace(d, seed=d.seed + times - 1) if d.sampled else d for mode, d in decodings.items()}
        name = served_name(word) if word in served else names[folders[word]]
        given = name + (f".repeat{times}" if times > 1 else ""), path, shifted, asked, times - 1
        if word not in served:
            subjects.append(Model(*given))
            continue
        same = test_seeds and gives_one_text(served[word])
        subjects.append(ServedModel(*given, endpoint=served[word], ignores_seeds=same))
    return subjects


def find_served(word: str, server: Endpoint | None, turns: int) -> Endpoint:
    """The endpoint of a model called openai:NAME, after a test request, with several turns two. Raises InputError."""
    name = word.removeprefix(SERVED)
    if server is None or not name:
        raise InputError(
            f"{word} is a model behind a server: give its name there after {SERVED} and the server's "
            "address with --base-url, like http://127.0.0.1:8000/v1"
        )
    endpoint = replace(server, model=name)
    with LlmClient(endpoint) as asked:
        asked.check()
        if turns > 1:
            asked.check(SECOND_TURN)
    return endpoint


def gives_one_text(endpoint: Endpoint) -> bool:
    """Whether a server answers a question that has many answers with the same text twice, at temperature 1."""
    question = ({"role": "user", "content": "Say OK, and then twenty random words."},)
    with LlmClient(endpoint) as server:
        texts = [answer.text for answer in server.ask_all([Request(question, 1.0, 64, seed=seed) for seed in (1, 2)])]
    return texts[0] == texts[1] is not None


def served_name(word: str) -> str:
    """A served model's name in files and tables: the last part of its name, without characters unfit for file names."""
    name = re.sub(r"[^\w.-]+", "-", word.removeprefix(SERVED).rstrip("/").rpartition("/")[2]).strip("-.") or "model"
    return name + "-model" if name in CONTROLS else name


def find_model(word: str) -> Path:
    """The folder of a model; if `word` is not a folder, it is downloaded from the hub. Raises InputError."""
    folder = Path(word)
    if not folder.exists():
        folder = fetch_model(word)
    if not folder.is_dir():
        raise InputError(f"{word} is a file, not a model folder; to grade samples, give --samples {word}")
    check_model_folder(folder)
    check_weights(word, sum(file.stat().st_size for file in weight_files(folder)))
    return folder.resolve()


def fetch_model(name: str) -> Path:
    """The local snapshot of a hub model, or that of an earlier download. Without a GPU its size is checked first."""
    missing = (
        f"no model {name!r}: it is not a folder, and the hub has no such model or cannot be reached; give "
        "the folder of a trained model, or gold or stub"
    )
    if not is_hub_id(name):
        raise InputError(missing)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    wanted = ["*.json", "*.safetensors", "*.jinja", "*.model", "merges.txt"]
    try:
        files = snapshot_download(name, allow_patterns=wanted, dry_run=True)
        check_weights(name, sum(file.file_size or 0 for file in files if file.filename.endswith(".safetensors")))
        return Path(snapshot_download(name, allow_patterns=wanted))
    except HFValidationError:
        raise InputError(missing) from None
    except OSError as error:  # raised by the hub client if it cannot reach or find a model
        reason = type(error).__name__
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except OSError:
        raise InputError(f"{missing} ({reason})") from None


def check_weights(name: str, size: int) -> None:
    """Raises InputError for weights of `size` bytes that are too large for a machine without a GPU."""
    if size > MAX_CPU_GB * 1e9 and not device_files():
        raise InputError(
            f"{name} has {size / 1e9:.1f} GB of weights and this machine has no GPU: evaluate it on "
            "a machine with one, or grade its saved samples with --samples FILE"
        )


def weight_files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.safetensors"))
    return found or sorted(folder.glob("*.bin"))


def folder_digest(folder: Path) -> str:
    """A fingerprint of the files that decide a model's answers: weights, configuration, tokenizer, chat template."""
    patterns = ("*.json", "*.jinja", "*.model", "merges.txt")
    names = sorted({*weight_files(folder), *(path for pattern in patterns for path in folder.glob(pattern))})
    parts = []
    for path in names:
        with open(path, "rb") as file:
            parts += [path.name, hashlib.file_digest(file, "sha256").hexdigest()]
    if is_adapter(folder):
        base = Path(json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"])
        parts.append(folder_digest(base) if base.is_dir() else str(base))
    return fingerprint_of(*parts)


def distinct_names(folders: Iterable[Path]) -> dict[Path, str]:
    """Each folder's name, with as many parents in front as are needed to make it unique."""
    folders, names = sorted(folders), {}
    for folder in folders:
        for depth in range(1, len(folder.parts)):
            name = "-".join(folder.parts[-depth:])
            if sum(other.parts[-depth:] == folder.parts[-depth:] for other in folders) == 1:
                break
        names[folder] = name + "-model" if name in CONTROLS else name
    return names

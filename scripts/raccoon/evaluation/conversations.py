"""Conversations of several turns: the model reads what its code did and tries again.

They end with an answer on which there is no feedback (all that the model may know is right), that was cut at its token
limit, that the sandbox could not grade, or that is the last one allowed. What could not work is found before anything
is generated.
"""

from collections.abc import Callable, Mapping, Sequence

from raccoon.constants import InputError
from raccoon.conversation import TurnTemplate
from raccoon.evaluation.engines import Completion, Decoding, Ended, Slot
from raccoon.evaluation.grading import Grader, Key, Record, RecordFile, fingerprint_of
from raccoon.evaluation.subjects import Model, Subject
from raccoon.model_files import base_model, context_length, declared_ends, end_tokens, load_tokenizer
from raccoon.tasks.prompts import prompt_lengths
from raccoon.tasks.task import Task

Answers = list[tuple[Slot, Completion]]


def fingerprints(subject: Subject, slots: Sequence[Slot], mode: str, grading: Mapping[str, str]) -> dict[Key, str]:
    """A digest of everything that each slot's completion depends on. `grading` has the grader's, by task_id.

    A later turn also depends on the feedback, and so on the visible tests and the grader.
    """
    prints = {slot.key: subject.fingerprint(slot, mode) for slot in slots}
    for slot in slots:
        if slot.max_feedback:
            told = str(slot.turns), str(slot.max_feedback), slot.task.visible_tests, grading[slot.task.task_id]
            prints[slot.key] = fingerprint_of(prints[slot.key], *told)
    return prints


def completed(
    subject: Subject, batch: Sequence[Slot], stored: Mapping[Key, Record], mode: str, ended: Ended
) -> Answers:
    """A batch with its completions; those of a model that are on file are taken from there."""
    old = [slot for slot in batch if subject.costly and slot.key in stored]
    new = [slot for slot in batch if slot not in old]
    made = zip(new, subject.complete(new, mode, ended), strict=True) if new and not subject.lost else ()
    records = [(slot, stored[slot.key]) for slot in old]
    kept = [(slot, Completion(record.completion, record.prompt, record.truncated)) for slot, record in records]
    return kept + [(slot, completion) for slot, completion in made if completion is not None]


def usable_records(subject: Subject, file: RecordFile, prints: Mapping[Key, str]) -> dict[Key, Record]:
    """The records on file that the subject would produce again. Raises InputError for a model's that it would not.

    A conversation that the sandbox's fault ended is not among them: it could have gone on, so it starts again.
    """
    stored = {key: record for key, record in file.load().items() if key in prints}
    stale = {key for key, record in stored.items() if record.generated_by != prints[key]}
    if stale and subject.costly:
        told = ", or of another grader or other turns" if subject.turns > 1 else ""
        raise InputError(
            f"{file.path} holds {len(stale)} completions of another model, prompt or decoding setting{told}: "
            "choose another --output-dir, or delete that file"
        )
    again = {key for key, record in stored.items() if record.infra and record.turns and subject.costly}
    return {key: record for key, record in stored.items() if key not in stale | again}


def converse(
    batch: Sequence[Slot], complete: Callable[[Sequence[Slot]], Answers], grader: Grader, prints: Mapping[Key, str]
) -> None:
    """Has the conversations of a batch, one turn of all of them after the other, and records each when it has ended.

    An ended conversation leaves the batch. The next turn waits for the verdicts; the last one is graded in the
    background. Where `complete` gives no answer, nothing is recorded.
    """
    slots = list(batch)
    while slots:
        answers = complete(slots)
        grader.submit([(slot, completion) for slot, completion in answers if slot.ends_with(completion)], prints)
        others = [(slot, completion) for slot, completion in answers if not slot.ends_with(completion)]
        slots = grader.keep_ended([slot for slot, _ in others], grader.judge(others), prints) if others else []


def check_model(model: Model, decoding: Decoding, tasks: Sequence[Task]) -> bool:
    """Raises InputError if a model cannot have such conversations about the tasks. Loads its tokenizer, no weights.

    Returns whether its template changes earlier answers. Here they stay as they were sampled.
    """
    tokenizer = load_tokenizer(model.path)
    if tokenizer.chat_template is None:
        raise InputError(f"{model.name}: its tokenizer has no chat template, which a second turn needs: give --turns 1")
    base = base_model(model.path)
    try:
        template = TurnTemplate(tokenizer, end_tokens(tokenizer, declared_ends(base)), decoding.enable_thinking)
    except InputError as error:
        raise InputError(f"{model.name}: {error}") from None
    context, asked = context_length(base), model.asked
    later = asked.turns * decoding.max_tokens + (asked.turns - 1) * template.longest(asked.max_feedback)
    found = prompt_lengths(tasks, tokenizer, decoding.enable_thinking) if tasks else []
    lengths = {task.task_id: length for task, length in zip(tasks, found, strict=True)}
    long = {task_id: length + later for task_id, length in lengths.items() if context and length + later > context}
    if long:
        raise InputError(
            f"{model.name} reads {context} tokens, and conversations on {len(long)} of {len(lengths)} tasks can become "
            f"longer (the first, {next(iter(long))}: {next(iter(long.values()))}): lower --max-completion-length, "
            "--turns or --max-feedback"
        )
    return template.rewrites

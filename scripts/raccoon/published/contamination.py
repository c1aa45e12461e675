"""Seen or unseen: which tasks of a benchmark are in the data that a model was trained on.

It checks only the data that the training run's config.json names; the data of its base model are not known. Similar
tasks may differ: each sign names a training task, and the reader decides.

Inputs:  the model's config.json (TRAINING_SETS, TRAIN_FILES, DATA_DIR, as train_rl_poc.py writes it) and the task
         files that it names, or the tasks.jsonl beside it. Outputs: a Badge.
"""

import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raccoon.constants import InputError
from raccoon.published.benchmarks import SEED_SETS, load_training_tasks
from raccoon.tasks.syntax import FunctionNode, parse_code
from raccoon.tasks.task import Task, case_texts, read_task_file

NGRAM = 13  # words in a row (Brown et al. 2020, appendix C)
COMMON = 10  # an n-gram or a name in more tasks than this is boilerplate, not a sign (same source)
MIN_SAME_TESTS = 0.5  # share of a task's asserts that one training task also has
MIN_SIMILARITY = 0.8  # of prompts: cosine of TF-IDF word vectors
MIN_NAMED = 0.5  # the same, if the tested functions have the same name
MIN_SOLUTION = 20  # nodes of a syntax tree: shorter solutions are alike by chance
FAMILY_SHARE = 0.1  # of the training tasks: if more are like another one, likeness is not a sign
SEEN_SHARE = 0.5  # of the tasks: from this share on a benchmark is seen, below it partly seen


@dataclass(frozen=True)
class Badge:
    """Whether a model was trained on a benchmark; `tasks` maps each seen task to its sign."""

    name: str  # seen, partly seen, unseen or unknown
    tasks: Mapping[str, str]
    dates: str = ""  # how many tasks were published after the end of the model's training data; "" if unknown


UNKNOWN = Badge("unknown", {})


def find_badge(folder: Path, tasks: Sequence[Task], data_dir: str, cutoff: str = "") -> Badge:
    """The badge of a benchmark's tasks for the model in `folder`; unknown if the folder names no training data.

    `cutoff` (YYYY-MM-DD) is the end of its base model's training data, according to the model's authors.
    """
    training, dates = training_tasks(folder, data_dir), published_after(tasks, cutoff)
    if training is None:
        return replace(UNKNOWN, dates=dates)
    signs = find_overlap(tasks, training)
    share = len(signs) / len(tasks)
    return Badge("unseen" if not signs else "seen" if share >= SEEN_SHARE else "partly seen", signs, dates)


def published_after(tasks: Sequence[Task], cutoff: str) -> str:
    """How many of the tasks that have a date are newer than `cutoff`; "" if none has a date or `cutoff` is empty."""
    dates = [task.date for task in tasks if task.date]
    if not dates or not cutoff:
        return ""
    newer = sum(date > cutoff for date in dates)
    return f"{newer if newer < len(dates) else 'all'} of {len(dates)} after {cutoff}"


def training_tasks(folder: Path, data_dir: str) -> list[Task] | None:
    """The tasks that a model was trained on; None if its folder does not name them, or if they cannot be read."""
    if folder.name.startswith("checkpoint-"):
        folder = folder.parent
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict) or "TRAIN_FILES" not in config:
        return None
    if (folder / "tasks.jsonl").is_file():
        return read_task_file(folder / "tasks.jsonl")
    try:
        names = config.get("TRAINING_SETS", SEED_SETS) if config.get("BENCHMARK_TASKS", True) else []
        tasks = load_training_tasks(config.get("DATA_DIR") or data_dir, [name for name in names if name])
        return tasks + [task for path in config["TRAIN_FILES"] for task in read_task_file(path)]
    except InputError as error:
        print(f"{folder}: its training data cannot be read, so it is unknown which tasks it has seen: {error}")
        return None


def find_overlap(tasks: Sequence[Task], training: Sequence[Task]) -> dict[str, str]:
    """task_id -> the strongest sign that it is in `training`, for the tasks that have one."""
    known = {task.task_id for task in training}
    signs = {task.task_id: "same id" for task in tasks if task.task_id in known}
    for find in (same_texts, same_tests, shared_ngrams, similar_prompts):
        left = [task for task in tasks if task.task_id not in signs]
        for task_id, sign in find(left, training) if left else ():
            signs.setdefault(task_id, sign)
    return {task.task_id: signs[task.task_id] for task in tasks if task.task_id in signs}


def same_texts(tasks: Sequence[Task], training: Sequence[Task]) -> Iterable[tuple[str, str]]:
    """Tasks with a prompt equal to a training task's, ignoring the function's name, or with an equal plain_solution."""
    solutions = [[plain_solution(task) for task in side] for side in (training, tasks)]
    for name, (theirs, ours) in (("prompt", statements(training, tasks)), ("solution", solutions)):
        known = {text: task.task_id for task, text in zip(training, theirs, strict=True) if text}
        for task, text in zip(tasks, ours, strict=True):
            if text in known:
                yield task.task_id, f"same {name} as {known[text]}"


def statements(training: Sequence[Task], tasks: Sequence[Task]) -> list[list[str]]:
    """Each prompt of both in lower-case words, without the function's name, asserts and common lines."""
    prompts = [[line for line in map(words, bare_prompt(task).split("\n")) if line] for task in (*training, *tasks)]
    lines = Counter(tuple(line) for prompt in prompts for line in prompt)
    texts = [" ".join(word for line in prompt if lines[tuple(line)] <= COMMON for word in line) for prompt in prompts]
    return [texts[: len(training)], texts[len(training) :]]


def bare_prompt(task: Task) -> str:
    text = re.sub(r"^\s*assert .*$", "", task.prompt, flags=re.M)
    return re.sub(rf"\b{re.escape(task.entry_point)}\b", "", text) if task.entry_point else text


def plain_solution(task: Task) -> str:
    """The normal form of a task's solution; "" for a short solution, which equals others by chance."""
    tree = parse_code(task.solution)
    return normal_form(tree) if tree and sum(1 for _ in ast.walk(tree)) >= MIN_SOLUTION else ""


def normal_form(tree: ast.Module) -> str:
    """A program as text without its own names, docstrings and annotations. Changes the tree."""
    nodes = [*ast.walk(tree)]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {node.name for node in nodes if isinstance(node, FunctionNode)}
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    numbers: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, FunctionNode):
            node.name = numbers.setdefault(node.name, str(len(numbers)))
            node.returns = None
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
        elif isinstance(node, ast.arg):
            node.annotation = None
            node.arg = numbers.setdefault(node.arg, str(len(numbers)))
        elif isinstance(node, ast.Name) and node.id in own:
            node.id = numbers.setdefault(node.id, str(len(numbers)))
    return ast.dump(tree)


def same_tests(tasks: Sequence[Task], training: Sequence[Task]) -> Iterable[tuple[str, str]]:
    """Tasks that share a large part of their asserts with one training task."""
    owners = defaultdict(set)
    for index, task in enumerate(training):
        for test in plain_asserts(task):
            owners[test].add(index)
    for task in tasks:
        asserts = plain_asserts(task)
        shared = Counter(index for test in asserts for index in owners.get(test, ()))
        if shared:
            index, number = shared.most_common(1)[0]
            if number >= 2 and number >= MIN_SAME_TESTS * len(asserts):
                yield task.task_id, f"{number} of {len(asserts)} asserts of {training[index].task_id}"


def plain_asserts(task: Task) -> set[str]:
    """The asserts of a task's test, with one name for the tested function; for a program, its cases."""
    if task.kind == "program":
        return case_texts(task.test)
    tree = parse_code(task.test)
    found = [ast.unparse(node.test) for node in ast.walk(tree) if isinstance(node, ast.Assert)] if tree else []
    name = rf"\b({re.escape(task.entry_point)}|candidate)\(" if task.entry_point else r"\bcandidate\("
    return {re.sub(name, "f(", text) for text in found}


def shared_ngrams(tasks: Sequence[Task], training: Sequence[Task]) -> Iterable[tuple[str, str]]:
    """Tasks that share thirteen words in a row with a training task, in the prompt or in the solution."""
    solutions = [[task.solution for task in side] for side in (training, tasks)]
    for name, texts in (("prompt", statements(training, tasks)), ("solution", solutions)):
        theirs, ours = ([ngrams(text) for text in side] for side in texts)
        times, own_times = (Counter(gram for grams in side for gram in grams) for side in (theirs, ours))
        boilerplate = {gram for counted in (times, own_times) for gram in counted if counted[gram] > COMMON}
        theirs = [grams - boilerplate for grams in theirs]
        if is_family([any(times[gram] > 1 for gram in grams) for grams in theirs]):
            continue
        owner = {gram: task.task_id for task, grams in zip(training, theirs, strict=True) for gram in grams}
        for task, grams in zip(tasks, ours, strict=True):
            shared = [gram for gram in grams if gram in owner]
            if shared:
                yield task.task_id, f"{NGRAM} words in a row of the {name} of {owner[min(shared)]}"


def is_family(alike: Sequence[bool]) -> bool:
    """Whether many training tasks are like one another, as tasks from templates are. Then likeness is not a sign."""
    return sum(alike) > FAMILY_SHARE * len(alike)


def ngrams(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + NGRAM]) for i in range(len(found) - NGRAM + 1)}


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def similar_prompts(tasks: Sequence[Task], training: Sequence[Task]) -> Iterable[tuple[str, str]]:
    """Tasks whose prompt is very similar to a training task's, or similar if the function has the same name."""
    import numpy

    texts = statements(training, tasks)
    vectors = tfidf(texts[0] + texts[1])
    theirs, ours = vectors[: len(training)], vectors[len(training) :]
    among = (theirs @ theirs.T).toarray()
    numpy.fill_diagonal(among, 0.0)
    if is_family(among.max(axis=1) > MIN_SIMILARITY):
        return
    places = defaultdict(list)
    for index, task in enumerate(training):
        places[task.entry_point].append(index)
    for task, row in zip(tasks, (ours @ theirs.T).toarray(), strict=True):
        best = int(row.argmax())
        if row[best] > MIN_SIMILARITY:
            yield task.task_id, f"prompt {row[best]:.2f} similar to {training[best].task_id}"
        named = places[task.entry_point] if task.entry_point else []
        if 0 < len(named) <= COMMON and row[named].max() > MIN_NAMED:
            nearest = named[int(row[named].argmax())]
            yield task.task_id, f"same function name, prompt {row[nearest]:.2f} similar to {training[nearest].task_id}"


def tfidf(texts: Sequence[str]):
    """The TF-IDF vectors of texts, of length 1: a sparse matrix of texts x words."""
    import numpy
    from scipy.sparse import csr_matrix

    counts = [Counter(text.split()) for text in texts]
    columns = {word: i for i, word in enumerate(sorted({word for count in counts for word in count}))}
    entries = [(row, columns[word], number) for row, count in enumerate(counts) for word, number in count.items()]
    row, column, number = numpy.array(entries).reshape(-1, 3).T
    rarity = numpy.log(len(texts) / numpy.bincount(column, minlength=len(columns)))
    weight = (1 + numpy.log(number)) * rarity[column]
    length = numpy.sqrt(numpy.bincount(row, weight**2, minlength=len(texts)))
    return csr_matrix((weight / numpy.maximum(length[row], 1e-12), (row, column)), (len(texts), len(columns)))

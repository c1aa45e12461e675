"""The published sets: where each is published, how its rows are read, and how a part of it is selected.

Inputs: the published files in DATA_DIR, or the Hugging Face hub. Output: Tasks. Nothing is run.

A name may have words that select a part:

livecodebench:release_v5:2024-08..2025-01     problems of the first five releases, of contests in those months
taco:easy+medium                              difficulties, or splits, joined by +
code_contests:800-1600                        ratings from 800 to 1600
"""

import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raccoon.constants import InputError
from raccoon.published import contests, function_sets
from raccoon.published.kodcode import kodcode_task
from raccoon.store import parse_json
from raccoon.tasks.task import LeftOut, Task, given_in, numbered_lines, read_task_file, take

HUB = "https://huggingface.co"  # or what HF_ENDPOINT names
SEED_SETS = ("mbpp", "humaneval")  # training sets unless others are named
PARQUET_ROWS = 64  # read at once
SHOWN = 300  # rows left out that are named, for each reason
TOO_LONG = "for integer string conversion"  # in Python's message
LONG_INTEGER = "it holds an integer with more digits than Python converts"

# Sets whose own judge puts the context before every program
JUDGED_WITH_CONTEXT = ("livecodebench", "apps", "taco", "taco_test", "leetcode", "leetcode_train")
SPECIAL_JUDGES = {"taco_test": "taco/output_spj.jsonl"}  # in DATA_DIR: problems with more than one right answer

RELEASE = re.compile(r"release_v(\d+)")
DATE = r"(\d{4}(?:-\d\d(?:-\d\d)?)?|)"
WINDOW = re.compile(rf"{DATE}\.\.{DATE}")
RATINGS = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True)
class Benchmark:
    """Where a benchmark is published, and how one of its rows becomes a Task."""

    name: str
    convert: Callable[[dict], Task | LeftOut]
    file: str  # in DATA_DIR; with a *, all files that match
    hub: str
    split: str | None = None  # of the hub's data set; None: all splits
    config: str | None = None
    hub_folder: str | None = None  # where the hub has these files, to be read like those of DATA_DIR; None: elsewhere

    @property
    def large(self) -> bool:
        """Whether it has gigabytes, and is read only if it is named."""
        return self.hub_folder is not None


MBPP, LEETCODE = "google-research-datasets/mbpp", "newfacade/LeetCodeDataset"
LIVE = "livecodebench/code_generation_lite"
BIGCODE = ("bigcodebench/BigCodeBench-v0.1.4.jsonl.gz", "bigcode/bigcodebench", "v0.1.4")
HARD = ("bigcodebench/BigCodeBench-Hard-v0.1.4.jsonl.gz", "bigcode/bigcodebench-hard", "v0.1.4")
ROWS = (
    Benchmark(
        "humaneval", function_sets.humaneval_task, "humaneval/HumanEval.jsonl.gz", "openai/openai_humaneval", "test"
    ),
    Benchmark("mbpp", function_sets.mbpp_task, "mbpp/sanitized-mbpp.json", MBPP, config="sanitized"),
    Benchmark("mbpp_full", function_sets.mbpp_task, "mbpp/mbpp.jsonl", MBPP, config="full"),
    Benchmark(
        "humanevalplus",
        function_sets.humanevalplus_task,
        "evalplus/HumanEvalPlus.jsonl.gz",
        "evalplus/humanevalplus",
        "test",
    ),
    Benchmark("mbppplus", function_sets.mbppplus_task, "evalplus/MbppPlus.jsonl.gz", "evalplus/mbppplus", "test"),
    Benchmark("bigcodebench", function_sets.bigcodebench_task, *BIGCODE),
    Benchmark("bigcodebench_instruct", function_sets.bigcodebench_instruct_task, *BIGCODE),
    Benchmark("bigcodebench_hard", function_sets.bigcodebench_task, *HARD),
    Benchmark("bigcodebench_hard_instruct", function_sets.bigcodebench_instruct_task, *HARD),
    Benchmark("cruxeval", function_sets.cruxeval_task, "cruxeval/cruxeval.jsonl", "cruxeval-org/cruxeval", "test"),
    Benchmark("livecodebench", contests.livecodebench_task, "livecodebench/test*.jsonl", LIVE, hub_folder=""),
    Benchmark("apps", contests.apps_task, "apps/train*.jsonl", "codeparrot/apps", hub_folder=""),
    Benchmark("taco", contests.taco_task, "taco/train-*.parquet", "BAAI/TACO", hub_folder="ALL/"),
    Benchmark("taco_test", contests.taco_task, "taco/test-*.parquet", "BAAI/TACO", hub_folder="ALL/"),
    Benchmark(
        "code_contests",
        contests.code_contests_task,
        "code_contests/train-*.parquet",
        "deepmind/code_contests",
        hub_folder="data/",
    ),
    Benchmark("kodcode", kodcode_task, "kodcode/train-*.parquet", "KodCode/KodCode-V1", hub_folder="data/"),
    Benchmark(
        "leetcode", function_sets.leetcode_task, "leetcode/LeetCodeDataset-v0.3.1-test.jsonl.gz", LEETCODE, "test"
    ),
    Benchmark(
        "leetcode_train",
        function_sets.leetcode_train_task,
        "leetcode/LeetCodeDataset-v0.1.0-train.jsonl.gz",
        LEETCODE,
        "train",
    ),
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in ROWS}


def load_benchmark(name: str, data_dir: str | Path = "") -> list[Task]:
    """All tasks of a benchmark, in the published order; "name:word:word" selects a part.

    Reads the published file in `data_dir`, or the hub if `data_dir` is empty. Raises InputError for an unknown name, a
    missing file, an unreachable hub and a row without a required field.
    """
    base, *words = name.split(":")
    if base not in BENCHMARKS:
        raise InputError(f"no benchmark {base!r}; choose from {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[base]
    path = Path(data_dir) / benchmark.file
    origin = str(path) if data_dir else f"hub data set {benchmark.hub}"
    rows = read_rows(path, base) if data_dir else hub_rows(benchmark)
    if base in SPECIAL_JUDGES:
        rows = with_judges(rows, Path(data_dir) / SPECIAL_JUDGES[base], name)
    return selected(converted(benchmark, rows, origin), words, name)


def load_set(name: str, data_dir: str | Path, constant: str) -> list[Task]:
    """The tasks of a benchmark by name, or of a task file by path. Its InputErrors begin with the constant's name."""
    with given_in(constant):
        if is_benchmark(name):
            return load_benchmark(name, data_dir)
        if is_path(name) or Path(name).exists():
            return read_task_file(name)
        raise InputError(f"no benchmark or task file {name!r}; choose from {', '.join(BENCHMARKS)}, or give a path")


def is_path(name: str) -> bool:
    """Whether a name has the form of a task file's path."""
    return name.endswith((".jsonl", ".jsonl.gz")) or "/" in name


def is_benchmark(name: str) -> bool:
    """Whether load_benchmark knows the name. The selecting words are not checked."""
    return name.partition(":")[0] in BENCHMARKS


def judge_adds_context(source: str) -> bool:
    """Whether the own judge of a task's set puts the task's context before every program, also before a whole one."""
    return source in JUDGED_WITH_CONTEXT


def converted(benchmark: Benchmark, rows: Iterable[dict], origin: str) -> list[Task]:
    """The tasks of published rows; prints which rows are left out. `origin` says where the rows come from."""
    tasks: list[Task] = []
    left_out: dict[str, list[str]] = {}
    number = 0
    for number, row in enumerate(rows, 1):
        try:
            task = benchmark.convert(row)
        except (InputError, SyntaxError, ValueError, TypeError, AttributeError) as error:
            if not is_too_long(error):
                raise InputError(f"{origin}, row {number}: {error}; fetch the published file again") from error
            task = LeftOut(f"row {number}", LONG_INTEGER)
        if isinstance(task, Task):
            tasks.append(task)
        else:
            left_out.setdefault(task.reason, []).append(task.task_id)
    if left_out:
        print(f"{benchmark.name}: left out {number - len(tasks)} of {number} rows")
    for reason, names in left_out.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        print(f"  {len(names)}: {reason} ({', '.join(names[:SHOWN])}{more})")
    return tasks


def is_too_long(error: BaseException | None) -> bool:
    """Whether an error began with an integer that has more digits than Python converts."""
    return error is not None and (TOO_LONG in str(error) or is_too_long(error.__context__))


def with_judges(rows: Iterable[dict], path: Path, name: str) -> Iterator[dict]:
    """The rows with the fields of TACO's list of special judges, whose `idx` is a row's position.

    A line may also have a `checker`, a trusted program for the cases of that problem.
    """
    if not path.is_file():
        print(f"{name}: no file {path}, so problems with several right answers are compared with one of them")
        yield from rows
        return
    judges = {take(line, "idx", int): line for line in read_rows(path, name)}
    for row in rows:
        yield row | judges.get(row["row"], {})


def load_training_tasks(data_dir: str | Path = "", names: Sequence[str] = SEED_SETS) -> list[Task]:
    """The tasks of training sets, without MBPP's few-shot prompt split: 420 of MBPP and 164 of HumanEval by default."""
    return [task for name in names for task in load_benchmark(name, data_dir) if task.split != "prompt"]


def selected(tasks: list[Task], words: Sequence[str], name: str) -> list[Task]:
    """The tasks that all words select. Raises InputError if there are none."""
    for word in words:
        kept = [task for task in tasks if selects(word, task)]
        if not kept:
            raise InputError(f"{name}: none of the {len(tasks)} tasks is {word!r}; choose from {what_there_is(tasks)}")
        tasks = kept
    return tasks


def selects(word: str, task: Task) -> bool:
    if release := RELEASE.fullmatch(word):
        own = RELEASE.fullmatch(task.split)
        return own is not None and int(own[1]) <= int(release[1])
    if window := WINDOW.fullmatch(word):
        first, last = window.groups()
        return bool(task.date) and task.date >= first and (not last or task.date[: len(last)] <= last)
    if ratings := RATINGS.fullmatch(word):
        return task.difficulty.isdecimal() and int(ratings[1]) <= int(task.difficulty) <= int(ratings[2])
    return bool({task.difficulty, task.split} & set(word.split("+")))


def what_there_is(tasks: Sequence[Task]) -> str:
    """The words that would select something."""
    parts = []
    for field in ("difficulty", "split"):
        found = sorted({getattr(task, field) for task in tasks} - {""})
        parts += [f"{field}: {', '.join(found[:8])}{', ...' if len(found) > 8 else ''}"] if found else []
    dates = sorted({task.date for task in tasks} - {""})
    parts += [f"dates: {dates[0]}..{dates[-1]}"] if dates else []
    return "; ".join(parts) or "nothing: the tasks have no difficulties, splits or dates"


def read_rows(path: Path, name: str) -> Iterator[dict]:
    """The rows of a published file: one JSON list, JSON lines, or parquet.

    If the path has a *, the rows of all matching files. Each row then also has the name of its file as "file" and its
    position among all these rows as "row". A line with an integer that is too long is named and left out.
    """
    if "*" in path.name:
        paths = sorted(path.parent.glob(path.name), key=lambda found: (len(found.name), found.name))  # test2, test10
        files = ((found.name.partition(".")[0], row) for found in paths for row in read_rows(found, name))
        for place, (file, row) in enumerate(files):
            yield row | {"file": file, "row": place}
        if paths:
            return
    if not path.is_file():
        raise InputError(
            f"no file {path} for benchmark {name}: put the published file there, "
            "or leave DATA_DIR empty to read the Hugging Face hub"
        )
    if path.suffix == ".json":
        yield from parse_json("".join(line for _, line in numbered_lines(path)), str(path), list)
    elif path.suffix == ".parquet":
        yield from parquet_rows(path)
    else:
        for number, line in numbered_lines(path):
            try:
                row = parse_json(line, f"{path}, line {number}")
            except InputError as error:
                if not is_too_long(error):
                    raise
                print(f"{name}: left out line {number} of {path}: {LONG_INTEGER}")
                continue
            yield row


def parquet_rows(path: Path) -> Iterator[dict]:
    """The rows of a parquet file, read in batches."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(f"{path} needs the package pyarrow, a dependency of datasets: pip install datasets") from None
    try:
        for batch in parquet.ParquetFile(path).iter_batches(PARQUET_ROWS):
            yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise InputError(f"cannot read {path} ({str(error)[:100]}): fetch the file again") from None


def hub_is_out_of_reach() -> bool:
    """Whether the hub's address cannot be resolved; False behind a proxy, which resolves it itself."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    if getproxies():
        return False
    try:
        socket.getaddrinfo(urlsplit(os.environ.get("HF_ENDPOINT") or HUB).hostname, None)
    except OSError:
        return True
    return False


def hub_rows(benchmark: Benchmark) -> Iterable[dict]:
    """The rows of a hub data set: of its plain files, kept in the hub's cache, or as `datasets` reads it.

    Without a split they are those of all splits, sorted by task_id.
    """
    if hub_is_out_of_reach():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the hub's library then uses its cache, without 30 s of retries
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
        from huggingface_hub import snapshot_download
    except ImportError:
        raise InputError("the package datasets is missing: pip install datasets, or set DATA_DIR") from None
    try:
        if benchmark.hub_folder is not None:
            files = benchmark.hub_folder + Path(benchmark.file).name
            folder = snapshot_download(benchmark.hub, repo_type="dataset", allow_patterns=[files])
            return read_rows(Path(folder) / files, benchmark.name)
        loaded = load_dataset(benchmark.hub, benchmark.config, split=benchmark.split)
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n")[0][:200]
        raise InputError(
            f"cannot read {benchmark.hub} from the hub ({type(error).__name__}: {reason}): "
            f"put the published file at DATA_DIR/{benchmark.file} and give --data-dir DATA_DIR"
        ) from error
    if benchmark.split:
        return loaded
    return sorted((row for split in loaded.values() for row in split), key=lambda row: row["task_id"])

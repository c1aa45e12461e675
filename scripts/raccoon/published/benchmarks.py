"""The benchmarks: where each is published, and how one of its rows becomes a Task.

Inputs: the published benchmark files in DATA_DIR, or the Hugging Face hub. Output: Tasks. Nothing is run.
"""

import ast
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raccoon.constants import InputError
from raccoon.published.contests import apps_task, code_contests_task, taco_task
from raccoon.published.evalplus import plus_test, typed_inputs
from raccoon.published.kodcode import kodcode_task
from raccoon.published.leetcode import leetcode_task, leetcode_train_task
from raccoon.published.livecodebench import livecodebench_task
from raccoon.store import parse_json
from raccoon.tasks.prompts import PREDICT, completion_prompt, description_prompt
from raccoon.tasks.selection import selected
from raccoon.tasks.syntax import bound_names, text_above
from raccoon.tasks.task import LeftOut, Task, numbered_lines, take

HUB = "https://huggingface.co"  # or what HF_ENDPOINT names
SEED_SETS = ("mbpp", "humaneval")  # training sets unless others are named
PARQUET_ROWS = 64  # read at once
SHOWN = 300  # rows left out that are named, for each reason
TOO_LONG = "for integer string conversion"  # in Python's message
LONG_INTEGER = "it holds an integer with more digits than Python converts"


@dataclass(frozen=True)
class Benchmark:
    """Where a benchmark is published, and how one of its rows becomes a Task."""

    name: str
    convert: Callable[[dict], Task | LeftOut]
    file: str  # in DATA_DIR; with a *, all files that match
    hub: str
    config: str | None = None
    split: str | None = None  # None: all splits
    hub_files: str = ""  # files of the hub's repository; if given, they are read like files of DATA_DIR
    large: bool = False  # gigabytes: read only if it is named
    judge_adds_context: bool = False  # its own judge puts the context before every program
    special_judges: str = ""  # in DATA_DIR: which of its problems have more than one right answer


def load_benchmark(name: str, data_dir: str | Path = "") -> list[Task]:
    """All tasks of a benchmark, in the published order; "name:word:word" selects a part (see tasks/selection.py).

    Reads the published file in `data_dir`, or the hub if `data_dir` is empty. Raises InputError for an unknown name, a
    missing file, an unreachable hub and a row without a required field.
    """
    base, *words = name.split(":")
    if base not in BENCHMARKS:
        raise InputError(f"no benchmark {base!r}; choose from {', '.join(BENCHMARKS)}")
    benchmark = BENCHMARKS[base]
    if data_dir:
        origin = str(Path(data_dir) / benchmark.file)
        rows = read_rows(Path(origin), base)
    else:
        origin = f"hub data set {benchmark.hub}"
        rows = hub_files(benchmark) if benchmark.hub_files else hub_rows(benchmark)
    if benchmark.special_judges:
        rows = with_judges(rows, Path(data_dir) / benchmark.special_judges, name)
    return selected(converted(benchmark, rows, origin), words, name)


def is_benchmark(name: str) -> bool:
    """Whether load_benchmark knows the name. The selecting words are not checked."""
    return name.partition(":")[0] in BENCHMARKS


def judge_adds_context(source: str) -> bool:
    """Whether the own judge of a task's set puts the task's context before every program, also before a whole one."""
    return source in BENCHMARKS and BENCHMARKS[source].judge_adds_context


def converted(benchmark: Benchmark, rows: Iterable[dict], origin: str) -> list[Task]:
    """The tasks of published rows; prints which rows are left out. `origin` says where the rows come from."""
    tasks, left_out, number = [], {}, 0
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

    A line may also have a `checker`, a trusted program for the cases of that problem (tasks/cases.py).
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


def hub_files(benchmark: Benchmark) -> Iterator[dict]:
    """The rows of a hub data set that is published as plain files. The files are kept in the hub's cache."""
    from huggingface_hub import snapshot_download

    if hub_is_out_of_reach():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        folder = snapshot_download(benchmark.hub, repo_type="dataset", allow_patterns=[benchmark.hub_files])
    except (OSError, ValueError) as error:  # raised by the hub client if it cannot reach or find a data set
        raise unread_hub(benchmark, error) from error
    yield from read_rows(Path(folder) / benchmark.hub_files, benchmark.name)


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


def hub_rows(benchmark: Benchmark) -> list[dict]:
    """The rows of a hub data set. If the benchmark has no split, all splits, sorted by task_id."""
    if hub_is_out_of_reach():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the hub's library then uses its cache, without 30 s of retries
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError:
        raise InputError("the package datasets is missing: pip install datasets, or set DATA_DIR") from None
    try:
        loaded = load_dataset(benchmark.hub, benchmark.config, split=benchmark.split)
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        raise unread_hub(benchmark, error) from error
    if benchmark.split:
        return list(loaded)
    return sorted((row for split in loaded.values() for row in split), key=lambda row: row["task_id"])


def unread_hub(benchmark: Benchmark, error: Exception) -> InputError:
    """The error for a data set that the hub did not deliver."""
    reason = str(error).split("\n")[0][:200]
    return InputError(
        f"cannot read {benchmark.hub} from the hub ({type(error).__name__}: {reason}): "
        f"put the published file at DATA_DIR/{benchmark.file} and give --data-dir DATA_DIR"
    )


def humaneval_task(row: dict) -> Task:
    """A row of HumanEval (Chen et al. 2021). Its test only defines check(), so this adds the call."""
    prompt, entry_point = take(row, "prompt"), take(row, "entry_point")
    return Task(
        task_id=take(row, "task_id"),
        prompt=completion_prompt(prompt),
        test=f"{take(row, 'test')}\ncheck({entry_point})\n",
        entry_point=entry_point,
        context=text_above(prompt, entry_point),
        solution=prompt + take(row, "canonical_solution"),
        source="humaneval",
        split="test",
    )


def mbpp_task(row: dict) -> Task:
    """A row of sanitized or full MBPP (Austin et al. 2021); the name of the text's field tells which.

    The setup code of full MBPP creates objects of the solution's classes, so it runs after the solution.
    """
    text = take(row, "text" if "text" in row else "prompt")
    code, number = take(row, "code"), take(row, "task_id", int)
    tests = take(row, "test_list", list)
    setup = [take(row, "test_setup_code")] if "text" in row else take(row, "test_imports", (list, tuple))
    entry_point = entry_point_of(tests[0], code)
    return Task(
        task_id=f"Mbpp/{number}",
        prompt=description_prompt(text, entry_point, tests[0]),
        test="\n".join([*setup, *tests]).replace("\r\n", "\n").strip() + "\n",
        entry_point=entry_point,
        solution=code,
        source="mbpp_full" if "text" in row else "mbpp",
        split=mbpp_split(number),
    )


def mbpp_split(number: int) -> str:
    """The split of an MBPP task. Its number decides it."""
    for split, last in (("prompt", 10), ("test", 510), ("validation", 600)):
        if number <= last:
            return split
    return "train"


def entry_point_of(test: str, solution: str) -> str:
    """The function that an assert tests: the first called name that the solution defines.

    A pattern on the text fails if the call is inside set(...) or math.isclose(...). A list of builtins fails if the
    function is called sum.
    """
    try:
        program, reference = ast.parse(test), ast.parse(solution)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"its code or first test is not Python: {error}") from None
    defined = bound_names(reference)
    for node in ast.walk(program):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
            return node.func.id
    raise InputError(f"its first test does not call a function of its code: {test[:80]!r}")


def humanevalplus_task(row: dict) -> Task:
    """A row of HumanEval+ (Liu et al. 2023): the published file has inputs, the hub has a complete test."""
    task = replace(humaneval_task(row), source="humanevalplus")
    return replace(task, test=row_plus_test(row, task.solution)) if "base_input" in row else task


def mbppplus_task(row: dict) -> Task:
    """A row of MBPP+ (Liu et al. 2023): the published file has inputs, the hub has a complete test."""
    if "base_input" not in row:
        return replace(mbpp_task(row), test=take(row, "test"), source="mbppplus")
    task_id, entry_point = take(row, "task_id"), take(row, "entry_point")
    solution = take(row, "canonical_solution")
    text, _, example = take(row, "prompt").strip('"\n').partition("\nassert ")
    return Task(
        task_id=task_id,
        prompt=description_prompt(text, entry_point, f"assert {example}"),
        test=row_plus_test(row, solution),
        entry_point=entry_point,
        solution=solution,
        source="mbppplus",
        split=mbpp_split(int(task_id.removeprefix("Mbpp/"))),
    )


def row_plus_test(row: dict, reference: str) -> str:
    """The test program of an EvalPlus row. A row without additional inputs has {} as `plus_input`."""
    task_id = take(row, "task_id")
    groups = [take(row, "base_input", list), list(take(row, "plus_input", (list, dict)))]
    return plus_test(
        task_id,
        take(row, "entry_point"),
        reference,
        [typed_inputs(task_id, group) for group in groups],
        take(row, "atol", (int, float)),
    )


def bigcodebench_task(row: dict) -> Task:
    """A row of BigCodeBench (Zhuo et al. 2024), with its complete prompt. Its test only defines a TestCase."""
    stub, entry_point = take(row, "code_prompt"), take(row, "entry_point")
    return Task(
        task_id=take(row, "task_id"),
        prompt=completion_prompt(take(row, "complete_prompt")),
        test=take(row, "test"),
        entry_point=entry_point,
        context=text_above(stub, entry_point),
        solution=stub + take(row, "canonical_solution"),
        source="bigcodebench",
        split="test",
    )


def bigcodebench_instruct_task(row: dict) -> Task:
    """A row of BigCodeBench with the prompt that describes the function in words."""
    text = take(row, "instruct_prompt").strip()
    return replace(
        bigcodebench_task(row),
        source="bigcodebench_instruct",
        prompt=f"{text}\n\nAnswer with the whole program in one ```python block.\n",
    )


def cruxeval_task(row: dict) -> Task:
    """A row of CRUXEval (Gu et al. 2024), output prediction: `predict` returns what `f` would return.

    Only the test contains `f`, and only a literal completes the stub (see literal_answer). So the answer cannot call
    the program whose result it must predict.
    """
    code, call = take(row, "code"), f"f({take(row, 'input')})"
    return Task(
        task_id=f"CRUXEval/{take(row, 'id').removeprefix('sample_')}",
        prompt=f"What does `{call}` return, given this program?\n\n```python\n{code}\n```\n\n"
        "Work it out without running it. Answer with this function in one ```python block, the value "
        f"written as a literal in place of the dots:\n\n```python\n{PREDICT}...\n```\n",
        test=f"{code}\n\nassert {call} == predict()\n",
        entry_point="predict",
        solution=PREDICT + take(row, "output") + "\n",
        source="cruxeval",
        split="test",
    )


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("humaneval", humaneval_task, "humaneval/HumanEval.jsonl.gz", "openai/openai_humaneval", split="test"),
        Benchmark("mbpp", mbpp_task, "mbpp/sanitized-mbpp.json", "google-research-datasets/mbpp", "sanitized"),
        Benchmark("mbpp_full", mbpp_task, "mbpp/mbpp.jsonl", "google-research-datasets/mbpp", "full"),
        Benchmark(
            "humanevalplus",
            humanevalplus_task,
            "evalplus/HumanEvalPlus.jsonl.gz",
            "evalplus/humanevalplus",
            split="test",
        ),
        Benchmark("mbppplus", mbppplus_task, "evalplus/MbppPlus.jsonl.gz", "evalplus/mbppplus", split="test"),
        Benchmark(
            "bigcodebench",
            bigcodebench_task,
            "bigcodebench/BigCodeBench-v0.1.4.jsonl.gz",
            "bigcode/bigcodebench",
            split="v0.1.4",
        ),
        Benchmark(
            "bigcodebench_instruct",
            bigcodebench_instruct_task,
            "bigcodebench/BigCodeBench-v0.1.4.jsonl.gz",
            "bigcode/bigcodebench",
            split="v0.1.4",
        ),
        Benchmark(
            "bigcodebench_hard",
            bigcodebench_task,
            "bigcodebench/BigCodeBench-Hard-v0.1.4.jsonl.gz",
            "bigcode/bigcodebench-hard",
            split="v0.1.4",
        ),
        Benchmark(
            "bigcodebench_hard_instruct",
            bigcodebench_instruct_task,
            "bigcodebench/BigCodeBench-Hard-v0.1.4.jsonl.gz",
            "bigcode/bigcodebench-hard",
            split="v0.1.4",
        ),
        Benchmark("cruxeval", cruxeval_task, "cruxeval/cruxeval.jsonl", "cruxeval-org/cruxeval", split="test"),
        Benchmark(
            "livecodebench",
            livecodebench_task,
            "livecodebench/test*.jsonl",
            "livecodebench/code_generation_lite",
            hub_files="test*.jsonl",
            large=True,
            judge_adds_context=True,
        ),
        Benchmark(
            "apps",
            apps_task,
            "apps/train*.jsonl",
            "codeparrot/apps",
            hub_files="train*.jsonl",
            large=True,
            judge_adds_context=True,
        ),
        Benchmark(
            "taco",
            taco_task,
            "taco/train-*.parquet",
            "BAAI/TACO",
            hub_files="ALL/train-*.parquet",
            large=True,
            judge_adds_context=True,
        ),
        Benchmark(
            "taco_test",
            taco_task,
            "taco/test-*.parquet",
            "BAAI/TACO",
            hub_files="ALL/test-*.parquet",
            large=True,
            judge_adds_context=True,
            special_judges="taco/output_spj.jsonl",
        ),
        Benchmark(
            "code_contests",
            code_contests_task,
            "code_contests/train-*.parquet",
            "deepmind/code_contests",
            hub_files="data/train-*.parquet",
            large=True,
        ),
        Benchmark(
            "kodcode",
            kodcode_task,
            "kodcode/train-*.parquet",
            "KodCode/KodCode-V1",
            hub_files="data/train-*.parquet",
            large=True,
        ),
        Benchmark(
            "leetcode",
            leetcode_task,
            "leetcode/LeetCodeDataset-v0.3.1-test.jsonl.gz",
            "newfacade/LeetCodeDataset",
            split="test",
            judge_adds_context=True,
        ),
        Benchmark(
            "leetcode_train",
            leetcode_train_task,
            "leetcode/LeetCodeDataset-v0.1.0-train.jsonl.gz",
            "newfacade/LeetCodeDataset",
            split="train",
            judge_adds_context=True,
        ),
    )
}

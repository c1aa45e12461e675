"""Strengthens many tasks in batches. What is done is kept in a file, so that a stopped run goes on where it was."""

import fcntl
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from raccoon.progress import progress_bar
from raccoon.sandbox.pool import Sandbox
from raccoon.store import Ledger, digest
from raccoon.strengthening.strengthen import VERSION, Known, Strengthened, strengthen
from raccoon.tasks.task import Task, task_record

BATCH = 32  # tasks that are done together; a stopped run repeats at most so many
HASH_SEED = 1  # of the second sandbox; the first has 0, as every sandbox


@dataclass(frozen=True)
class Stored:
    """What came of a task: its test and origin, the number of its new asserts, and why it has none."""

    test: str
    origin: str
    added: int
    reason: str


def strengthen_all(
    tasks: Sequence[Task], path: str | Path, sandbox: Sandbox, most: int, seed: int, known: Mapping[str, Known]
) -> list[Strengthened]:
    """Each task with at most `most` new asserts. `path`: the file of what is done. `known`: programs by task_id.

    The processes of one run take turns: the first makes the tests, the others find them in the file. A task whose batch
    was stopped is done again. Raises InputError if the file cannot be written.
    """
    path = Path(path)
    keys = [digest(task_record(task), VERSION, most, seed, asdict(known.get(task.task_id, Known()))) for task in tasks]
    with taking_turns(path), Ledger(path, Stored) as done, ExitStack() as stack:
        missing = [place for place, key in enumerate(keys) if key not in done.records]
        if missing:
            second = stack.enter_context(sandbox.like(HASH_SEED))
        with progress_bar(total=len(missing), desc="new tests", unit="task", disable=not missing) as bar:
            for start in range(0, len(missing), BATCH):
                part = missing[start : start + BATCH]
                found = strengthen([tasks[place] for place in part], (sandbox, second), most, seed, known)
                for place, each in zip(part, found, strict=True):
                    done.put(keys[place], Stored(each.task.test, each.task.origin, each.added, each.reason))
                bar.update(len(part))
        kept = [done.records[key] for key in keys]
    return [
        Strengthened(replace(task, test=each.test, origin=each.origin), each.added, each.reason)
        for task, each in zip(tasks, kept, strict=True)
    ]


@contextmanager
def taking_turns(path: Path) -> Iterator[None]:
    """Waits until no other process uses the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def summary(found: Sequence[Strengthened]) -> str:
    """How many tasks have new tests, and why the others have none, as a Markdown table."""
    gained = [each for each in found if each.added]
    rows = [("new tests", len(gained)), *Counter(each.reason for each in found if not each.added).most_common()]
    lines = [f"| {name} | {number} |" for name, number in rows]
    total = sum(each.added for each in gained)
    return "\n".join(["| tasks | number |", "|---|---|", *lines, f"| all, with {total} new asserts | {len(found)} |"])

"""Runs untrusted Python against tests and reports the result: a Verdict that the code cannot forge.

It is not a virtual machine and does not protect against kernel bugs: if the host matters, run the whole job in a VM or
in gVisor. A verdict is only as good as its tests.

    python scripts/sandbox.py [--workers N] < programs.jsonl > verdicts.jsonl

Input, one JSON object a line: {"task_id", "code", "test", "entry_point", "context", "timeout"}; only code and test are
required, `test` raises when the code is wrong, `timeout` is in CPU seconds. Output, in the same order: {"task_id",
"status", "reason", "tests_passed", "tests_total", "seconds", "isolation", "output"}. With "kind": "program" the code
reads stdin and prints, and `test` holds its cases as JSON text: {"inputs": [...], "outputs": [...]}. A "solution" that
is known to pass runs only where the code has ended processes of the sandbox, to find whose fault that is. The verdict
on a malformed line is INFRA and names the line's number; the other lines are judged. The exit code is 0 if every line
could be judged, 1 if one could not.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import sys
from collections.abc import Iterable, Iterator

from raccoon.records import Program, Verdict, failed
from raccoon.sandbox.pool import MAX_TIMEOUT, MEMORY_MB, TIMEOUT, WINDOW, Sandbox, SandboxError
from raccoon.trust import infra_cause, named_counts

TEXTS = ("code", "test", "entry_point", "context", "solution")
MALFORMED = "infra: malformed line"


def main() -> int:
    parser = argparse.ArgumentParser(description="Verdicts for untrusted programs: JSON lines in, JSON lines out.")
    parser.add_argument("--workers", type=int, help="programs judged at once (default: all cores)")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="CPU seconds a program (default: %(default)s)")
    parser.add_argument(
        "--memory-mb", type=int, default=MEMORY_MB, help="address space of a program (default: %(default)s)"
    )
    parser.add_argument("--preload", nargs="*", default=[], help="modules that the programs use, to import only once")
    parser.add_argument("--allow-weak", action="store_true", help="run even if Landlock or seccomp is missing")
    options = parser.parse_args()
    malformed = 0
    try:
        with Sandbox(
            options.workers, options.timeout, options.memory_mb, tuple(options.preload), options.allow_weak
        ) as box:
            print(f"sandbox: {box.walls}", file=sys.stderr)
            ungraded = Ungraded()
            for task_id, verdict in judge_lines(sys.stdin.buffer, box):
                ungraded.note(str(task_id), verdict)
                if verdict.reason.startswith(MALFORMED):
                    print(f"sandbox.py: {verdict.reason}", file=sys.stderr)
                    malformed += 1
                print(json.dumps({"task_id": task_id} | verdict.as_dict()), flush=True)
            for line in ungraded.lines():
                print(f"sandbox.py: {line}", file=sys.stderr)
    except SandboxError as error:
        print(f"sandbox.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sandbox.py: stopped; all verdicts printed so far are complete", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes stdout again when it ends
        print("sandbox.py: the reader of the verdicts closed the pipe, so the script stopped", file=sys.stderr)
        return 1
    return 1 if malformed else 0


class Ungraded:
    """Counts INFRA by cause, and finds the task ids where the code seems to decide it."""

    def __init__(self) -> None:
        self.causes: collections.Counter[str] = collections.Counter()
        self.lost: set[str] = set()
        self.judged: set[str] = set()

    def note(self, task_id: str, verdict: Verdict) -> None:
        if verdict.status == "INFRA":
            self.causes[infra_cause(verdict.reason, task_id)] += 1
        if not verdict.reason.startswith(MALFORMED):
            (self.lost if verdict.status == "INFRA" else self.judged).add(task_id)

    def lines(self) -> list[str]:
        """What to print at the end; nothing if every program was judged."""
        mixed = sorted(self.lost & self.judged)
        return ([f"{self.causes.total()} INFRA: {named_counts(self.causes)}"] if self.causes else []) + (
            [
                f"warning: INFRA for some programs of a task_id and not for others, so the code may decide it: "
                f"{', '.join(mixed[:20])}{', ...' if len(mixed) > 20 else ''}"
            ]
            if mixed
            else []
        )


def judge_lines(lines: Iterable[bytes], sandbox: Sandbox) -> Iterator[tuple[object, Verdict]]:
    """(task_id, verdict) for each line that is not blank, in order."""
    window: collections.deque[tuple] = collections.deque()
    for number, line in enumerate(lines, 1):
        if line.strip():
            window.append(start_line(number, line, sandbox))
        while len(window) > WINDOW:
            task_id, verdict = window.popleft()
            yield task_id, verdict.result()
    for task_id, verdict in window:
        yield task_id, verdict.result()


def start_line(number: int, line: bytes, sandbox: Sandbox) -> tuple[object, concurrent.futures.Future]:
    """The task_id of one input line, and a future of its verdict. A malformed line's is INFRA and names the line."""
    task_id: object = ""
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("it is not a JSON object")
        task_id = record.get("task_id", "")
        return task_id, sandbox.submit(checked_program(record))
    except (ValueError, RecursionError) as error:
        verdict: concurrent.futures.Future = concurrent.futures.Future()
        verdict.set_result(failed(f"{MALFORMED} {number}: {str(error)[:200]}", "INFRA"))
        return task_id, verdict


def checked_program(record: dict) -> Program:
    """The program of one input record. Raises ValueError that names a wrong field; other fields are ignored."""
    for name in (*TEXTS, "kind"):
        value = record.get(name)
        if not isinstance(value, str) and (value is not None or name in ("code", "test")):
            raise ValueError(f"field {name!r} is {'missing' if value is None else 'not a string'}")
    timeout = record.get("timeout")
    if timeout is not None and not (type(timeout) in (int, float) and 0 < timeout <= MAX_TIMEOUT):
        raise ValueError(f"field 'timeout' is {timeout!r:.40}, not a number of seconds up to {MAX_TIMEOUT}")
    kind = record.get("kind") or "function"
    if kind not in ("function", "program"):
        raise ValueError(f"field 'kind' is {kind!r:.40}, neither 'function' nor 'program'")
    texts = {name: record.get(name) or "" for name in TEXTS}
    return Program(**texts, kind=kind, task_id=str(record.get("task_id", "")), timeout=timeout)


if __name__ == "__main__":
    sys.exit(main())

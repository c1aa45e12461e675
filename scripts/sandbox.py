"""Runs untrusted Python against tests and says what came of it: a Verdict that the code cannot forge.

Not a virtual machine: kernel bugs are out of reach (put a VM or gVisor around the whole job where the host matters),
and a verdict is as good as its tests.

    python scripts/sandbox.py [--workers N] < programs.jsonl > verdicts.jsonl

Input, one JSON object a line: {"task_id", "code", "test", "entry_point", "context", "timeout"}; only code and test are
required, `test` raises when the code is wrong, `timeout` is in CPU seconds. Output, in the same order: {"task_id",
"status", "reason", "tests_passed", "tests_total", "seconds", "isolation", "output"}. With "kind": "program" the code
reads stdin and prints, and `test` holds its cases as JSON text: {"inputs": [...], "outputs": [...]}. A malformed line
is named by its number and costs only itself: its verdict is INFRA. Exit code 0 when every line could be judged, 1 when
one could not.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import sys
from collections.abc import Iterable, Iterator

from raccoon.sandbox.pool import (
    MAX_TIMEOUT,
    MEMORY_MB,
    TIMEOUT,
    WINDOW,
    Program,
    Sandbox,
    SandboxError,
    Verdict,
    failed,
)

TEXTS = ("code", "test", "entry_point", "context")
MALFORMED = "infra: malformed line"


def main() -> int:
    parser = argparse.ArgumentParser(description="Verdicts for untrusted programs: JSON lines in, JSON lines out.")
    parser.add_argument("--workers", type=int, help="programs judged at once (default: all cores)")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="CPU seconds of a program (%(default)s)")
    parser.add_argument(
        "--memory-mb", type=int, default=MEMORY_MB, help="address space of a program (default: %(default)s)"
    )
    parser.add_argument("--preload", nargs="*", default=[], help="modules that the programs use, imported once")
    parser.add_argument("--allow-weak", action="store_true", help="run even where Landlock or seccomp is missing")
    options = parser.parse_args()
    malformed = 0
    try:
        with Sandbox(
            options.workers, options.timeout, options.memory_mb, tuple(options.preload), options.allow_weak
        ) as box:
            print(f"sandbox: {box.walls}", file=sys.stderr)
            for task_id, verdict in judge_lines(sys.stdin.buffer, box):
                if verdict.reason.startswith(MALFORMED):
                    print(f"sandbox.py: {verdict.reason}", file=sys.stderr)
                    malformed += 1
                print(json.dumps({"task_id": task_id} | verdict.as_dict()), flush=True)
    except SandboxError as error:
        print(f"sandbox.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sandbox.py: stopped; the verdicts so far are whole", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes it once more at its end
        print("sandbox.py: nobody reads the verdicts any more, so it ended here", file=sys.stderr)
        return 1
    return 1 if malformed else 0


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
    """The task_id of one input line and its verdict to come; a malformed line's is INFRA and names the line."""
    task_id: object = ""
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("it is no JSON object")
        task_id = record.get("task_id", "")
        return task_id, sandbox.submit(checked_program(record))
    except (ValueError, RecursionError) as error:
        verdict: concurrent.futures.Future = concurrent.futures.Future()
        verdict.set_result(failed(f"{MALFORMED} {number}: {str(error)[:200]}", "INFRA"))
        return task_id, verdict


def checked_program(record: dict) -> Program:
    """The program of one input record; ValueError names the field that is wrong. Fields of other names are ignored."""
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

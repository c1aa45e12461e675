"""Runs untrusted Python against tests and reports the result: a Verdict that the code cannot forge.

It is not a virtual machine and does not protect against kernel bugs: if the host matters, run the whole job in a VM or
in gVisor. A verdict is only as good as its tests.

    python scripts/sandbox.py [--workers N] < programs.jsonl > verdicts.jsonl

Input, one JSON object a line: {"task_id", "code", "test", "entry_point", "context", "timeout"}; only code and test are
required, `test` raises when the code is wrong, `timeout` is in CPU seconds. Output, in the same order: {"task_id",
"status", "reason", "tests_passed", "tests_total", "seconds", "isolation", "output"}. With "kind": "program" the code
reads stdin and prints, and `test` holds its cases as JSON text: {"inputs": [...], "outputs": [...]}. A "solution" that
is known to pass runs only where the code has ended processes of the sandbox, to find whose fault that is. With
"max_feedback" (characters, at least 300) a verdict line has "feedback" for the model that wrote the code, if anything
is wrong that it may know: a failure of "visible_tests", in the form of `test`, or code that does not run. The verdict
on a malformed line is INFRA and names the line's number; the other lines are judged. The exit code is 0 if every line
could be judged, 1 if one could not.
"""

import argparse
import collections
import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from raccoon.records import MIN_FEEDBACK, TIMEOUT, Program, Verdict, infra_cause, named_counts
from raccoon.sandbox.pool import MAX_TIMEOUT, MEMORY_MB, Sandbox, SandboxError

TEXTS = ("code", "test", "entry_point", "context", "solution", "visible_tests")
MALFORMED = "infra: malformed line"


def main() -> int:
    parser = argparse.ArgumentParser(description="Verdicts for untrusted programs: JSON lines in, JSON lines out.")
    add = parser.add_argument
    add("--workers", type=int, help="programs judged at once (default: all cores)")
    add("--timeout", type=float, default=TIMEOUT, help="CPU seconds a program (default: %(default)s)")
    add("--memory-mb", type=int, default=MEMORY_MB, help="address space of a program (default: %(default)s)")
    add("--preload", nargs="*", default=[], help="modules that the programs use, to import only once")
    add("--allow-weak", action="store_true", help="run even if Landlock or seccomp is missing")
    options = parser.parse_args()
    malformed, ungraded = 0, Ungraded()
    task_ids: collections.deque = collections.deque()  # of the lines read whose verdict is not printed yet
    try:
        with Sandbox(**vars(options)) as box:
            print(f"sandbox: {box.walls}", file=sys.stderr)
            for verdict in box.stream(read_lines(sys.stdin.buffer, task_ids)):
                task_id = task_ids.popleft()
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
        self.lost, self.judged = set[str](), set[str]()  # task ids

    def note(self, task_id: str, verdict: Verdict) -> None:
        if verdict.status == "INFRA":
            self.causes[infra_cause(verdict.reason, task_id)] += 1
        if not verdict.reason.startswith(MALFORMED):
            (self.lost if verdict.status == "INFRA" else self.judged).add(task_id)

    def lines(self) -> list[str]:
        """What to print at the end; nothing if every program was judged."""
        found = [f"{self.causes.total()} INFRA: {named_counts(self.causes)}"] if self.causes else []
        if mixed := sorted(self.lost & self.judged):
            named = ", ".join(mixed[:20]) + (", ..." if len(mixed) > 20 else "")
            found.append(f"warning: INFRA for only some programs of a task_id, so the code may decide it: {named}")
        return found


def read_lines(lines: Iterable[bytes], task_ids: collections.deque) -> Iterator[Program | Verdict]:
    """The program of each line that is not blank, whose task_id is added to `task_ids`.

    A malformed line's verdict is INFRA and names the line.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        task_ids.append("")
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("it is not a JSON object")
            task_ids[-1] = record.get("task_id", "")
            program: Program | Verdict = checked_program(record)
        except (ValueError, RecursionError) as error:
            program = Verdict.of(f"{MALFORMED} {number}: {str(error)[:200]}")
        yield program


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
    most = record.get("max_feedback") or 0
    if type(most) is not int or most and most < MIN_FEEDBACK:
        raise ValueError(f"field 'max_feedback' is {most!r:.40}, not 0 or a whole number from {MIN_FEEDBACK} on")
    texts: dict[str, Any] = {name: record.get(name) or "" for name in TEXTS}
    return Program(task_id=str(record.get("task_id", "")), timeout=timeout, kind=kind, max_feedback=most, **texts)


if __name__ == "__main__":
    sys.exit(main())

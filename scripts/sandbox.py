"""Runs untrusted Python against tests and reports the result: a Verdict that the code cannot forge.

It is not a virtual machine and does not protect against kernel bugs: if the host matters, run the whole job in a VM or
in gVisor. A verdict is only as good as its tests.

    python scripts/sandbox.py [--workers N] < programs.jsonl > verdicts.jsonl    # or: sandbox.py programs.jsonl
    python scripts/sandbox.py --serve 127.0.0.1:8765              # the same over HTTP, and for SandboxFusion's clients

Input, one JSON object a line: {"task_id", "code", "test", "entry_point", "context", "timeout"}; only code and test are
required, `test` raises when the code is wrong, `timeout` is in CPU seconds. Output, in the same order: {"task_id",
"status", "reason", "tests_passed", "tests_total", "seconds", "isolation", "output"}. With "kind": "program" the code
reads stdin and prints, and `test` holds its cases as JSON text: {"inputs": [...], "outputs": [...]}; with "ends_early":
true the first failed case is the last. A "solution" that is known to pass runs only where the code has ended processes
of the sandbox, to find whose fault that is. With "max_feedback" (characters, at least 300) a verdict line has
"feedback" for the model that wrote the code, if anything is wrong that it may know: a failure of "visible_tests", in
the form of `test`, or code that does not run. The verdict on a malformed line is INFRA and names the line's number; the
other lines are judged. The exit code is 0 if every line could be judged, 1 if one could not.
"""

import argparse
import collections
import os
import sys
from dataclasses import replace
from typing import NoReturn

from raccoon.constants import InputError
from raccoon.records import TIMEOUT, Verdict, infra_cause, named_counts
from raccoon.sandbox.pool import MEMORY_MB, Sandbox, SandboxError
from raccoon.serving.lines import MALFORMED, read_lines, verdict_line
from raccoon.serving.server import Limits, serve

EXAMPLE = '{"task_id": "a", "code": "def f(x):\\n    return x\\n", "test": "assert f(1) == 1"}'


def main() -> int:
    options = read_options()
    address, queue, lines = (vars(options).pop(name) for name in ("serve", "queue", "lines"))
    malformed, ungraded = 0, Ungraded()
    task_ids: collections.deque = collections.deque()  # of the lines read whose verdict is not printed yet
    try:
        if address:
            serve(address, vars(options), replace(Limits(), queue=queue, longest=max(Limits.longest, options.timeout)))
            return 0
        with Sandbox(**vars(options)) as box:
            print(f"sandbox: {box.walls}", file=sys.stderr)
            for verdict in box.stream(read_lines(lines, task_ids)):
                task_id = task_ids.popleft()
                ungraded.note(str(task_id), verdict)
                if verdict.reason.startswith(MALFORMED):
                    print(f"sandbox.py: {verdict.reason}", file=sys.stderr)
                    malformed += 1
                print(verdict_line(task_id, verdict), end="", flush=True)
            if malformed:
                print(f"sandbox.py: malformed lines: {malformed}; a line is like {EXAMPLE}", file=sys.stderr)
            for line in ungraded.lines():
                print(f"sandbox.py: {line}", file=sys.stderr)
    except (InputError, SandboxError) as error:
        print(f"sandbox.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"sandbox.py: stopped; all verdicts {'sent' if address else 'printed'} so far are complete", file=sys.stderr
        )
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes stdout again when it ends
        print("sandbox.py: the reader of the verdicts closed the pipe, so the script stopped", file=sys.stderr)
        return 1
    return 1 if malformed else 0


class Parser(argparse.ArgumentParser):
    """Names a fault in one line, as the other scripts do."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error (--help shows the flags): {message}\n")


def read_options() -> argparse.Namespace:
    """The command line; `lines` is the opened file of programs, or standard input. Exits 2 with help without one."""
    parser = Parser(description="Verdicts for untrusted programs: JSON lines in, JSON lines out.")
    add = parser.add_argument
    add("file", nargs="?", help="programs, one JSON object a line (default: standard input)")
    add("--workers", type=int, help="programs judged at once (default: all cores)")
    add("--timeout", type=float, default=TIMEOUT, help="CPU seconds a program (default: %(default)s)")
    add("--memory-mb", type=int, default=MEMORY_MB, help="address space of a program (default: %(default)s)")
    add("--preload", nargs="*", default=[], help="modules that the programs use, to import only once")
    add("--allow-weak", action="store_true", help="run even if Landlock or seccomp is missing")
    add("--serve", metavar="HOST:PORT", help="answer over HTTP until stopped (raccoon/serving/server.py)")
    add(
        "--queue", type=int, default=Limits.queue, help="with --serve: programs accepted at once (default: %(default)s)"
    )
    options = parser.parse_args()
    programs = vars(options).pop("file")
    if not options.serve and not programs and sys.stdin.isatty():
        parser.error(f"no programs: give a FILE, or < FILE; a line of it is like {EXAMPLE}")
    try:
        options.lines = open(programs, "rb") if programs else sys.stdin.buffer
    except OSError as error:
        parser.error(f"cannot read {programs}: {error.strerror}; give a file whose lines are like {EXAMPLE}")
    return options


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


if __name__ == "__main__":
    sys.exit(main())

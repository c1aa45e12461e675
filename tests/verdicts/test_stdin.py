"""Programs that read stdin: what they print is compared with what nobody told them, whatever else they do."""

import concurrent.futures
import json
import os
import subprocess
import sys

import pytest

from helpers.paths import ROOT
from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox
from raccoon.verdicts import stdin_cases

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

INPUTS, OUTPUTS = ["1 2\n", "30 4\n", "-5 6\n"], ["3\n", "34\n", "1\n"]
ADD = "a, b = map(int, input().split())\n"
HALF = "a, b = 1, 1\n"
PATH_CHECKER = """
def check(input, output, expected):
    n = int(input)
    words = output.split()
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        return False
    a, b = map(int, words)
    assert a + b == n, f"{a} + {b} is not {n}"
    return True
"""


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1, timeout=2) as one:
        yield one


def cases(inputs=INPUTS, outputs=OUTPUTS, **more) -> str:
    return json.dumps({"inputs": inputs, "outputs": outputs, **more})


def judged(sandbox: Sandbox, code: str, test: str = cases(), **fields) -> Verdict:
    return sandbox.submit(Program(code, test, kind="program", task_id="t/1", **fields)).result()


HONEST = {
    "input": ADD + "print(a + b)",
    "read all": "import sys\nprint(sum(map(int, sys.stdin.read().split())))",
    "bytes": "import sys\nsys.stdout.buffer.write(b'%d\\n' % sum(map(int, sys.stdin.buffer.readline().split())))",
    "open 0": "print(sum(map(int, open(0).read().split())))",
    "main guard": "def main():\n    print(sum(map(int, input().split())))\n\n\nif __name__ == '__main__':\n    main()",
    "exit": ADD + "print(a + b)\nexit()",
    "sys.exit 0": ADD + "print(a + b)\nimport sys\nsys.exit(0)",
    "os._exit": ADD + "import os, sys\nprint(a + b)\nsys.stdout.flush()\nos._exit(0)",
    "thread": "import threading\nthreading.stack_size(64 << 20)\n\n\ndef main():\n"
    "    a, b = map(int, input().split())\n    print(a + b)\n\n\nthreading.Thread(target=main).start()",
    "executor left open": "from concurrent.futures import ThreadPoolExecutor\n"
    "ThreadPoolExecutor().submit(lambda: print(sum(map(int, input().split()))))",
    "at exit": "import atexit\natexit.register(lambda: print(sum(map(int, input().split()))))",
    "own stdout": "import io, os, sys\nout = io.StringIO()\nsys.stdout, old = out, sys.stdout\n"
    + ADD
    + "print(a + b)\nos.write(1, out.getvalue().encode())",
    "unflushed file": ADD + "out = open(1, 'w')\nout.write(str(a + b))",
    "unflushed write": ADD + "write = open(1, 'w', closefd=False).write\nwrite(str(a + b))",
    "reads until EOF": "numbers = []\nwhile True:\n    try:\n        numbers += map(int, input().split())\n"
    "    except EOFError:\n        break\nprint(sum(numbers))",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**6)\n\n\ndef down(n):\n    return n and down(n - 1)\n\n\n"
    "down(20000)\n" + ADD + "print(a + b)",
    "source of itself": "import inspect\n\n\ndef f(a, b):\n    return a + b\n\n\n"
    "assert 'a + b' in inspect.getsource(f)\nprint(f(*map(int, input().split())))",
    "file and pickle": "import pickle\n\n\nclass P:\n    pass\n\n\nwith open('x', 'wb') as file:\n"
    "    pickle.dump(P(), file)\n" + ADD + "print(a + b)",
    "trailing white space": ADD + "print(a + b, '  ')\nprint()",
    "stderr": ADD + "import sys\nprint('working', file=sys.stderr)\nprint(a + b)",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_program_passes(sandbox, name):
    verdict = judged(sandbox, HONEST[name])
    assert (verdict.status, verdict.tests_passed, verdict.tests_total) == ("PASS", 3, 3), verdict
    assert verdict.isolation == "separate"


SAY = """
import os
for n in range(3, 120):
    try:
        os.write(n, {})
    except OSError:
        pass
"""  # into every descriptor
# What each tries, and how its verdict has to begin. None of them computes the sum of the second case.
HOSTILE = {
    "wrong": ("print(3)", "wrong: line 1 differs (case 2)"),
    "prints nothing": ("pass", "wrong: 0 lines instead of 1 (case 1)"),
    "prints more": (ADD + "print(a + b)\nprint(a + b)", "wrong: 2 lines instead of 1"),
    "exit 0 before": ("import os\nos._exit(0)", "wrong"),
    "exit 1 after": (ADD + "print(a + b)\nraise SystemExit(1)", "exception: SystemExit: 1"),
    "os._exit 3 after": (ADD + "import os\nos.write(1, b'%d' % (a + b))\nos._exit(3)", "exception"),
    "raises after": (ADD + "print(a + b)\n1 / 0", "exception: ZeroDivisionError"),
    "dies after": (ADD + "print(a + b, flush=True)\nimport ctypes\nctypes.string_at(0)", "exception"),
    "syntax": ("print(", "syntax: SyntaxError"),
    "null byte": ("print(1)\0", "syntax"),
    "endless": ("while True:\n    pass", "timeout"),
    "sleeps": ("import time\ntime.sleep(60)", "timeout"),
    "reads beyond its input": ("input()\ninput()", "exception: EOFError"),
    "memory": ("x = bytearray(4 << 30)", "memory"),
    "fork": ("import os\nos.fork()", "forbidden"),
    "closes stdout": (
        ADD + "import sys\nprint(a + b)\nsys.stdout.close()\nimport os\nos.closerange(0, 200)\nraise SystemExit(4)",
        "exception",
    ),
    "closes descriptor 1": ("import os\nos.close(1)\nprint(3)", "exception"),
    "real-time signal": (ADD + "import os\nprint(a + b, flush=True)\nos.kill(os.getpid(), 40)", "exception"),
    "real-time signal to its group": (
        ADD + "import os\nprint(a + b, flush=True)\nos.killpg(0, 50)",
        ("exception", "forbidden"),
    ),
    "processes": (
        ADD + "import multiprocessing\np = multiprocessing.Process(target=print, args=(a + b,))\np.start()\np.join()",
        "forbidden",
    ),
    "closes its channel": (
        "import os\nprint(3, flush=True)\nos.closerange(3, 200)\nwhile True:\n    pass",
        ("exception", "timeout"),
    ),  # whichever is seen first
    "claims success": (SAY.format(b'\x10\0\0\0["ok",null,null]'), "exception"),
    "claims infra": (SAY.format(b'\x1e\0\0\0["infra","x",[],"x",[]]         '), "exception"),
    "asks for shared isolation": (SAY.format(b'\x12\0\0\0{"needs":"shared"}'), "exception"),
    "floods its channel": (f"while True:\n    exec({SAY.format(bytes(4096))!r})", "timeout"),
    "leaves answers behind": (
        "import os\nopen('answer', 'a').write(input())\nprint(3 if len(open('answer').read()) < 5 else 34)",
        "wrong: line 1 differs (case 2)",
    ),
    "writes to its input": ("import os\nos.write(0, b'9' * 100)\nprint(3)", "wrong: line 1 differs (case 2)"),
    "sparse output": ("import os\nos.ftruncate(1, 60 << 20)", "exception: OSError"),
    "kills itself": ("import os\nos.kill(os.getpid(), 9)", "forbidden"),
    "looks for the answers": (
        "import gc, os\nfound = [o for o in gc.get_objects() if '34' in str(o)[:200]]\n"
        "for n in range(3, 120):\n    try:\n        found.append(os.pread(n, 100, 0))\n"
        "    except OSError:\n        pass\nprint(3)",
        "wrong: line 1 differs (case 2)",
    ),
    "daemon thread": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint(3)",
        "wrong: line 1 differs (case 2)",
    ),
    "closed exit functions": ("import atexit\natexit.register(lambda: 1 / 0)\nprint(3)", "wrong: line 1 differs"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_program_gets_no_pass(sandbox, name):
    code, reason = HOSTILE[name]
    verdict = judged(sandbox, code)
    assert verdict.status in ("FAIL", "PARTIAL") and verdict.reason.startswith(reason), verdict
    assert judged(sandbox, HONEST["input"]).status == "PASS", "the next program suffers"


CORPUS = [json.loads(line) for line in (ROOT / "tests/plain_python/programs.jsonl").read_text().splitlines()]


def in_plain_python(program: dict, folder) -> bool:
    """Whether the program is right as Python alone runs it, up to the first failed case."""
    one = stdin_cases.parse_cases(program["test"])
    folder.mkdir()
    (folder / "solution.py").write_text(program["code"])
    for given, expected in list(zip(one.inputs, one.outputs, strict=True))[: 1 if program["honest"] else None]:
        done = subprocess.run(
            [sys.executable, "solution.py"],
            input=given,
            capture_output=True,
            cwd=folder,
            timeout=60,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        )
        if done.returncode or stdin_cases.RULES[one.compare](done.stdout, expected):
            return False
    return True


def test_corpus_says_what_plain_python_says(tmp_path):
    assert [program["honest"] for program in CORPUS].count(True) >= 120 and len(CORPUS) >= 180
    with concurrent.futures.ThreadPoolExecutor() as threads:
        found = threads.map(in_plain_python, CORPUS, (tmp_path / str(number) for number in range(len(CORPUS))))
        assert [p["task_id"] for p, right in zip(CORPUS, found, strict=True) if right is not p["honest"]] == []


def test_verdicts_are_those_of_plain_python(sandbox):
    verdicts = sandbox.run(Program(p["code"], p["test"], kind="program", task_id=p["task_id"]) for p in CORPUS)
    differ = {
        p["task_id"]: v.reason
        for p, v in zip(CORPUS, verdicts, strict=True)
        if (v.status == "PASS") is not p["honest"] or v.status == "INFRA"
    }
    assert differ == {}


def test_endless_printing_ends_and_is_bounded(sandbox):
    verdict = judged(sandbox, "while True:\n    print('x' * 1000)")
    assert verdict.status in ("FAIL", "PARTIAL") and verdict.kind in ("timeout", "exception", "wrong"), verdict
    assert len(verdict.output) <= 2000


def test_cases_are_counted_and_the_first_failure_decides(sandbox):
    verdict = judged(sandbox, ADD + "print(a + b if a > 0 else 1 / 0)")
    assert (verdict.status, verdict.tests_passed, verdict.tests_total) == ("FAIL", 2, 3)
    verdict = judged(sandbox, ADD + "print(3 if a < 9 else 34)")
    assert (verdict.status, verdict.tests_passed, verdict.tests_total) == ("PARTIAL", 2, 3)


def test_early_end_stops_at_the_first_failure(sandbox):
    code = ADD + "print(a + b if a != 1 else 0)"
    assert judged(sandbox, code).tests_passed == 2
    early = judged(sandbox, code, ends_early=True)
    assert (early.status, early.tests_passed, early.tests_total) == ("PARTIAL", 0, 3)


def test_the_time_limit_is_for_each_case(sandbox):
    busy = "import time\nend = time.process_time() + 0.7\nwhile time.process_time() < end:\n    pass\nprint(input())"
    texts = [f"{n}\n" for n in range(3)]
    assert judged(sandbox, busy, cases(texts, texts), timeout=1).status == "PASS"


def test_many_slow_cases_are_no_hung_judge(sandbox):
    sleeps = "import time\ntime.sleep(1.5)\nprint(input())"
    texts = [f"{n}\n" for n in range(7)]
    assert judged(sandbox, sleeps, cases(texts, texts), timeout=1).status == "PASS"


def test_checker_decides_where_several_answers_are_right(sandbox):
    test = cases(["7\n", "9\n"], ["", ""], compare="checker", checker=PATH_CHECKER)
    assert judged(sandbox, "n = int(input())\nprint(n - 2, 2)", test).status == "PASS"
    wrong = judged(sandbox, "n = int(input())\nprint(5, 2)", test)
    assert (wrong.status, wrong.tests_passed) == ("PARTIAL", 1) and "5 + 2 is not 9" in wrong.reason
    assert "rejects" in judged(sandbox, "print('x')", test).reason


PAIR_CHECKER = """
def check(input, output, expected):
    a, b = map(int, output.split())
    return a + b == int(input)
"""
PICKY = """
import json
import os
import sys
import time


def nested(text, depth=0):
    return depth if not text else nested(text[1:], depth + 1)


def check(input, output, expected):
    word = output.strip()
    if word == "recursion":
        nested("x" * 5000)
    elif word == "memory":
        [0] * (1 << 40)
    elif word == "exit":
        sys.exit(0)
    elif word == "os exit":
        os._exit(0)
    elif word == "interrupt":
        raise KeyboardInterrupt
    elif word == "base":
        raise BaseException("x")
    elif word == "stop":
        raise StopIteration
    elif word == "loop":
        while True:
            pass
    elif word == "sleep":
        time.sleep(60)
    elif word == "crash":
        import ctypes
        ctypes.string_at(0)
    elif word == "exec":
        os.execv("/bin/true", ["true"])
    else:
        return json.loads(word) == json.loads(expected)
"""


@pytest.mark.parametrize("printed", ["", "word", "1 2 3", "1", "1.5 5.5", "9" * 5000 + " 1", "\u0664 \u0664 \u0664"])
def test_output_that_a_checker_cannot_read_is_wrong(sandbox, printed):
    verdict = judged(sandbox, f"print({printed!r})", cases(["7\n"], ["3 4\n"], compare="checker", checker=PAIR_CHECKER))
    assert verdict.status == "PARTIAL" and verdict.reason.startswith("wrong: the checker raises ValueError"), verdict


@pytest.mark.parametrize(
    "printed",
    [
        "recursion",
        "memory",
        "exit",
        "os exit",
        "interrupt",
        "base",
        "stop",
        "loop",
        "sleep",
        "crash",
        "exec",
        "[" * 100000,
        '{"a": ',
        "[1, 2",
    ],
)
def test_output_on_which_a_checker_fails_is_wrong(sandbox, printed):
    test = cases(["7\n", "8\n"], ["[1]\n", "[2]\n"], compare="checker", checker=PICKY)
    right = "print('[1]' if input() == '7' else '[2]')"
    assert judged(sandbox, right, test, timeout=1).status == "PASS"
    wrong = judged(sandbox, f"print({printed!r} if input() == '7' else '[2]')", test, timeout=1)
    assert (wrong.status, wrong.tests_passed) == ("PARTIAL", 1), wrong


@pytest.mark.parametrize(
    "checker, words",
    [
        ("def check(input, output, expected):\n    return 1 / 0", "the checker of t/1 raises ZeroDivisionError"),
        ("def check(input, output, expected):\n    raise SystemExit", "raises SystemExit"),
        ("def check(input, output, expected):\n    while True:\n        pass", "does not end"),
        ("import os\ndef check(input, output, expected):\n    os._exit(0)", "ends its process"),
        ("x = 1", "raises KeyError"),
        ("def check(", "cannot be used: SyntaxError"),
    ],
)
def test_checker_that_breaks_on_the_expected_output_is_our_own_fault(sandbox, checker, words):
    verdict = judged(sandbox, "print(1)", cases(["1"], ["1"], compare="checker", checker=checker), timeout=1)
    assert verdict.status == "INFRA" and words in verdict.reason, verdict


def test_checker_may_print(sandbox):
    chatty = "def check(input, output, expected):\n    print('reads', flush=True)\n    return output == expected"
    verdict = judged(sandbox, "print(1)", cases(["1"], ["1\n"], compare="checker", checker=chatty))
    assert verdict.status == "PASS", verdict


def test_checker_leaves_nothing_behind(sandbox):
    spoiler = """
import builtins, decimal, json, math, os, random, signal, sys
json.dumps = json.loads = builtins.sorted = None
math.pi, decimal.getcontext().prec = 3, 2
signal.signal(signal.SIGALRM, signal.SIG_IGN)
random.seed = lambda *a: None
sys.setrecursionlimit(60)
builtins.seen = []
for number in range(3, 60):
    try:
        os.write(number, b"nonsense")
    except OSError:
        pass


def check(input, output, expected):
    return True
"""
    careful = """
import builtins, decimal, json, math, sys


def check(input, output, expected):
    fresh = not hasattr(builtins, "seen") and sys.getrecursionlimit() >= 900 and decimal.getcontext().prec == 28
    return fresh and sorted(json.loads(json.dumps([3, 1]))) == [1, 3] and math.pi > 3.1
"""
    for _ in range(2):
        judged(sandbox, "print(1)", cases(["1"], ["1"], compare="checker", checker=spoiler))
        verdict = judged(sandbox, "print(1)", cases(["1", "2"], ["1", "1"], compare="checker", checker=careful))
        assert verdict.status == "PASS", verdict
        assert judged(sandbox, HONEST["input"]).status == "PASS"


@pytest.mark.parametrize(
    "test, words",
    [
        ("[", "are not JSON"),
        ("[]", "are not a JSON object"),
        ('{"inputs": ["1"]}', "no list of texts 'outputs'"),
        ('{"inputs": [], "outputs": []}', "no list of texts 'inputs'"),
        ('{"inputs": ["1", "2"], "outputs": ["1"]}', "are 2 inputs but 1 outputs"),
        ('{"inputs": [1], "outputs": ["1"]}', "no list of texts 'inputs'"),
        ('{"inputs": ["1"], "outputs": ["1"], "compare": "fuzzy"}', "comparison 'fuzzy': choose from lines"),
        ('{"inputs": ["1"], "outputs": ["1"], "compare": "checker"}', "there is none"),
        ('{"inputs": ["\\ud800"], "outputs": ["1"]}', "cannot be used: UnicodeEncodeError"),
    ],
)
def test_bad_cases_are_our_own_fault(sandbox, test, words):
    verdict = judged(sandbox, "print(1)", test)
    assert verdict.status == "INFRA" and words in verdict.reason and "t/1" in verdict.reason, verdict


def test_ten_megabytes_in_and_out(sandbox):
    text = "".join(f"{n}\n" for n in range(1_500_000))
    assert len(text) > 10_000_000
    code = "import sys\nsys.stdout.write(sys.stdin.read())"
    assert judged(sandbox, code, cases([text], [text]), timeout=5).status == "PASS"
    assert judged(sandbox, code + "\nprint(1)", cases([text], [text]), timeout=5).reason.startswith("wrong: ")


def test_output_keeps_what_the_first_wrong_case_printed(sandbox):
    verdict = judged(sandbox, "import sys\nprint('three', file=sys.stderr)\nprint(3)")
    assert verdict.output.startswith("3\n") and "three" in verdict.output

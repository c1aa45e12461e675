"""code_tasks.py, script_constants.py and evalplus_tests.py: tasks, benchmarks, extraction, constants."""

import ast
import gzip
import json
import os
import subprocess
import sys
import textwrap
import time

import pytest

from helpers.paths import SCRIPTS
from raccoon.constants import InputError, constants, override_constants, require_python, run_main
from raccoon.sandbox.pool import safe_execute
from raccoon.tasks.benchmarks import (
    BENCHMARKS,
    entry_point_of,
    hub_is_out_of_reach,
    load_benchmark,
    load_training_tasks,
)
from raccoon.tasks.evalplus import example_arguments, plus_test, restore
from raccoon.tasks.extraction import extract_code
from raccoon.tasks.prompts import messages
from raccoon.tasks.syntax import bound_names, parse_code
from raccoon.tasks.task import Task, read_task_file, write_task_file

ADD = Task("t/1", "Add two numbers.", "assert add(1, 2) == 3", "add")
HEADER = "def add(a: int, b: int) -> int:\n"
STUB = Task("t/2", f'Complete it.\n\n```python\nimport math\n\n{HEADER}    """Adds.\n\n    ```\n'
                   '    add(1, 2)\n    ```\n    """\n```\n', "assert add(1, 2) == 3", "add")
PREDICT = Task("t/3", "What?\n\n```python\ndef f(x):\n    return x\n```\n\n```python\ndef predict():\n"
                      "    return ...\n```\n", "assert 1 == predict()", "predict")
FREE = Task("t/4", "Anything.", "assert x == 1")
DEF = "def add(a, b):\n    return a + b"


def run_python(program: str, folder, limit: float = 60) -> str:
    """The last line of what a benign program says on stderr; "" when it ends well."""
    done = subprocess.run([sys.executable, "-I", "-"], input=program.encode(), capture_output=True,
                          timeout=limit, cwd=folder)
    return "" if done.returncode == 0 else (done.stderr.decode().strip().splitlines() or ["died"])[-1]


def program_of(task: Task, code: str) -> str:
    return f"{task.context}\n{code}\n{task.test}"


# Task files


def test_task_file_round_trip(tmp_path):
    tasks = [ADD, Task("ü/2", "a\nb\u2028c", "assert True\r\n", solution="x = '\ud800'", split="train")]
    write_task_file(tmp_path / "new" / "tasks.jsonl", tasks)
    assert read_task_file(tmp_path / "new" / "tasks.jsonl") == tasks
    assert os.listdir(tmp_path / "new") == ["tasks.jsonl"]


def test_task_without_id_is_named_by_its_line(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('\n{"prompt": "p", "test": "t"}\n{"prompt": "p", "test": "t", "task_id": "a"}\n')
    assert [task.task_id for task in read_task_file(path)] == ["mine/2", "a"]


@pytest.mark.parametrize("line, words", [
    ("{", ["line 2", "not JSON"]),
    ("[1]", ["line 2", "list"]),
    ('{"prompt": "p"}', ["line 2", "test"]),
    ('{"prompt": " ", "test": "t"}', ["line 2", "prompt"]),
    ('{"prompt": "p", "test": "t", "solution": 3}', ["line 2", "'solution'", "int", "string"]),
    ('{"prompt": "p", "test": "t", "tests": "x"}', ["line 2", "'tests'", "entry_point"]),
    ('{"prompt": "p", "test": "t", "task_id": "one"}', ["line 2", "'one'", "line 1"]),
    ("[" * 100_000, ["line 2", "not JSON"]),
])
def test_bad_line_is_named(tmp_path, line, words):
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"prompt": "p", "test": "t", "task_id": "one"}\n' + line + "\n")
    with pytest.raises(InputError) as caught:
        read_task_file(path)
    assert all(word in str(caught.value) for word in [str(path), *words])


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b"\xff\xfe{"])
def test_file_without_tasks_is_refused(tmp_path, content):
    path = tmp_path / "tasks.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="tasks.jsonl"):
        read_task_file(path)


def test_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "tasks.jsonl"
    write_task_file(path, [ADD])
    with pytest.raises(ZeroDivisionError):
        write_task_file(path, (ADD if number else 1 / number for number in (1, 0)))
    assert read_task_file(path) == [ADD] and os.listdir(tmp_path) == ["tasks.jsonl"]


def test_messages_hold_the_prompt_alone():
    assert messages(ADD) == [{"role": "user", "content": "Add two numbers."}]


# Benchmarks


def test_unknown_benchmark_lists_the_known():
    with pytest.raises(InputError, match="no benchmark 'humanevl'; choose from humaneval, mbpp"):
        load_benchmark("humanevl")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_missing_file_names_path_and_remedy(tmp_path, name):
    with pytest.raises(InputError, match="DATA_DIR") as caught:
        load_benchmark(name, tmp_path)
    assert str(tmp_path / BENCHMARKS[name].file) in str(caught.value)


def write_rows(folder, name: str, rows: list[dict]) -> None:
    """Writes rows the way the benchmark is published."""
    path = folder / BENCHMARKS[name].file
    path.parent.mkdir(parents=True)
    text = json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


ROWS = {
    "humaneval": {"task_id": "HumanEval/0", "entry_point": "f", "test": "def check(f):\n    assert f(1) == 2",
                  "prompt": 'import math\n\ndef f(x):\n    """Doc."""\n',
                  "canonical_solution": "    return 2\n"},
    "mbpp": {"task_id": 5, "prompt": "Say 1.", "code": "def f():\n    return 1", "test_imports": [],
             "test_list": ["assert f() == 1"]},
    "mbpp_full": {"task_id": 605, "text": "Say 1.", "code": "def f():\r\n    return 1", "test_setup_code": "",
                  "test_list": ["assert f() == 1"]},
    "mbppplus": {"task_id": "Mbpp/2", "entry_point": "f",
                 "prompt": '"""\nSame.\nassert f((1,)) == (1,)\n"""\n',
                 "canonical_solution": "def f(x):\n    return x", "base_input": [[[1]]], "plus_input": {},
                 "atol": 0, "assertion": "assert f((1,)) == (1,)"},
    "bigcodebench": {"task_id": "BigCodeBench/0", "entry_point": "task_func", "test": "import unittest",
                     "complete_prompt": 'def task_func():\n    """Doc."""\n', "instruct_prompt": "Do it.",
                     "code_prompt": "import os\ndef task_func():\n", "canonical_solution": "    return 1"},
    "cruxeval": {"id": "sample_0", "code": "def f(x):\n    return x", "input": "1", "output": "1"},
    "leetcode": {"task_id": "two-sum", "prompt": "import math\n", "entry_point": "Solution().f",
                 "completion": "class Solution:\n    def f(self):\n        return 1\n",
                 "test": "def check(candidate):\n    assert candidate() == 1\n",
                 "query": "Say 1.\nPlease complete the following python code precisely:\n```python\nclass Solution:\n"
                          "    def f(self):\n```\n"},
}


@pytest.mark.parametrize("name, field", [(name, field) for name in ROWS for field in ROWS[name]])
def test_missing_field_is_named_with_file_and_row(tmp_path, name, field):
    if field in ("assertion", "instruct_prompt", "base_input"):
        pytest.skip("its absence marks another published form of the row")
    broken = {key: value for key, value in ROWS[name].items() if key != field}
    write_rows(tmp_path, name, [ROWS[name], broken])
    with pytest.raises(InputError) as caught:
        load_benchmark(name, tmp_path)
    message = str(caught.value)
    assert f"{BENCHMARKS[name].file}, row 2" in message
    assert repr("prompt" if (name, field) == ("mbpp_full", "text") else field) in message


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"{}")[:12], gzip.compress(b"{\n")])
def test_damaged_file_is_named(tmp_path, content):
    write_rows(tmp_path, "humaneval", [])
    (tmp_path / BENCHMARKS["humaneval"].file).write_bytes(content)
    with pytest.raises(InputError, match="HumanEval.jsonl.gz"):
        load_benchmark("humaneval", tmp_path)


def test_unreachable_hub_names_the_remedy(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def unreachable(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(InputError, match="openai_humaneval.*no route.*DATA_DIR/humaneval/HumanEval.jsonl.gz"):
        load_benchmark("humaneval")


def test_hub_rows_of_evalplus_carry_a_finished_test(monkeypatch):
    datasets = pytest.importorskip("datasets")
    row = {**ROWS["mbpp"], "test": "assert f() == 1  # many"}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: [row])
    assert load_benchmark("mbppplus")[0].test == row["test"]


def test_hub_splits_are_joined_in_order(monkeypatch):
    datasets = pytest.importorskip("datasets")
    splits = {"train": [{**ROWS["mbpp"], "task_id": 700}], "prompt": [ROWS["mbpp"]]}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: splits)
    assert [(task.task_id, task.split) for task in load_benchmark("mbpp")] == [
        ("Mbpp/5", "prompt"), ("Mbpp/700", "train")]


@pytest.fixture(scope="module")
def published(data_dir):
    """name -> {task_id: Task} of a published benchmark, read once."""
    loaded = {}

    def load(name: str) -> dict[str, Task]:
        if name not in loaded:
            loaded[name] = {task.task_id: task for task in load_benchmark(name, data_dir)}
        return loaded[name]
    return load


@pytest.mark.parametrize("name, count", [
    ("humaneval", 164), ("mbpp", 427), ("mbpp_full", 974), ("humanevalplus", 164), ("mbppplus", 378),
    ("bigcodebench", 1140), ("bigcodebench_instruct", 1140), ("cruxeval", 800), ("leetcode", 228),
    ("leetcode_train", 1570)])
def test_every_row_becomes_a_sound_task(published, name, count):
    tasks = published(name)
    assert len(tasks) == count
    for task in tasks.values():
        context, solution = parse_code(task.context), parse_code(task.solution)
        assert task.entry_point in bound_names(solution) and task.entry_point not in bound_names(context)
        assert task.source == name and task.prompt.strip()
        assert len(task.test) > 5_000 or parse_code(task.test).body


def test_training_tasks_are_the_seeds_584(data_dir):
    tasks = load_training_tasks(data_dir)
    splits = [task.split for task in tasks if task.source == "mbpp"]
    assert len(tasks) == 584 and {name: splits.count(name) for name in set(splits)} == {
        "test": 257, "validation": 43, "train": 120}


def test_humaneval_test_calls_check(published):
    assert all(ast.unparse(parse_code(task.test).body[-1]) == f"check({task.entry_point})"
               for task in published("humaneval").values())


@pytest.mark.parametrize("number, helper", [(32, "poly"), (38, "encode_cyclic"), (50, "encode_shift")])
def test_humaneval_helpers_come_from_the_prompt(published, number, helper):
    assert helper in bound_names(parse_code(published("humaneval")[f"HumanEval/{number}"].context))


@pytest.mark.parametrize("test, solution, name", [
    ("assert set(f(1)) == set()", "def f(x): ...", "f"),
    ("assert math.isclose(f(1), 2)", "def f(x): ...", "f"),
    ("assert sum([1]) == 1", "def sum(x): ...", "sum"),
    ("assert int(f('1')) == 1", "def helper(): ...\ndef f(x): ...\ndef other(): ...", "f"),
    ("assert not check(1)", "check = lambda x: x", "check"),
])
def test_entry_point_is_the_called_name_that_the_solution_defines(test, solution, name):
    assert entry_point_of(test, solution) == name


@pytest.mark.parametrize("number, name", [
    (2, "similar_elements"), (82, "volume_sphere"), (126, "sum"), (56, "check"), (19, "test_duplicate"),
    (801, "test_three_equal")])
def test_mbpp_names_that_trip_harnesses(published, number, name):
    task = published("mbpp")[f"Mbpp/{number}"]
    assert task.entry_point == name and f"`{name}`" in task.prompt


def test_mbpp_prompt_shows_one_test(published):
    task = published("mbpp")["Mbpp/3"]
    tests = task.test.strip().split("\n")
    assert [line in task.prompt for line in tests] == [True, False, False, False]


@pytest.mark.parametrize("name, task_id", [
    ("humaneval", "HumanEval/32"), ("humaneval", "HumanEval/33"), ("humaneval", "HumanEval/38"),
    ("mbpp", "Mbpp/98"), ("mbpp", "Mbpp/126"), ("mbpp_full", "Mbpp/601"),
    ("mbpp_full", "Mbpp/367"), ("mbpp_full", "Mbpp/927"), ("mbpp_full", "Mbpp/912"),
    ("humanevalplus", "HumanEval/2"), ("humanevalplus", "HumanEval/32"),
    ("mbppplus", "Mbpp/2"), ("mbppplus", "Mbpp/124"), ("mbppplus", "Mbpp/252"), ("mbppplus", "Mbpp/404"),
    ("mbppplus", "Mbpp/558"), ("mbppplus", "Mbpp/580"), ("mbppplus", "Mbpp/581"), ("mbppplus", "Mbpp/722"),
    ("mbppplus", "Mbpp/737"), ("mbppplus", "Mbpp/793"),
    ("cruxeval", "CRUXEval/51"), ("cruxeval", "CRUXEval/712"),
])
def test_gold_passes_and_a_stub_fails(published, tmp_path, name, task_id):
    task = published(name)[task_id]
    assert run_python(program_of(task, task.solution), tmp_path) == ""
    stub = f"{task.solution}\ndef {task.entry_point}(*args): return None\n"
    assert run_python(program_of(task, stub), tmp_path) != ""


def test_cruxeval_keeps_the_program_away_from_the_answer(published):
    task = published("cruxeval")["CRUXEval/0"]
    assert task.context == "" and "def f(" not in task.solution and "def f(" in task.test


# EvalPlus


def plus_outcome(tmp_path, code: str, reference: str, inputs: list, atol: float = 0) -> str:
    return run_python(code + "\n" + plus_test("x", "f", reference, inputs, atol), tmp_path)


@pytest.mark.parametrize("returned, expected, atol, agrees", [
    ("1", "1", 0, True), ("1.0", "1", 0, True), ("2", "1", 0, False), ("1.0000005", "1.0", 0, True),
    ("1.00001", "1.0", 0, False), ("1.00001", "1.0", 1e-4, True), ("[1.0000005]", "[1.0]", 0, True),
    ("(1.0000005,)", "[1.0]", 0, False), ("[1.0, 2.0]", "[1.0]", 1e-4, False), ("1.0", "[1.0]", 1e-4, False),
    ("float('nan')", "float('nan')", 0, True), ("float('inf')", "float('inf')", 0, True),
    ("'a'", "1.0", 1, False), ("None", "1.0", 1, False), ("[]", "[]", 0, True),
    ("{'a': 1.0000005}", "{'a': 1.0}", 0, False),
])
def test_plus_outputs_agree_as_in_evalplus(tmp_path, returned, expected, atol, agrees):
    outcome = plus_outcome(tmp_path, f"def f(): return {returned}", f"def f(): return {expected}", [[]], atol)
    assert outcome.partition(":")[0] == ("" if agrees else "AssertionError")


def test_plus_test_says_what_came_and_what_was_right(tmp_path):
    outcome = plus_outcome(tmp_path, "def f(x): return [x]", "def f(x): return x", [[7]])
    assert outcome == "AssertionError: {'got': [7], 'expected': 7}"


def test_plus_inputs_are_fresh_for_solution_and_reference(tmp_path):
    code = "def f(x):\n    x.append(1)\n    return len(x)"
    assert plus_outcome(tmp_path, code, code, [[[1, 2]], [[1, 2]]]) == ""


def test_plus_test_counts_an_assertion_for_each_input():
    test = plus_test("x", "f", "def f(x): return x", [[1], ["\u00e9\ud800"], [float("inf")]], 0)
    verdict = safe_execute("def f(x): return x", test, "f")
    assert (verdict.status, verdict.tests_passed, verdict.tests_total) == ("PASS", 3, 3)


@pytest.mark.parametrize("value, example, restored", [
    ([[1, 2]], "[(1, 2)]", [(1, 2)]), ([1, [2]], "(1, (2,))", (1, (2,))),
    ([[1, [2]]], "((1, 2),)", ((1, (2,)),)), ([3], "{1, 2}", {3}), ({"a": [1]}, "{'b': (2,)}", {"a": (1,)}),
    ("1", "1", "1"), ([1], "[2]", [1]),
])
def test_types_that_json_lost_are_restored(value, example, restored):
    [[argument]] = example_arguments(f"assert f({example}) == 1", "f")
    assert repr(restore(value, [argument])) == repr(restored)


# Code in completions


def fenced(code: str) -> str:
    return f"```python\n{code}\n```\n"


DOCUMENTED = 'def add(a, b):\n    """\n    ```\n    x\n    ```\n    """\n    return a + b'
PLUS = "def plus(a, b):\n    return a + b"
ADD_BY_PLUS = "def add(a, b):\n    return plus(a, b)"
BODY = "    return a + b"
LONG_BODY = "    def plus(x):\n        return x + b\n    return plus(a)"
IN_TRY = "try:\n    def add(a, b): return a + b\nexcept NameError: pass"
EXTRACTIONS = {
    "bare function": (ADD, DEF, DEF),
    "fenced": (ADD, f"Sure!\n{fenced(DEF)}Done.", DEF),
    "py fence": (ADD, f"```py\n{DEF}\n```", DEF),
    "nameless fence": (ADD, f"```\n{DEF}\n```", DEF),
    "tilde fence": (ADD, f"~~~python\n{DEF}\n~~~", DEF),
    "unclosed fence": (ADD, f"Here:\n```python\n{DEF}\n", DEF + "\n"),
    "fence closed on the last line of code": (ADD, f"```python\n{DEF}```\nIt adds.", DEF),
    "opened by the prompt": (ADD, f"{DEF}\n```\nThis adds.", DEF),
    "windows line ends": (ADD, fenced(DEF).replace("\n", "\r\n"), DEF.replace("\n", "\r\n") + "\r"),
    "fence in a list": (ADD, "1. So:\n" + textwrap.indent(fenced(DEF), "   "), DEF),
    "fence inside a docstring": (ADD, fenced(DOCUMENTED), DOCUMENTED),
    "last block that defines it": (ADD, fenced("def add(a, b): return 0") + "Or:\n" + fenced(DEF), DEF),
    "usage after it": (ADD, fenced(DEF) + "Use:\n" + fenced("print(add(1, 2))"), DEF),
    "broken block after it": (ADD, fenced(DEF) + fenced("def add(a, b:\n    return"), DEF),
    "named fence without an end": (ADD, f"```python\nx = 1\n{fenced(DEF)}", DEF),
    "helper in another block": (ADD, fenced(PLUS) + "Then:\n" + fenced(ADD_BY_PLUS),
                                f"{PLUS}\n\n{ADD_BY_PLUS}"),
    "import in another block": (ADD, fenced("from m import plus") + fenced(ADD_BY_PLUS),
                                f"from m import plus\n\n{ADD_BY_PLUS}"),
    "usage is no helper": (ADD, fenced("c = add(1, 2)") + fenced("def add(a, b):\n    return c"),
                           "def add(a, b):\n    return c"),
    "future import stays first": (ADD, fenced(f"from __future__ import annotations\n{ADD_BY_PLUS}")
                                  + fenced(PLUS),
                                  f"from __future__ import annotations\n{ADD_BY_PLUS}\n\n{PLUS}"),
    "prose around": (ADD, f"Here is the code:\n\n{DEF}\n\nIt's simple, isn't it?", DEF + "\n"),
    "prose announces": (ADD, f"I'd do this:\n{DEF}", DEF),
    "broken code above is no prose": (ADD, f'""import math\n{DEF}\n""', f'""import math\n{DEF}\n""'),
    "trailing asserts are kept": (ADD, f"{DEF}\n\nassert add(1, 1) == 2\n",
                                  f"{DEF}\n\nassert add(1, 1) == 2\n"),
    "truncated example is cut": (ADD, f"```python\n{DEF}\n\nprint(add(1,", DEF + "\n"),
    "truncated function is not repaired": (ADD, "```python\ndef add(a, b):\n    c = a\n    return (c +",
                                           "def add(a, b):\n    c = a\n    return (c +"),
    "interpreter session": (ADD, ">>> def add(a, b):\n...     return a + b\n...\n>>> add(1, 2)\n3\n",
                            DEF + "\n\nadd(1, 2)"),
    "all indented": (ADD, textwrap.indent(DEF, "    "), DEF),
    "byte order mark": (ADD, "\ufeff" + DEF, DEF),
    "assigned lambda": (ADD, fenced("add = lambda a, b: a + b"), "add = lambda a, b: a + b"),
    "in a try": (ADD, IN_TRY, IN_TRY),
    "other name only": (ADD, fenced(PLUS), PLUS),
    "name in a string is no definition": (ADD, fenced(DEF) + fenced('x = "def add(a, b):"'), DEF),
    "syntax error is handed on": (ADD, fenced(DEF.replace(":", "")), DEF.replace(":", "")),
    "whole function beside a stub": (STUB, DEF, DEF),
    "indented body": (STUB, BODY, HEADER + BODY),
    "body without indentation": (STUB, "c = a\nreturn c + b", HEADER + "    c = a\n    return c + b"),
    "body whose first line lost its blanks": (STUB, "c = a\n    return c + b",
                                              HEADER + "    c = a\n    return c + b"),
    "fenced body": (STUB, fenced(BODY), HEADER + BODY),
    "body that defines a helper": (STUB, LONG_BODY, HEADER + LONG_BODY),
    "body, then prose": (STUB, BODY + "\n\nThis works since it adds.", HEADER + BODY + "\n"),
    "other function is no body": (STUB, PLUS, PLUS),
    "usage is no body": (STUB, fenced("print(add(1, 2))"), "print(add(1, 2))"),
    "no code in prose": (STUB, "I am sorry, but I cannot do that.", ""),
    "nothing": (ADD, "", ""),
    "blank": (STUB, "  \n\n ", ""),
    "empty fence": (ADD, "```python\n```", ""),
    "thinking removed": (ADD, f"<think>\n{fenced('def add(a, b): return 0')}</think>\n{fenced(DEF)}", DEF),
    "thinking opened by the template": (ADD, f"def add(a, b): return 0\n</think>\n{fenced(DEF)}", DEF),
    "thinking never ends": (ADD, f"<think>\n{fenced(DEF)}", ""),
    "no entry point": (FREE, f"It is:\n{fenced('x = 1')}or\n```\nsome text\n```", "x = 1"),
    "literal in the stub": (PREDICT, fenced("def predict():\n    return [1, 2]"),
                            "def predict():\n    return ([1, 2])\n"),
    "literal alone": (PREDICT, "'abc'", "def predict():\n    return ('abc')\n"),
    "literal on the last line": (PREDICT, "So:\n\n`'abc'`", "def predict():\n    return ('abc')\n"),
    "tuple without brackets": (PREDICT, "def predict():\n    return 1, -2",
                               "def predict():\n    return (1, -2)\n"),
    "literal over two lines": (PREDICT, "def predict():\n    return ('a'\n            'b')",
                               "def predict():\n    return ('a'\n            'b')\n"),
    "a program is no prediction": (PREDICT, fenced("def f(x): return x\ndef predict():\n    return f(1)"),
                                   ""),
    "the dots are no prediction": (PREDICT, "def predict():\n    return ...", ""),
}


@pytest.mark.parametrize("task, completion, code", EXTRACTIONS.values(), ids=EXTRACTIONS)
def test_extraction(task, completion, code):
    assert extract_code(completion, task) == code


@pytest.mark.parametrize("task", [ADD, STUB, PREDICT], ids=lambda task: task.task_id)
@pytest.mark.parametrize("unit", [
    "(", "[{(", "```\n", "```python\n", "```python\nx = 1\n```\n", "~", "`", " ", "\n", "\0", "\ud800",
    "<think>", "</think>", "def f(:\n", DEF + "\n", "import x\n!\n\n", ">>> a = 1\n", "return (\n", "a.",
    "-", "x = '\\d'\n"])
def test_hostile_completions_neither_raise_nor_take_long(task, unit):
    started = time.process_time()
    for size in (90_000, 1_000_000):
        assert isinstance(extract_code(unit * (size // len(unit)), task), str)
    assert time.process_time() - started < 20  # quadratic time would be hours


def test_extraction_is_silent_about_warnings(recwarn):
    assert extract_code("def add(a, b):\n    return '\\d' is a", ADD)
    assert not recwarn.list


@pytest.mark.parametrize("name", ["humaneval", "bigcodebench_instruct"])
def test_bare_gold_bodies_are_completed(published, name):
    for task in list(published(name).values())[:100]:
        function = [node for node in parse_code(task.solution).body
                    if getattr(node, "name", "") == task.entry_point][-1]
        start = function.body[1 if ast.get_docstring(function) is not None else 0].lineno - 1
        body = "\n".join(task.solution.split("\n")[start:])
        code = extract_code(body, task)
        assert code.endswith(body) and task.entry_point in bound_names(parse_code(code)), task.task_id


# Constants from flags


SCRIPT = '''\
"""Trains nothing.

More about it.
"""

from os.path import sep as SEPARATOR

MODEL = "tiny"  # what to train
DATA_DIR = ""  # folder of published files; env SCRIPT_DATA

# The batch.
BATCH_SIZE = 4  # prompts
# peak of the schedule
LEARNING_RATE: float = 1e-3
USE_LORA = False
MODELS = ["a"]  # to compare
LAYERS = (1, 2)
MAX_STEPS = None
RUN_DIR = ""
API_KEY = ""  # env SCRIPT_KEY
MAX_TOKENS = 10
TABLE = {"x": 1}
_HIDDEN = 1
DEMO = {"BATCH_SIZE": 2, "MODEL": "demo"}
'''


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The globals of a small script."""
    monkeypatch.delenv("SCRIPT_DATA", raising=False)
    monkeypatch.delenv("SCRIPT_KEY", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    namespace = {"__file__": str(path)}
    exec(compile(SCRIPT, str(path), "exec"), namespace)
    return namespace


@pytest.mark.parametrize("words, name, value", [
    (["--batch-size", "8"], "BATCH_SIZE", 8), (["--batch-size=8"], "BATCH_SIZE", 8),
    (["--batch-size", "-1"], "BATCH_SIZE", -1), (["--batch-size", "8", "--batch-size", "9"], "BATCH_SIZE", 9),
    (["--learning-rate", "2"], "LEARNING_RATE", 2.0), (["--learning-rate", "1e-5"], "LEARNING_RATE", 1e-5),
    (["--use-lora"], "USE_LORA", True), (["--use-lora", "true"], "USE_LORA", True),
    (["--use-lora", "false"], "USE_LORA", False), (["--no-use-lora"], "USE_LORA", False),
    (["--models", "x", "y"], "MODELS", ["x", "y"]), (["--models=x"], "MODELS", ["x"]),
    (["--layers", "3", "4", "5"], "LAYERS", (3, 4, 5)), (["--max-steps", "7"], "MAX_STEPS", 7),
    (["--max-steps", "none"], "MAX_STEPS", None), (["--model", ""], "MODEL", ""),
    (["--model=--x"], "MODEL", "--x"), (["--demo"], "BATCH_SIZE", 2),
    (["--batch-size", "8", "--demo"], "BATCH_SIZE", 8),
    (["--max-tokens", "3"], "MAX_TOKENS", 3),
])
def test_flags_set_typed_constants(script, words, name, value):
    override_constants(script, words)
    assert script[name] == value and type(script[name]) is type(value)


@pytest.mark.parametrize("words, parts", [
    (["--batch-size", "four"], ["--batch-size", "'four'", "whole number"]),
    (["--batch-size", "4.5"], ["--batch-size", "'4.5'"]),
    (["--learning-rate", "fast"], ["--learning-rate", "'fast'", "number"]),
    (["--layers", "1", "x"], ["--layers", "'x'"]), (["--use-lora=perhaps"], ["--use-lora", "true or false"]),
    (["--batchsize", "8"], ["--batchsize", "--batch-size"]), (["--models"], ["--models", "value"]),
    (["--batch-size"], ["--batch-size", "value"]), (["stray"], ["'stray'"]), (["--no-model"], ["--no-model"]),
    (["--api-key", "s3cret"], ["--api-key", "SCRIPT_KEY"]), (["--table", "1"], ["--table"]),
    (["--separator", "x"], ["--separator"]), (["-x"], ["-x"]), (["--hidden", "2"], ["--hidden"]),
])
def test_bad_flags_are_one_line_and_exit_2(script, capsys, words, parts):
    before = dict(script)
    with pytest.raises(SystemExit) as caught:
        override_constants(script, words)
    captured = capsys.readouterr()
    assert caught.value.code == 2 and captured.out == "" and captured.err.count("\n") == 1
    assert all(part in captured.err for part in parts) and "s3cret" not in captured.err
    assert {name: script[name] for name in before} == before


def test_priority_is_file_environment_demo_flag(script, monkeypatch, capsys):
    monkeypatch.setenv("SCRIPT_DATA", "/env")
    monkeypatch.setenv("SCRIPT_KEY", "s3cret")
    monkeypatch.setenv("BATCH_SIZE", "99")  # no comment names it
    override_constants(script, ["--demo", "--model", "mine"])
    assert (script["DATA_DIR"], script["BATCH_SIZE"], script["MODEL"]) == ("/env", 2, "mine")
    said = capsys.readouterr().out
    assert said.startswith("changed: ") and said.count("\n") == 1 and "s3cret" not in said
    for part in ("DATA_DIR = '/env' (env SCRIPT_DATA)", "BATCH_SIZE = 2 (demo)", "MODEL = 'mine' (flag)"):
        assert part in said
    assert script["API_KEY"] == "s3cret"


def test_only_the_first_process_says_what_changed(script, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    override_constants(script, ["--batch-size", "8"])
    assert script["BATCH_SIZE"] == 8 and capsys.readouterr().out == ""


def test_positional_argument_sets_the_named_constant(script):
    override_constants(script, ["--use-lora", "runs/1", "--batch-size", "8"], positional="RUN_DIR")
    assert (script["RUN_DIR"], script["USE_LORA"], script["BATCH_SIZE"]) == ("runs/1", True, 8)


def test_two_positional_arguments_for_one_constant_are_refused(script, capsys):
    with pytest.raises(SystemExit):
        override_constants(script, ["a", "b"], positional="RUN_DIR")
    assert "RUN_DIR is one value, found 2: a b" in capsys.readouterr().err


def test_saved_constants_are_present_values_without_keys(script):
    override_constants(script, ["--batch-size", "8"])
    script["API_KEY"] = "s3cret"
    assert constants(script) == {
        "MODEL": "tiny", "DATA_DIR": "", "BATCH_SIZE": 8, "LEARNING_RATE": 1e-3, "USE_LORA": False,
        "MODELS": ["a"], "LAYERS": (1, 2), "MAX_STEPS": None, "RUN_DIR": "", "MAX_TOKENS": 10}


def test_help_shows_every_constant_with_default_and_comment(script, capsys):
    with pytest.raises(SystemExit) as caught:
        override_constants(script, ["--help"])
    said = capsys.readouterr().out
    assert caught.value.code == 0 and said.startswith("Trains nothing.") and "More about it" not in said
    flat = " ".join(said.split())
    for part in ("--model tiny what to train --data-dir '' folder of published files; env SCRIPT_DATA",
                 "The batch. --batch-size 4 prompts --learning-rate 0.001 peak of the schedule --use-lora",
                 "--models a to compare --layers 1 2", "--demo the demo's values: BATCH_SIZE = 2"):
        assert part in flat
    assert "--api-key" not in said and "TABLE" not in said


def test_helpers_answer_without_heavy_imports(tmp_path):
    heavy = "torch transformers trl datasets numpy scipy matplotlib".split()
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(SCRIPTS)!r})
        from raccoon.tasks import benchmarks, extraction
        assert not set({heavy!r}) & set(sys.modules)
    """)
    assert run_python(program, tmp_path) == ""


def raises(error: BaseException):
    def main():
        raise error
    return main


@pytest.mark.parametrize("error, code, said", [
    (InputError("no model 'x';\n give a folder"), 2, "error: no model 'x'; give a folder\n"),
    (KeyboardInterrupt(), 130, "interrupted\n")])
def test_expected_ends_are_one_line(capsys, error, code, said):
    with pytest.raises(SystemExit) as caught:
        run_main(raises(error))
    assert caught.value.code == code and capsys.readouterr().err == said


def test_our_own_errors_keep_their_traceback():
    with pytest.raises(KeyError):
        run_main(raises(KeyError("ours")))


def test_old_python_is_told_what_to_use(monkeypatch):
    require_python()
    monkeypatch.setattr(sys, "version_info", (3, 10, 1, "final", 0))
    with pytest.raises(InputError, match=r"Python >= 3\.11 needed, found 3\.10: use python3\.11"):
        require_python()


def test_hub_that_nobody_can_look_up_is_not_asked_again_and_again(monkeypatch):
    def no_name(*_):
        raise OSError("Temporary failure in name resolution")

    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("socket.getaddrinfo", no_name)
    assert hub_is_out_of_reach()
    monkeypatch.setenv("https_proxy", "http://proxy:3128")  # it has the names
    assert not hub_is_out_of_reach()

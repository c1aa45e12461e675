"""Task files, the published benchmarks and the tests of EvalPlus."""

import ast
import gzip
import json
import os
import subprocess
import sys
import textwrap

import pytest

from helpers.paths import SCRIPTS
from raccoon.constants import InputError
from raccoon.published.benchmarks import BENCHMARKS, hub_is_out_of_reach, load_benchmark, load_training_tasks
from raccoon.published.function_sets import entry_point_of, plus_test, typed_inputs
from raccoon.sandbox.pool import safe_execute
from raccoon.tasks.prompts import messages
from raccoon.tasks.syntax import bound_names, parse_code
from raccoon.tasks.task import Task, read_task_file, write_task_file

ADD = Task("t/1", "Add two numbers.", "assert add(1, 2) == 3", "add")


def run_python(program: str, folder, limit: float = 60) -> str:
    """The last line of what a benign program says on stderr; "" when it ends well."""
    done = subprocess.run(
        [sys.executable, "-I", "-"], input=program.encode(), capture_output=True, timeout=limit, cwd=folder
    )
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


@pytest.mark.parametrize(
    "line, words",
    [
        ("{", ["line 2", "not JSON"]),
        ("[1]", ["line 2", "list"]),
        ('{"prompt": "p"}', ["line 2", "test"]),
        ('{"prompt": " ", "test": "t"}', ["line 2", "prompt"]),
        ('{"prompt": "p", "test": "t", "solution": 3}', ["line 2", "'solution'", "int", "string"]),
        ('{"prompt": "p", "test": "t", "tests": "x"}', ["line 2", "'tests'", "entry_point"]),
        ('{"prompt": "p", "test": "t", "task_id": "one"}', ["line 2", "'one'", "line 1"]),
        ('{"prompt": "p \\ud83d", "test": "t"}', ["line 2", "prompt", "half a character"]),
        ("[" * 100_000, ["line 2", "not JSON"]),
    ],
)
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
    "humaneval": {
        "task_id": "HumanEval/0",
        "entry_point": "f",
        "test": "def check(f):\n    assert f(1) == 2",
        "prompt": 'import math\n\ndef f(x):\n    """Doc."""\n',
        "canonical_solution": "    return 2\n",
    },
    "mbpp": {
        "task_id": 5,
        "prompt": "Say 1.",
        "code": "def f():\n    return 1",
        "test_imports": [],
        "test_list": ["assert f() == 1"],
    },
    "mbpp_full": {
        "task_id": 605,
        "text": "Say 1.",
        "code": "def f():\r\n    return 1",
        "test_setup_code": "",
        "test_list": ["assert f() == 1"],
    },
    "mbppplus": {
        "task_id": "Mbpp/2",
        "entry_point": "f",
        "prompt": '"""\nSame.\nassert f((1,)) == (1,)\n"""\n',
        "canonical_solution": "def f(x):\n    return x",
        "base_input": [[[1]]],
        "plus_input": {},
        "atol": 0,
        "assertion": "assert f((1,)) == (1,)",
    },
    "bigcodebench": {
        "task_id": "BigCodeBench/0",
        "entry_point": "task_func",
        "test": "import unittest",
        "complete_prompt": 'def task_func():\n    """Doc."""\n',
        "instruct_prompt": "Do it.",
        "code_prompt": "import os\ndef task_func():\n",
        "canonical_solution": "    return 1",
    },
    "cruxeval": {"id": "sample_0", "code": "def f(x):\n    return x", "input": "1", "output": "1"},
    "leetcode": {
        "task_id": "two-sum",
        "prompt": "import math\n",
        "entry_point": "Solution().f",
        "completion": "class Solution:\n    def f(self):\n        return 1\n",
        "test": "def check(candidate):\n    assert candidate() == 1\n",
        "query": "Say 1.\nPlease complete the following python code precisely:\n```python\nclass Solution:\n"
        "    def f(self):\n```\n",
    },
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


@pytest.mark.parametrize("name", ["bigcodebench_hard", "bigcodebench_hard_instruct"])
def test_the_hard_subset_is_a_data_set_of_its_own(tmp_path, monkeypatch, name):
    datasets, asked = pytest.importorskip("datasets"), []
    row = {**ROWS["bigcodebench"], "task_id": "BigCodeBench/13"}
    monkeypatch.setattr(datasets, "load_dataset", lambda *words, split: asked.append((*words, split)) or [row])
    from_hub = load_benchmark(name)
    assert asked == [("bigcode/bigcodebench-hard", None, "v0.1.4")]
    write_rows(tmp_path, name, [row])
    assert load_benchmark(name, tmp_path) == from_hub and [task.task_id for task in from_hub] == ["BigCodeBench/13"]


def test_hub_splits_are_joined_in_order(monkeypatch):
    datasets = pytest.importorskip("datasets")
    splits = {"train": [{**ROWS["mbpp"], "task_id": 700}], "prompt": [ROWS["mbpp"]]}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: splits)
    assert [(task.task_id, task.split) for task in load_benchmark("mbpp")] == [
        ("Mbpp/5", "prompt"),
        ("Mbpp/700", "train"),
    ]


@pytest.fixture(scope="module")
def published(data_dir):
    """name -> {task_id: Task} of a published benchmark, read once."""
    loaded = {}

    def load(name: str) -> dict[str, Task]:
        if name not in loaded:
            loaded[name] = {task.task_id: task for task in load_benchmark(name, data_dir)}
        return loaded[name]

    return load


@pytest.mark.parametrize(
    "name, count",
    [
        ("humaneval", 164),
        ("mbpp", 427),
        ("mbpp_full", 974),
        ("humanevalplus", 164),
        ("mbppplus", 378),
        ("bigcodebench", 1140),
        ("bigcodebench_instruct", 1140),
        ("cruxeval", 800),
        ("leetcode", 228),
        ("leetcode_train", 1570),
    ],
)
def test_every_row_becomes_a_sound_task(published, name, count):
    tasks = published(name)
    assert len(tasks) == count
    for task in tasks.values():
        context, solution = parse_code(task.context), parse_code(task.solution)
        assert task.entry_point in bound_names(solution) and task.entry_point not in bound_names(context)
        assert task.source == name and task.prompt.strip()
        assert len(task.test) > 5_000 or parse_code(task.test).body


def test_leetcode_is_selected_by_difficulty_in_the_older_and_the_newer_form(published):
    for name, counts in (("leetcode_train", (450, 813, 307)), ("leetcode", (48, 101, 79))):
        found = [task.difficulty for task in published(name).values()]
        assert tuple(map(found.count, ("easy", "medium", "hard"))) == counts and len(found) == sum(counts)


def test_the_148_hard_rows_are_tasks_of_the_whole_set(published):
    whole, hard = published("bigcodebench"), published("bigcodebench_hard")
    assert len(hard) == 148 and hard.keys() == published("bigcodebench_hard_instruct").keys() < whole.keys()
    assert {task.solution for task in hard.values()} <= {task.solution for task in whole.values()}
    differ = [number for number, task in hard.items() if task.test != whole[number].test]
    assert len(differ) == 1 and all(parse_code(task.test) for task in hard.values())


def test_training_tasks_are_the_seeds_584(data_dir):
    tasks = load_training_tasks(data_dir)
    splits = [task.split for task in tasks if task.source == "mbpp"]
    assert len(tasks) == 584 and {name: splits.count(name) for name in set(splits)} == {
        "test": 257,
        "validation": 43,
        "train": 120,
    }


def test_humaneval_test_calls_check(published):
    assert all(
        ast.unparse(parse_code(task.test).body[-1]) == f"check({task.entry_point})"
        for task in published("humaneval").values()
    )


@pytest.mark.parametrize("number, helper", [(32, "poly"), (38, "encode_cyclic"), (50, "encode_shift")])
def test_humaneval_helpers_come_from_the_prompt(published, number, helper):
    assert helper in bound_names(parse_code(published("humaneval")[f"HumanEval/{number}"].context))


@pytest.mark.parametrize(
    "test, solution, name",
    [
        ("assert set(f(1)) == set()", "def f(x): ...", "f"),
        ("assert math.isclose(f(1), 2)", "def f(x): ...", "f"),
        ("assert sum([1]) == 1", "def sum(x): ...", "sum"),
        ("assert int(f('1')) == 1", "def helper(): ...\ndef f(x): ...\ndef other(): ...", "f"),
        ("assert not check(1)", "check = lambda x: x", "check"),
    ],
)
def test_entry_point_is_the_called_name_that_the_solution_defines(test, solution, name):
    assert entry_point_of(test, solution) == name


@pytest.mark.parametrize(
    "number, name",
    [
        (2, "similar_elements"),
        (82, "volume_sphere"),
        (126, "sum"),
        (56, "check"),
        (19, "test_duplicate"),
        (801, "test_three_equal"),
    ],
)
def test_mbpp_names_that_trip_harnesses(published, number, name):
    task = published("mbpp")[f"Mbpp/{number}"]
    assert task.entry_point == name and f"`{name}`" in task.prompt


def test_mbpp_prompt_shows_one_test(published):
    task = published("mbpp")["Mbpp/3"]
    tests = task.test.strip().split("\n")
    assert [line in task.prompt for line in tests] == [True, False, False, False]


@pytest.mark.parametrize(
    "name, task_id",
    [
        ("humaneval", "HumanEval/32"),
        ("humaneval", "HumanEval/33"),
        ("humaneval", "HumanEval/38"),
        ("mbpp", "Mbpp/98"),
        ("mbpp", "Mbpp/126"),
        ("mbpp_full", "Mbpp/601"),
        ("mbpp_full", "Mbpp/367"),
        ("mbpp_full", "Mbpp/927"),
        ("mbpp_full", "Mbpp/912"),
        ("humanevalplus", "HumanEval/2"),
        ("humanevalplus", "HumanEval/32"),
        ("mbppplus", "Mbpp/2"),
        ("mbppplus", "Mbpp/124"),
        ("mbppplus", "Mbpp/252"),
        ("mbppplus", "Mbpp/404"),
        ("mbppplus", "Mbpp/558"),
        ("mbppplus", "Mbpp/580"),
        ("mbppplus", "Mbpp/581"),
        ("mbppplus", "Mbpp/722"),
        ("mbppplus", "Mbpp/737"),
        ("mbppplus", "Mbpp/793"),
        ("cruxeval", "CRUXEval/51"),
        ("cruxeval", "CRUXEval/712"),
    ],
)
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
    return run_python(code + "\n" + plus_test("x", "f", reference, [inputs], atol), tmp_path)


@pytest.mark.parametrize(
    "returned, expected, atol, agrees",
    [
        ("1", "1", 0, True),
        ("1.0", "1", 0, True),
        ("2", "1", 0, False),
        ("1.0000005", "1.0", 0, True),
        ("1.00001", "1.0", 0, False),
        ("1.00001", "1.0", 1e-4, True),
        ("[1.0000005]", "[1.0]", 0, True),
        ("(1.0000005,)", "[1.0]", 0, False),
        ("[1.0, 2.0]", "[1.0]", 1e-4, False),
        ("1.0", "[1.0]", 1e-4, False),
        ("float('nan')", "float('nan')", 0, False),
        ("float('inf')", "float('inf')", 0, True),
        ("5.0", "float('inf')", 0, False),
        ("5", "float('inf')", 1e-4, False),
        ("-math.inf", "math.inf", 0, False),
        ("[5.0, 1.0]", "[math.inf, 1.0]", 0, False),
        ("[math.inf, 1.0000005]", "[math.inf, 1.0]", 0, True),
        ("math.inf", "5.0", 1e-4, False),
        ("complex(1, 5)", "complex(1, math.inf)", 1e-4, False),
        ("1", "1.0000005", 0, False),
        ("True", "1.00001", 1e-4, False),
        ("[1, 2.0]", "[1.00001, 2.0]", 1e-4, True),
        ("[(1.00001, 2)]", "[[1.0, 2]]", 1e-4, True),
        ("[(1.0000005, 2)]", "[[1.0, 2]]", 0, False),
        ("[1.00001, [2]]", "[1.0, [2]]", 1e-4, False),
        ("[1.0, []]", "[1.0, [2.0]]", 1e-4, False),
        ("'a'", "1.0", 1, False),
        ("None", "1.0", 1, False),
        ("[]", "[]", 0, True),
        ("{'a': 1.0000005}", "{'a': 1.0}", 0, False),
    ],
)
def test_plus_outputs_agree_as_in_evalplus(tmp_path, returned, expected, atol, agrees):
    outcome = plus_outcome(
        tmp_path, f"import math\ndef f(): return {returned}", f"import math\ndef f(): return {expected}", [[]], atol
    )
    assert outcome.partition(":")[0] == ("" if agrees else "AssertionError")


def test_plus_test_says_what_came_and_what_was_right(tmp_path):
    outcome = plus_outcome(tmp_path, "def f(x): return [x]", "def f(x): return x", [[7]])
    assert outcome == "AssertionError: {'got': [7], 'expected': 7}"


def test_plus_inputs_are_fresh_for_solution_and_reference(tmp_path):
    code = "def f(x):\n    x.append(1)\n    return len(x)"
    assert plus_outcome(tmp_path, code, code, [[[1, 2]], [[1, 2]]]) == ""


def test_plus_test_counts_an_assertion_for_each_input():
    test = plus_test("x", "f", "def f(x): return x", [[[1], ["\u00e9\ud800"]], [[float("inf")]]], 0)
    verdict = safe_execute("def f(x): return x", test, "f")
    assert (verdict.status, verdict.tests_passed, verdict.tests_total) == ("PASS", 3, 3)


def test_plus_tolerance_begins_with_the_first_expected_float_of_a_group(tmp_path):
    reference, code = "def f(x): return x", "def f(x): return x + 5 if x == 10**9 else x"
    groups = {True: [[[0.5], [10**9]]], False: [[[10**9], [0.5]]], None: [[[0.5]], [[10**9]]]}
    outcomes = {
        name: run_python(f"{code}\n{plus_test('x', 'f', reference, group, 0)}", tmp_path) == ""
        for name, group in groups.items()
    }
    assert outcomes == {True: True, False: False, None: False}


@pytest.mark.parametrize(
    "number, published, typed",
    [
        (2, [[3, 4], [5]], [(3, 4), (5,)]),
        (63, [[[1, 2], [3, 4]]], [[(1, 2), (3, 4)]]),
        (98, [[1, 2]], [[1, 2]]),
        (75, [[[1, 2]], 6], [[(1, 2)], 6]),
        (106, [[5], [9, 10]], [[5], (9, 10)]),
        (104, [[["a"]]], [[["a"]]]),
        (115, [[[1, 2], [], 3]], [[{1, 2}, {}, {}]]),
        (124, ["0", "1j"], [0.0, 1j]),
        (145, [[1, 2]], [[1, 2]]),
        (250, [[10, 8], 4], [(10, 8), 4]),
        (252, ["(3+4j)"], [3 + 4j]),
        (259, [[[1], [2]], [[3]]], [((1,), (2,)), ((3,),)]),
        (278, [[1, [2, [3]]]], [(1, (2, [3]))]),
        (307, [["HELLO", 5, [], True], 2, 50], [("HELLO", 5, [], True), 2, 50]),
        (580, [[4, [5, [6]]]], [(4, (5, (6,)))]),
        (722, [{"a": [6.2, 70]}, 6.0, 70], [{"a": (6.2, 70)}, 6.0, 70]),
        (744, [[7, None]], [(7, None)]),
        (808, [[10, 4], 6], [(10, 4), 6]),
    ],
)
def test_inputs_have_the_types_that_evalplus_gives_them(number, published, typed):
    assert repr(typed_inputs(f"Mbpp/{number}", [published])) == repr([typed])
    assert typed_inputs(f"HumanEval/{number}", [published]) == [published]


@pytest.mark.parametrize("task_id, inputs", [("Mbpp/2", [[5]]), ("Mbpp/722", [[[1], 2]]), ("Mbpp/252", [["x"]])])
def test_input_of_another_type_than_evalplus_expects_is_named_with_its_row(tmp_path, task_id, inputs):
    write_rows(tmp_path, "mbppplus", [ROWS["mbppplus"] | {"task_id": task_id, "base_input": inputs}])
    with pytest.raises(InputError, match="MbppPlus.jsonl.gz, row 1"):
        load_benchmark("mbppplus", tmp_path)


@pytest.mark.parametrize(
    "task_id, wrong",
    [
        (
            "Mbpp/137",
            "from array import array\ndef zero_count(nums):\n    nonzero = sum(1 for n in nums if n)\n"
            "    return (len(nums) - nonzero) / nonzero if nonzero else 7.0",
        ),
        ("Mbpp/404", "def minimum(a, b):\n    return 3.0 if min(a, b) in (float('inf'), float('-inf')) else min(a, b)"),
    ],
)
def test_wrong_answer_where_infinity_is_expected_fails(published, tmp_path, task_id, wrong):
    assert run_python(program_of(published("mbppplus")[task_id], wrong), tmp_path).startswith("AssertionError")


# Without a network


def test_helpers_answer_without_heavy_imports(tmp_path):
    heavy = "torch transformers trl datasets numpy scipy matplotlib".split()
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(SCRIPTS)!r})
        from raccoon.tasks import extraction
        from raccoon.published import benchmarks
        assert not set({heavy!r}) & set(sys.modules)
    """)
    assert run_python(program, tmp_path) == ""


def test_hub_that_nobody_can_look_up_is_not_asked_again_and_again(monkeypatch):
    def no_name(*_):
        raise OSError("Temporary failure in name resolution")

    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("socket.getaddrinfo", no_name)
    assert hub_is_out_of_reach()
    monkeypatch.setenv("https_proxy", "http://proxy:3128")  # it has the names
    assert not hub_is_out_of_reach()

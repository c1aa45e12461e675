"""The sets people train on and LiveCodeBench, on rows written by hand in their published format; parts of a set."""

import base64
import json
import os
import pickle
import zlib

import pytest
from tqdm import tqdm

from raccoon.constants import InputError
from raccoon.evaluation.engines import Completion, Slot
from raccoon.evaluation.grading import Grader, RecordFile
from raccoon.published.benchmarks import BENCHMARKS, converted, load_benchmark
from raccoon.published.contamination import find_badge, find_overlap, published_after
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.extraction import extract_code
from raccoon.tasks.task import MAX_CASES, Task, capped, check_cases, program_test, read_task_file, write_task_file

SUM = "a, b = map(int, input().split())\nprint(a + b)\n"
STDIN = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}
APPS = {
    "problem_id": 7,
    "question": "Add two numbers.",
    "solutions": json.dumps(["print 3", SUM]),
    "input_output": json.dumps(STDIN),
    "difficulty": "interview",
    "url": "https://x",
    "starter_code": "",
}
METHOD = "class Solution:\n    def twice(self, numbers: List[int]) -> List[int]:\n"
APPS_METHOD = APPS | {
    "problem_id": 8,
    "starter_code": METHOD,
    "solutions": json.dumps([METHOD + "        return [2 * n for n in numbers]\n"]),
    "input_output": json.dumps({"fn_name": "twice", "inputs": [[[1, 2]]], "outputs": [[[2, 4]]]}),
}
APPS_FUNCTION = APPS | {
    "problem_id": 9,
    "starter_code": "def half(n):\n\t",
    "solutions": json.dumps(["def half(n):\n    return n / 2\n"]),
    "input_output": json.dumps({"fn_name": "half", "inputs": [[4], [5]], "outputs": [[2.0], [2.5]]}),
}
TACO = {name: value for name, value in APPS.items() if name != "problem_id"} | {
    "difficulty": "MEDIUM_HARD",
    "name": None,
    "source": "codeforces",
    "date": "2019-12-31",
    "time_limit": "2.0 seconds",
    "skill_types": "[]",
    "file": "train-00000-of-00009",
    "row": 4,
}
CONTESTS = {
    "name": "1_A. Sum",
    "description": "Add two numbers.",
    "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
    "private_tests": {"input": ["3 4\n"], "output": ["7\n"]},
    "generated_tests": {"input": [], "output": []},
    "solutions": {"language": [2, 1, 3], "solution": ["int main(){}", "print 3", SUM]},
    "cf_rating": 900,
    "input_file": "",
    "output_file": "",
    "time_limit": {"seconds": 2, "nanos": 0},
}
PRIVATE = [{"input": "3 4\n", "output": "7\n", "testtype": "stdin"}]


def packed(value) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


LIVE = {
    "question_title": "A",
    "question_content": "Add two numbers.",
    "platform": "atcoder",
    "question_id": "abc1_a",
    "contest_id": "abc1",
    "contest_date": "2024-10-05T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": packed(json.dumps(PRIVATE)),
    "metadata": "{}",
}
LIVE_METHOD = LIVE | {
    "question_id": "3",
    "platform": "leetcode",
    "contest_date": "2023-05-06",
    "starter_code": METHOD,
    "public_test_cases": json.dumps([{"input": "[1, 2]", "output": "[2, 4]", "testtype": "functional"}]),
    "private_test_cases": "[]",
    "metadata": json.dumps({"func_name": "twice"}),
}
KODCODE = {
    "version": "v1",
    "style": "instruct",
    "subset": "Leetcode",
    "question_id": "Leetcode_1_I",
    "question": "Add two numbers.",
    "solution": "def add(a, b):\n    return a + b\n",
    "test": "from solution import add\n\ndef test_small():\n    assert add(1, 2) == 3\n\ndef test_negative():\n"
    "    assert add(-1, 1) == 0\n    assert add(0, 0) == 0\n",
    "test_info": [
        {"docstring": "", "function_declaration": "def add(a, b):", "function_name": "add", "parameter_list": "(a, b)"}
    ],
    "gpt_difficulty": "easy",
    "gpt_pass_percentage": 1.0,
}


def task_of(name: str, row: dict) -> Task | None:
    found = converted(BENCHMARKS[name], [row], "here")
    return found[0] if found else None


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=1) as one:
        yield one


SOUND = {
    "apps": ("apps", APPS, ("APPS/train/7", "program", "interview", "")),
    "taco": ("taco", TACO, ("TACO/train/4", "program", "medium_hard", "2019-12-31")),
    "code_contests": ("code_contests", CONTESTS, ("CodeContests/train/1_A. Sum", "program", "900", "")),
    "kodcode": ("kodcode", KODCODE, ("KodCode/Leetcode_1_I", "function", "easy", "")),
    "apps function": ("apps", APPS_FUNCTION, ("APPS/train/9", "function", "interview", "")),
}


@pytest.mark.parametrize("name", SOUND)
def test_gold_of_a_row_passes_and_a_stub_does_not(sandbox, name):
    benchmark, row, described = SOUND[name]
    task = task_of(benchmark, row)
    assert (task.task_id, task.kind, task.difficulty, task.date) == described
    gold, stub = sandbox.run([Program.of(task, task.solution), Program.of(task, "def add(*_):\n    return None")])
    assert gold.status == "PASS" and gold.tests_total >= 2, gold
    assert stub.status in ("FAIL", "PARTIAL"), stub


def test_livecodebench_program_is_judged_and_dated(sandbox):
    task = task_of("livecodebench", LIVE | {"file": "test4", "row": 0})
    assert (task.task_id, task.split, task.date) == ("LiveCodeBench/abc1_a", "release_v4", "2024-10-05")
    assert task.solution == "" and check_cases(task.test)["outputs"] == ["3\n", "7\n"]
    right, wrong = sandbox.run([Program.of(task, SUM), Program.of(task, "print(3)")])
    assert (right.status, wrong.status) == ("PASS", "PARTIAL")
    assert sandbox.run([Program.of(task, "print(reduce(add, map(int, input().split())))")])[0].status == "PASS"


@pytest.mark.parametrize("name, row", [("apps", APPS_METHOD), ("livecodebench", LIVE_METHOD)])
def test_method_is_asked_for_with_its_header(sandbox, name, row):
    task = task_of(name, row)
    assert (task.kind, task.entry_point) == ("function", "Solution")
    assert "Solution().twice(*" in task.test and METHOD.strip() in task.prompt
    right = METHOD + "        return tuple(2 * n for n in numbers)\n"
    answers = (right, "PASS"), (right.replace("2 * n", "n"), "PARTIAL"), ("class Solution:\n    pass\n", "FAIL")
    for code, status in answers:
        (verdict,) = sandbox.run([Program.of(task, code)])
        assert (verdict.status, verdict.isolation) == (status, "separate"), verdict


@pytest.mark.parametrize(
    "name, row, words",
    [
        ("apps", APPS | {"input_output": "{"}, "input_output"),
        ("apps", APPS | {"problem_id": None}, "problem_id"),
        ("apps", {name: value for name, value in APPS.items() if name != "question"}, "question"),
        ("apps", APPS | {"input_output": json.dumps({"inputs": [1], "outputs": [2]})}, "must be a text"),
        ("livecodebench", LIVE | {"private_test_cases": "%%%"}, "cannot be unpacked"),
        ("livecodebench", LIVE | {"private_test_cases": packed(7)}, "not a list"),
        ("livecodebench", LIVE | {"private_test_cases": packed(json.dumps([[1]]))}, "not a list of inputs and outputs"),
        ("livecodebench", LIVE | {"public_test_cases": "x"}, "public_test_cases"),
        ("livecodebench", {name: value for name, value in LIVE.items() if name != "contest_date"}, "contest_date"),
        ("kodcode", {name: value for name, value in KODCODE.items() if name != "test"}, "test"),
    ],
)
def test_bad_row_is_named(name, row, words):
    with pytest.raises(InputError, match="here, row 1") as caught:
        task_of(name, row)
    assert words in str(caught.value)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("reached",)


def test_private_tests_run_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="mkdir"):
        task_of("livecodebench", LIVE | {"private_test_cases": packed(Hostile())})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "name, row",
    [
        ("apps", APPS | {"input_output": ""}),
        ("taco", TACO | {"input_output": json.dumps({"inputs": ["1"], "outputs": []})}),
        ("code_contests", CONTESTS | {"input_file": "in.txt"}),
        (
            "kodcode",
            KODCODE | {"test": "from solution import add\n\ndef test_x(tmp_path):\n    assert add(1, 2) == 3\n"},
        ),
        ("kodcode", KODCODE | {"solution": "def add(a, b:\n"}),
    ],
)
def test_row_that_is_no_task_is_left_out(capsys, name, row):
    assert task_of(name, row) is None
    assert f"{name}: left out 1 of 1 rows\n  1: it" in capsys.readouterr().out


def test_rows_left_out_are_counted_by_reason_and_named(capsys):
    fixture = "def test_x(tmp_path):\n    assert add(1, 2) == 3\n"
    rows = [
        KODCODE,
        KODCODE | {"question_id": "b", "test": fixture},
        KODCODE | {"question_id": "c", "test": fixture},
        KODCODE | {"question_id": "d", "test": "x ="},
    ]
    assert len(converted(BENCHMARKS["kodcode"], rows, "here")) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "kodcode: left out 3 of 4 rows"
    assert sorted(line.strip()[:1] for line in said[1:]) == ["1", "2"]
    assert any("tmp_path" in line and "KodCode/b, KodCode/c" in line for line in said)


LONG = "9" * 5000
LONG_ROWS = {
    "apps": APPS_FUNCTION | {"input_output": f'{{"fn_name": "half", "inputs": [[{LONG}]], "outputs": [[1]]}}'},
    "taco": TACO | {"input_output": f'{{"fn_name": "half", "inputs": [[1]], "outputs": [{LONG}]}}'},
    "livecodebench": LIVE_METHOD | {"public_test_cases": json.dumps([{"input": LONG, "output": "1"}])},
    "livecodebench packed": LIVE | {"private_test_cases": packed(f"[{LONG}]")},
    "livecodebench plain": LIVE | {"private_test_cases": f"[{LONG}]"},
    "mbpp": {
        "task_id": 5,
        "prompt": "p",
        "code": "def f():\n    return 1",
        "test_imports": [],
        "test_list": [f"assert f() != {LONG}"],
    },
    "humanevalplus": {
        "task_id": "HumanEval/0",
        "prompt": "def f(x):\n",
        "entry_point": "f",
        "test": "",
        "atol": 0,
        "canonical_solution": f"    return {LONG}",
        "base_input": [[1]],
        "plus_input": [],
    },
}
SHORT_ROWS = {
    "apps": APPS_FUNCTION,
    "taco": TACO,
    "livecodebench": LIVE,
    "humanevalplus": LONG_ROWS["humanevalplus"] | {"canonical_solution": "    return 1"},
    "mbpp": LONG_ROWS["mbpp"] | {"test_list": ["assert f() == 1"]},
}


@pytest.mark.parametrize("name", LONG_ROWS)
def test_integer_that_is_too_long_costs_its_row_alone(name):
    benchmark = name.split()[0]
    rows = [SHORT_ROWS[benchmark], LONG_ROWS[name], SHORT_ROWS[benchmark]]
    assert 2 <= len(converted(BENCHMARKS[benchmark], rows, "here")) <= (3 if benchmark == "humanevalplus" else 2)


def test_line_with_an_integer_that_is_too_long_costs_itself_alone(tmp_path, capsys):
    folder = published(tmp_path, "apps", [APPS, APPS | {"problem_id": 8}], "train.jsonl")
    path = tmp_path / "apps" / "train.jsonl"
    path.write_text(path.read_text().replace('"problem_id": 7', f'"problem_id": {LONG}'))
    assert [task.task_id for task in load_benchmark("apps", folder)] == ["APPS/train/8"]
    assert "left out line 1" in capsys.readouterr().out


# Each set as its own judge sees it


@pytest.mark.parametrize(
    "row, code",
    [
        (
            LIVE,
            "def solve(xs: List[int]) -> int:\n    return reduce(add, xs)\n\n\n"
            "print(solve(list(map(int, sys.stdin.readline().split()))))",
        ),
        (LIVE_METHOD, METHOD + "        return [2 * n for n in islice(numbers, 9)]\n"),
    ],
)
def test_whole_program_of_livecodebench_has_its_judges_imports(sandbox, tmp_path, row, code):
    task = task_of("livecodebench", row)
    file, request = RecordFile(tmp_path / "l.jsonl"), Slot(task)
    with Grader(sandbox, file, {task.task_id: 10.0}, "here", tqdm(disable=True)) as grader:
        grader.submit([(request, Completion(code, "", code=code, alone=True))], {request.key: ""})
    assert [record.verdict.status for record in file.load().values()] == ["PASS"]


def calls(inputs: list, outputs: list, body: str) -> tuple[dict, str]:
    """A row of APPS whose function `f` is called with the inputs, and code for it."""
    tests = json.dumps({"fn_name": "f", "inputs": inputs, "outputs": outputs})
    code = f"def f(*args):\n    return {body}\n"
    return APPS | {"starter_code": "def f(a):\n", "solutions": json.dumps([code]), "input_output": tests}, code


@pytest.mark.parametrize(
    "given, expected, body, passes",
    [
        ([3], [[1, 2]], "(1, 2)", True),
        ([3], [1, 2], "(1, 2)", True),
        ([3], [[[1, 2], [3]]], "[(1, 2), (3,)]", True),
        ([3], [[[1, [2, 3]]]], "((1, (2, 3)),)", True),
        ([3], {"a": [1, 2]}, "{'a': (1, 2)}", True),
        ([3], {"1": 2}, "{1: 2}", True),
        ([3], [{"1": 2}], "{1: 2}", True),
        ([3], [{"-1": 2}], "{-1: 2}", True),
        ([3], {"1": 2}, "{'1': 2}", False),
        ([3], {"a": 1, "2": 1}, "{'a': 1, '2': 1}", True),
        ([{"1": [5]}], [[1]], "[key for key in args[0]]", True),
        ([{"1": 5}], [["1"]], "[key for key in args[0]]", False),
        ([3], [[1, 2]], "[1, 3]", False),
        ([3], [[1, 2]], "{1, 2}", False),
        ([3], [[1, 2]], "'12'", False),
        ([3], [0.5], "0.5", True),
        ([3], [5], "5", True),
        ([3], [[]], "()", True),
        ([3], [None], "None", True),
    ],
)
@pytest.mark.parametrize("name", ["apps", "taco"])
def test_calls_are_compared_as_in_apps_and_taco(sandbox, name, given, expected, body, passes):
    row, code = calls([given], [expected], body)
    (verdict,) = sandbox.run([Program.of(task_of(name, row | {"file": "train-0", "row": 1}), code)])
    assert (verdict.status == "PASS") is passes and verdict.isolation == "separate", verdict


@pytest.mark.parametrize("name, row", [("apps", APPS), ("taco", TACO), ("code_contests", CONTESTS)])
def test_rule_of_each_contest_set(sandbox, name, row):
    """A third for 0.333333, and another case of letters."""
    texts = {"apps": (True, False), "taco": (False, False), "code_contests": (True, True)}
    if name == "code_contests":
        empty = {"input": [], "output": []}
        rows = [
            row | {"public_tests": {"input": ["1"], "output": [wanted]}, "private_tests": empty}
            for wanted in ("0.333333\n", "Yes\n")
        ]
    else:
        rows = [
            row | {"input_output": json.dumps({"inputs": ["1"], "outputs": [wanted]})}
            for wanted in ("0.333333\n", "Yes\n")
        ]
    tasks = [task_of(name, one) for one in rows]
    verdicts = sandbox.run([Program.of(tasks[0], "print(1 / 3)"), Program.of(tasks[1], "print('YES')")])
    assert tuple(verdict.status == "PASS" for verdict in verdicts) == texts[name], verdicts


@pytest.mark.parametrize(
    "name, row, code",
    [
        ("apps", APPS, "print(sum(map(int, sys.stdin.readline().split())))"),
        ("taco", TACO, "print(int(fabs(sum(Counter(map(int, input().split())).elements()))))"),
        ("apps", APPS_METHOD, METHOD + "        return [2 * n for n in heapq.nlargest(9, numbers)[::-1]]\n"),
    ],
)
def test_imports_of_the_sets_own_judge_stand_before_every_program(sandbox, name, row, code):
    (verdict,) = sandbox.run([Program.of(task_of(name, row), code)])
    assert verdict.status == "PASS", verdict


def test_problem_with_a_special_judge_is_left_out_without_a_checker(tmp_path, capsys, sandbox):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    rows = [{key: value for key, value in TACO.items() if key not in ("file", "row")}] * 3
    (tmp_path / "taco").mkdir()
    for file, part in (("test-00000-of-00002", rows[:1]), ("test-00001-of-00002", rows[1:])):
        parquet.write_table(pyarrow.Table.from_pylist(part), tmp_path / "taco" / f"{file}.parquet")
    assert [task.task_id for task in load_benchmark("taco_test", tmp_path)] == [f"TACO/test/{n}" for n in range(3)]
    assert "no file" in capsys.readouterr().out
    checker = "def check(input, output, expected):\n    return output.strip().isdigit()"
    lines = [
        {"idx": 0, "special_judge": False, "case": 0},
        {"idx": 1, "special_judge": True, "case": 1},
        {"idx": 2, "special_judge": True, "case": 1, "checker": checker},
    ]
    published(tmp_path, "taco", lines, "output_spj.jsonl")
    first, third = load_benchmark("taco_test", tmp_path)
    assert "special judge and there is no checker (TACO/test/1)" in capsys.readouterr().out
    verdicts = sandbox.run([Program.of(task, "print(5)") for task in (first, third)])
    assert [verdict.status for verdict in verdicts] == ["PARTIAL", "PASS"]


def test_number_and_size_of_cases_are_capped_always_the_same():
    inputs, outputs = [str(n) for n in range(100)], ["x"] * 100
    inputs[50] = "9" * 200_000
    first = capped(inputs, outputs)
    assert first == capped(inputs, outputs) and len(first[0]) == len(first[1]) == MAX_CASES
    assert first[0][0] == "0" and inputs[50] not in first[0]
    assert capped(["a" * 300_000, "b" * 200_000], ["", ""])[0] == ["b" * 200_000]
    with pytest.raises(InputError, match="2 inputs but 1 outputs"):
        capped(["1", "2"], ["1"])


@pytest.mark.parametrize(
    "test, words",
    [
        ("{", "not JSON"),
        ("[]", "not a dict"),
        ('{"inputs": ["1"]}', "'outputs'"),
        ('{"inputs": ["1"], "outputs": ["1", "2"]}', "1 inputs but 2 outputs"),
        ('{"inputs": ["1"], "outputs": ["1"], "compare": "fuzzy"}', "'fuzzy'"),
        ('{"inputs": ["1"], "outputs": ["1"], "compare": "checker"}', "checker"),
    ],
)
def test_bad_cases_are_named_with_their_line(tmp_path, test, words):
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps({"prompt": "p", "test": test, "kind": "program"}) + "\n")
    with pytest.raises(InputError, match="line 1") as caught:
        read_task_file(path)
    assert words in str(caught.value)


def test_kind_is_checked_and_old_files_stay_readable(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"prompt": "p", "test": "assert f() == 1"}\n')
    assert read_task_file(path)[0].kind == "function"
    path.write_text('{"prompt": "p", "test": "t", "kind": "script"}\n')
    with pytest.raises(InputError, match="unknown kind 'script'; choose from function, program"):
        read_task_file(path)
    tasks = [task_of("apps", APPS), task_of("livecodebench", LIVE)]
    write_task_file(path, tasks)
    assert read_task_file(path) == tasks


def published(folder, name: str, rows: list[dict], file: str) -> str:
    path = folder / name / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def test_part_of_a_benchmark(tmp_path):
    late = LIVE | {"question_id": "late", "contest_date": "2025-02-01", "difficulty": "hard"}
    published(tmp_path, "livecodebench", [LIVE_METHOD], "test.jsonl")
    published(tmp_path, "livecodebench", [LIVE], "test2.jsonl")
    folder = published(tmp_path, "livecodebench", [late], "test10.jsonl")

    def ids(name: str) -> list[str]:
        return [task.task_id.rpartition("/")[2] for task in load_benchmark(name, folder)]

    assert ids("livecodebench") == ["3", "abc1_a", "late"]
    assert ids("livecodebench:release_v2") == ["3", "abc1_a"]
    assert ids("livecodebench:2024-10..2025-01") == ["abc1_a"]
    assert ids("livecodebench:..2024") == ["3", "abc1_a"]
    assert ids("livecodebench:2024..:hard") == ["late"]
    assert ids("livecodebench:easy+hard:release_v2") == ["3", "abc1_a"]
    words = "'medium'; choose from difficulty: easy, hard; split: .*dates: 2023-05-06..2025-02-01"
    with pytest.raises(InputError, match=words):
        load_benchmark("livecodebench:medium", folder)


def test_ratings_of_code_contests(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    (tmp_path / "code_contests").mkdir()
    rows = [CONTESTS, CONTESTS | {"name": "2_B. Hard", "cf_rating": 2400}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "code_contests" / "train-00000-of-00001.parquet")
    assert len(load_benchmark("code_contests", tmp_path)) == 2
    assert [task.difficulty for task in load_benchmark("code_contests:800-1200", tmp_path)] == ["900"]


def test_hub_files_are_fetched_and_read_as_those_of_a_folder(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    (tmp_path / "train.jsonl").write_text(json.dumps(APPS) + "\n")
    asked = {}
    monkeypatch.setattr(hub, "snapshot_download", lambda name, **more: asked.update(name=name, **more) or str(tmp_path))
    assert [task.task_id for task in load_benchmark("apps")] == ["APPS/train/7"]
    assert asked["name"] == "codeparrot/apps" and asked["allow_patterns"] == ["train*.jsonl"]


def test_dates_on_a_badge(tmp_path):
    tasks = [task_of("livecodebench", LIVE), task_of("livecodebench", LIVE_METHOD)]
    assert published_after(tasks, "2024-01-31") == "1 of 2 after 2024-01-31"
    assert published_after(tasks, "2022-12-31") == "all of 2 after 2022-12-31"
    assert published_after([task_of("apps", APPS)], "2022-12-31") == published_after(tasks, "") == ""
    assert find_badge(tmp_path, tasks, "", "2024-01-31").dates == "1 of 2 after 2024-01-31"


def test_programs_with_the_same_cases_overlap():
    one = task_of("apps", APPS)
    other = task_of("livecodebench", LIVE | {"question_content": "What do both of them come to? Say it at once."})
    assert "2 of 2 asserts" in find_overlap([one], [other])[one.task_id]


PROGRAM_ANSWERS = {
    "one block": (f"Here it is:\n```python\n{SUM}```\nIt adds.", SUM),
    "sample after it": (f"```python\n{SUM}```\nFor example\n```\n1 2\n```\nprints\n```python\nprint(3)\n```", SUM),
    "draft before it": (f"```python\nprint(int(input()) + 1)\n```\nNo:\n```python\n{SUM}```", SUM),
    "bare": (SUM, SUM),
    "main guard": (
        "```python\nimport sys\n\n\ndef main():\n    print(sys.stdin.read())\n\n\n"
        "if __name__ == '__main__':\n    main()\n```",
        None,
    ),
    "prints only": ("```python\nprint(3)\n```", "print(3)\n"),
    "prose": ("It cannot be done.", ""),
}


@pytest.mark.parametrize("name", PROGRAM_ANSWERS)
def test_program_is_found_in_an_answer(name):
    answer, code = PROGRAM_ANSWERS[name]
    task = Task("t/1", "Add.", program_test(["1 2"], ["3"]), kind="program")
    found = extract_code(answer, task)
    assert found.strip() == (code if code is not None else answer.split("```python\n")[1].split("\n```")[0]).strip()


def test_all_bad_lines_of_a_task_file_are_named_at_once(tmp_path):
    path = tmp_path / "own.jsonl"
    good = '{"task_id": "a", "prompt": "p", "test": "assert f(1) == 2"}'
    path.write_text("\n".join([good, '{"task_id": "b", "prompt": "p"}', "nonsense", good]) + "\n")
    with pytest.raises(InputError, match=r"line 2 \(b\): test is.*; .*line 3: not JSON.*; .*line 4 \(a\): .*on line 1"):
        read_task_file(path)
    path.write_text("nonsense\n" * 25)
    with pytest.raises(InputError, match="line 20: .*; and 5 more bad lines"):
        read_task_file(path)

"""The evaluation script itself, run as its users run it, on random models, published files and bad input."""

import json
import os
import platform
import signal
import subprocess
import sys
import time

import pytest

from helpers import warm_python
from helpers.paths import SCRIPTS
from helpers.random_model import write_model, write_tasks
from raccoon.tasks.task import Task, write_task_file

SCRIPT = str(SCRIPTS / "evaluate_models.py")
MODES = ["--modes", "greedy", "sampled", "--temperature", "1", "--max-completion-length", "12"]
TASKS = 60


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two random models and a task file."""
    folder = tmp_path_factory.mktemp("evaluation")
    write_model(folder / "sft", seed=0)
    write_model(folder / "rl", seed=1)
    write_tasks(folder / "tasks.jsonl", TASKS)
    return folder


def environment():
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "DATA_DIR": ""}


def evaluate(folder, *flags, code=0, afresh=False):
    if afresh:  # in a Python of its own, as users start it
        done = subprocess.run(
            [sys.executable, SCRIPT, *flags], cwd=folder, env=environment(), capture_output=True, text=True
        )
    else:
        done = warm_python.run([SCRIPT, *flags], folder, DATA_DIR="")
    assert done.returncode == code, done.stdout + done.stderr
    return done


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def results(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def whole(place):
    """The output of an evaluation of both models that nothing interrupted."""
    done = evaluate(
        place,
        *"--models sft rl --benchmarks tasks.jsonl --output-dir whole --batch-size 8".split(),
        *MODES,
        afresh=True,
    )
    (place / "whole.log").write_text(done.stdout)
    return place / "whole"


def test_two_models_are_evaluated_and_compared(whole):
    found = results(whole)
    assert [(r["model"], r["mode"], r["n"]) for r in found["results"]] == [
        (model, mode, TASKS) for model in ("sft", "rl") for mode in ("greedy", "sampled")
    ]
    assert [(c["baseline"], c["candidate"], c["mode"]) for c in found["comparisons"]] == [
        ("sft", "rl", "greedy"),
        ("sft", "rl", "sampled"),
    ]
    assert found["calibration"][0]["gold_passed"] == TASKS and found["calibration"][0]["stub_passed"] == 0
    report = (whole / "comparison.md").read_text()
    assert report.startswith("# Evaluation\n\n| model |") and report in (whole.parent / "whole.log").read_text()


def test_every_completion_is_kept_with_its_verdict_and_counted(whole):
    for row in results(whole)["results"]:
        suffix = ".sampled" if row["mode"] == "sampled" else ""
        records = lines(whole / row["model"] / f"tasks{suffix}.jsonl")
        assert [r["task_id"] for r in records] == [f"t/{i}" for i in range(TASKS)]
        assert sum(r["verdict"]["status"] == "PASS" for r in records) == row["passed"]
        assert all("<|im_start|>" in r["prompt"] and isinstance(r["code"], str) for r in records)
        assert len(lines(whole / row["model"] / f"tasks{suffix}.solutions.jsonl")) == TASKS
    outcomes = [r["outcomes"] for r in results(whole)["results"]]
    assert sum(o["truncated"] for o in outcomes) > 0 and len({str(o) for o in outcomes}) > 1


def kill_when(flags, folder, path, number, how):
    """Starts the evaluation, sends a signal when `path` has `number` lines, and returns the exit code."""
    with open(os.devnull, "w") as nowhere:
        script = warm_python.Script([SCRIPT, *flags], folder, {"DATA_DIR": ""}, nowhere, nowhere)
    while script.runs():
        if path.exists() and path.read_bytes().count(b"\n") >= number:
            os.kill(script.pid, how)
            break
        time.sleep(0.002)
    return script.wait()


def test_killed_and_continued_is_the_same_as_uninterrupted(place, whole):
    flags = [*"--models sft rl --benchmarks tasks.jsonl --output-dir killed --batch-size 8".split(), *MODES]
    killed = place / "killed"
    assert kill_when(flags, place, killed / "sft" / "tasks.jsonl", 16, signal.SIGKILL) == -signal.SIGKILL
    before = {r["task_id"] for r in lines(killed / "sft" / "tasks.jsonl")}
    assert 16 <= len(before) < TASKS
    assert kill_when(flags, place, killed / "rl" / "tasks.sampled.jsonl", 8, signal.SIGINT) == 130
    evaluate(place, *flags)
    for name in ("results.json", "comparison.md"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    for name in ("sft/tasks.jsonl", "rl/tasks.jsonl", "sft/tasks.sampled.jsonl", "rl/tasks.sampled.jsonl"):
        assert [(r["task_id"], r["completion"]) for r in lines(killed / name)] == [
            (r["task_id"], r["completion"]) for r in lines(whole / name)
        ]


def test_a_finished_evaluation_is_read_and_not_repeated(place, whole):
    stamp = (whole / "sft" / "tasks.jsonl").stat().st_mtime_ns
    before = (whole / "results.json").read_bytes()
    evaluate(place, *"--models sft rl --benchmarks tasks.jsonl --output-dir whole --batch-size 8".split(), *MODES)
    assert (whole / "sft" / "tasks.jsonl").stat().st_mtime_ns == stamp
    assert (whole / "results.json").read_bytes() == before


def test_two_processes_give_what_one_gives(place, whole):
    done = evaluate(
        place, *"--models sft rl --benchmarks tasks.jsonl --output-dir two --batch-size 8 --processes 2".split(), *MODES
    )
    assert "launch   2 processes under accelerate" in done.stdout
    assert (place / "two" / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_other_weights_are_not_mixed_with_old_records(place):
    write_model(place / "trained", seed=2)
    flags = [
        *"--models trained --benchmarks tasks.jsonl --output-dir mixed --limit 8 --max-completion-length".split(),
        *"12".split(),
    ]
    evaluate(place, *flags)
    write_model(place / "trained", seed=3)
    refused = evaluate(place, *flags, code=2)
    assert "holds 8 completions of another model, prompt or decoding setting" in refused.stderr
    assert len(lines(place / "mixed" / "trained" / "tasks.jsonl")) == 8
    assert "another model" in evaluate(place, *flags, "--max-completion-length", "11", code=2).stderr


def test_a_limit_is_a_fixed_sample_that_a_full_run_goes_on_from(place, whole):
    flags = [
        *"--models sft --benchmarks tasks.jsonl --output-dir limited --batch-size 8".split(),
        *"--max-completion-length 12".split(),
    ]
    evaluate(place, *flags, "--limit", "20")
    part = lines(place / "limited" / "sft" / "tasks.jsonl")
    assert len(part) == 20
    assert "tasks (20 of 60)" in (place / "limited" / "comparison.md").read_text()
    done = evaluate(place, *flags)
    assert "sft on tasks, greedy: 20 of 60 are on file" in done.stdout
    evaluate(place, *flags, "--temperature", "0.3", "--seed", "5")  # greedy completions depend on neither
    assert len(lines(place / "limited" / "sft" / "tasks.jsonl")) == TASKS


def test_infra_and_changed_tests_are_graded_again_without_generating(place, whole):
    tasks = write_tasks(place / "regraded.jsonl", 10)
    flags = [*"--models sft --benchmarks regraded.jsonl --output-dir regraded --max-completion-length 12".split()]
    evaluate(place, *flags)
    file = place / "regraded" / "sft" / "regraded.jsonl"
    records = lines(file)
    records[3]["verdict"] |= {"status": "INFRA", "reason": "infra: lost"}
    records[3]["completion"] = "def f(x):\n    return x + 1  # what no model wrote"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    write_task_file(
        place / "regraded.jsonl",
        [
            Task(**{**vars(task), "test": task.test + "assert f(7) == 8\n"}) if i == 5 else task
            for i, task in enumerate(tasks)
        ],
    )
    evaluate(place, *flags)
    again = lines(file)
    assert [r["completion"] for r in again] == [r["completion"] for r in records]
    assert again[3]["verdict"]["status"] == "PASS"
    assert again[5]["graded_by"] != records[5]["graded_by"] and again[6]["graded_by"] == records[6]["graded_by"]


def test_the_same_model_twice_is_not_distinguishable(place):
    evaluate(
        place, *"--models sft --repeat 2 --benchmarks tasks.jsonl --output-dir again --max-completion-length 12".split()
    )
    (found,) = results(place / "again")["comparisons"]
    assert (found["candidate"], found["repeat"], found["distinguishable"]) == ("sft.repeat2", True, False)
    assert found["flip_rate"] == 0.0, "on one CPU thread greedy decoding is exact whatever the batches"


def test_the_controls_and_the_demo_tasks(place):
    evaluate(place, "--models", "gold", "stub", "--benchmarks", "demo", "--output-dir", "controls", "--limit", "40")
    gold, stub = results(place / "controls")["results"]
    assert (gold["passed"], gold["n"], gold["of"]) == (40, 40, 300) and stub["passed"] == 0


def test_a_stub_that_passes_stops_the_evaluation(place):
    write_task_file(place / "weak.jsonl", [Task("w/1", "p", "assert not f()", "f", solution="def f():\n    pass\n")])
    refused = evaluate(place, "--models", "gold", "--benchmarks", "weak.jsonl", "--output-dir", "weak", code=2)
    assert "a function that returns None passes the tests of w/1" in refused.stderr
    assert not (place / "weak" / "results.json").exists()


def test_samples_reproduce_the_official_verdicts(place, data_dir):
    files = sorted((data_dir / "samples").glob("poe_*.jsonl"))
    evaluate(
        place,
        "--samples",
        *map(str, files),
        "--benchmarks",
        "humaneval",
        "--data-dir",
        str(data_dir),
        "--output-dir",
        "official",
    )
    rows = {row["model"]: row for row in results(place / "official")["results"]}
    for file, passed in zip(files, (67, 120), strict=True):
        official = {row["task_id"]: row["passed"] for row in lines(file)}
        records = lines(place / "official" / file.stem / "humaneval.jsonl")
        assert {r["task_id"]: r["verdict"]["status"] == "PASS" for r in records} == official
        assert (rows[file.stem]["passed"], rows[file.stem]["n"]) == (passed, 164)


def test_many_samples_a_task_equal_a_brute_force_count(place):
    """pass@1, pass@10 and pass@100 of 100 samples each of two tasks, 30 and 0 of which pass."""
    good, bad = "def f(x):\n    return x + 1\n", "def f(x):\n    return x\n"
    rows = [{"task_id": "t/0", "solution": good if i < 30 else bad} for i in range(100)]
    rows += [{"task_id": "t/1", "completion": bad} for _ in range(100)]
    (place / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = evaluate(place, "--samples", "many.jsonl", "--benchmarks", "tasks.jsonl", "--output-dir", "many")
    assert "200 samples, 100 for each of 2 of 60 tasks; 58 tasks without one are not scored" in done.stdout
    (row,) = results(place / "many")["results"]
    assert (row["mode"], row["n"], row["samples"], row["missing"]) == ("sampled", 2, 200, 58)
    settings = json.loads((place / "many" / "results.json").read_text())["settings"]  # no model answered here
    assert not {"temperature", "top_p", "engine", "max_completion_length", "seed"} & set(settings)
    assert settings["versions"]["python"] == platform.python_version()
    assert f"python {platform.python_version()}" in (place / "many" / "comparison.md").read_text()
    miss = 1.0
    for i in range(10):
        miss *= (70 - i) / (100 - i)  # ten draws without a pass
    assert row["pass@k"] == {"1": pytest.approx(0.15), "10": pytest.approx((1 - miss) / 2), "100": 0.5}
    assert "scored on 2 of 60 tasks" in (place / "many" / "comparison.md").read_text()


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--benchmarks", "humanevl"], "no benchmark 'humanevl'; choose from demo, humaneval"),
        (["--models", "gold", "--benchmarks", "missing.jsonl"], "no task file missing.jsonl"),
        (["--benchmarks", "tasks.jsonl", "./tasks.jsonl"], "'tasks' is named twice"),
        (["--models", "./nowhere"], "no model './nowhere'"),
        (["--models", "empty"], "no model in empty"),
        (["--models", "sft", "--modes", "beam"], "no mode 'beam'"),
        (["--models", "sft", "--modes", "sampled", "--temperature", "0"], "TEMPERATURE is 0"),
        (["--models", "sft", "--batch-size", "0"], "BATCH_SIZE is 0"),
        (["--models", "gold", "--timeout", "0"], "TIMEOUT is 0"),
        (["--models", "gold", "--engine", "tensorrt"], "no engine 'tensorrt'"),
        (["--models", "gold", "--no-such-flag", "1"], "--no-such-flag"),
        (["--models", "gold", "--output-dir", "/dev/null/no"], "/dev/null/no: /dev/null is not a writable folder"),
        (["--samples", "nowhere.jsonl"], "no sample file nowhere.jsonl"),
        (["--samples", "broken.jsonl"], "broken.jsonl, line 2"),
        (["--samples", "unknown.jsonl"], "1 task ids are in none of the benchmarks: 'other/1'"),
        (["--models", "sft", "--samples", "sft.jsonl"], "have the same name 'sft'"),
        (["--models", "gold", "--output-dir", "/proc/out"], "OUTPUT_DIR /proc/out: /proc is not a writable folder"),
        (["--models", "gold", "--tasks", "t/0", "t/99"], "no task 't/99': give ids like 't/0'"),
        (["--models", "gold", "--pass-at", "0"], "PASS_AT is [0]"),
        (["--models", "sft", "--prompt-style", "fim"], "no PROMPT_STYLE 'fim'"),
        (["--models", "sft", "--code-extraction-method", "ast"], "choose from regex, llm, strict"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(place, flags, words):
    (place / "empty").mkdir(exist_ok=True)
    (place / "broken.jsonl").write_text('{"task_id": "t/0", "completion": "x"}\n{"task_id"\n')
    (place / "unknown.jsonl").write_text('{"task_id": "other/1", "completion": "x"}\n')
    (place / "sft.jsonl").write_text('{"task_id": "t/0", "completion": "x"}\n')
    flags = flags if "--benchmarks" in flags else ["--benchmarks", "tasks.jsonl", *flags]
    done = evaluate(place, "--output-dir", "refused", *flags, code=2)
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert not (place / "refused").exists()


def test_a_sandbox_that_cannot_start_is_1_as_in_every_command(place):
    flags = "--models gold --benchmarks tasks.jsonl --output-dir weak --workers 5000".split()
    assert "workers is 5000" in evaluate(place, *flags, code=1).stderr


def test_a_terminal_without_utf8_is_refused_before_anything_is_graded(place, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONUTF8", "0")
    done = evaluate(
        place, "--models", "gold", "--benchmarks", "tasks.jsonl", "--output-dir", "ascii", code=2, afresh=True
    )
    assert done.stderr == "error: the report needs UTF-8, and standard output takes ascii: set PYTHONUTF8=1\n"
    assert not (place / "ascii").exists()


GOOD, PROSE = "    return x + 1\n", "    return x + 1\n\nThis adds one."
STUB_TASKS = [
    Task(
        f"s/{i}",
        "Do it.\n\n```python\ndef f(x):\n```\n",
        "assert f(1) == 2\nassert helper(1)",
        "f",
        context="def helper(x):\n    return x\n",
        solution="def f(x):\n    return x + 1\n",
    )
    for i in range(3)
]


def test_strict_and_lenient_grading_and_solutions_as_they_are(place):
    """A task's helper belongs to a completion's program and not to a solution's; strictly, prose is a syntax error."""
    write_task_file(place / "stubs.jsonl", STUB_TASKS)
    rows = [
        {"task_id": "s/0", "completion": GOOD},
        {"task_id": "s/1", "completion": PROSE},
        {"task_id": "s/2", "solution": "def f(x):\n" + GOOD},
    ]
    (place / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for method, kinds in (("regex", ["pass", "pass", "exception"]), ("strict", ["pass", "syntax", "exception"])):
        evaluate(
            place,
            *"--samples gold.jsonl --benchmarks stubs.jsonl --output-dir strict --code-extraction-method".split(),
            method,
        )
        assert [r["outcome"] for r in lines(place / "strict" / "gold-samples" / "stubs.jsonl")] == kinds
        found = results(place / "strict")
        assert found["settings"]["extraction"] == method
        assert (found["calibration"][0]["gold_passed"], found["calibration"][0]["stub_passed"]) == (3, 0)
    assert [r["task_id"] for r in lines(place / "strict" / "gold" / "stubs.jsonl")] == ["s/0", "s/1", "s/2"]
    written = lines(place / "strict" / "gold-samples" / "stubs.solutions.jsonl")
    assert written[2]["solution"] == "def f(x):\n" + GOOD


def test_chosen_tasks_chosen_k_and_samples_that_are_hidden(place):
    rows = [{"task_id": "t/5", "completion": f"def f(x):\n    return x + {i}\n"} for i in range(5)]
    (place / "five.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--samples", "five.jsonl", "--benchmarks", "tasks.jsonl", "--output-dir", "five", "--pass-at", "1", "5"]
    evaluate(place, *flags, "--tasks", "t/3-7")
    (row,) = results(place / "five")["results"]
    assert (row["tasks"], row["of"], row["pass@k"]) == (5, TASKS, {"1": pytest.approx(0.2), "5": 1.0})
    done = evaluate(place, *flags, "--tasks", "t/0-4")
    assert (
        "five.jsonl: its samples are of 1 of the 60 tasks of tasks, and none of these is among the 5 that --tasks "
        "and --limit leave"
    ) in done.stdout


def test_a_base_model_is_evaluated_by_direct_completion(place):
    evaluate(
        place,
        *"--models sft --benchmarks tasks.jsonl --output-dir direct --limit 4 --max-completion-length 8".split(),
        *"--prompt-style completion".split(),
    )
    assert results(place / "direct")["settings"]["prompt_style"] == "completion"
    for record in lines(place / "direct" / "sft" / "tasks.jsonl"):
        assert record["prompt"].startswith('"""\n') and "<|im_start|>" not in record["prompt"]


def test_help_and_refusals_load_nothing_heavy(place):
    probe = (
        "import sys, runpy; sys.argv = ['evaluate_models.py', '--models', './nowhere'];\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r})\n"
        f"try: runpy.run_path({SCRIPT!r}, run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 2\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'numpy', 'scipy', 'tqdm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=place, env=environment(), capture_output=True, text=True)
    assert done.stdout.endswith("[]\n"), done.stdout + done.stderr
    assert "--max-completion-length" in evaluate(place, "--help").stdout

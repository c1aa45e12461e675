"""The script as people start it: templates, a scripted server with good and bad answers, faults, stops and resumes."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.paths import ROOT, SCRIPTS
from helpers.scripted_server import Fault, ScriptedServer
from raccoon.constants import InputError
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import Task, read_task_file, write_task_file
from raccoon.tasks.templates import generate_tasks

DATE = "2026-01-01"
GOOD = [
    {
        "prompt": "Return how many of the readings lie strictly above the limit.",
        "entry_point": "count_above",
        "solution": "def count_above(xs, limit):\n    return sum(1 for x in xs if x > limit)\n",
        "tests": [
            "assert count_above([1, 2, 3], 2) == 1",
            "assert count_above([], 0) == 0",
            "assert count_above([5, 5, 6], 5) == 1",
            "assert count_above([7, 8], 1) == 2",
        ],
    },
    {
        "prompt": "A ledger starts at zero; deposits add, negative entries withdraw. Give the lowest balance "
        "ever seen.",
        "entry_point": "lowest",
        "solution": "def lowest(entries):\n    balance = least = 0\n    for entry in entries:\n        balance "
        "+= entry\n"
        "        if balance < least:\n            least = balance\n    return least\n",
        "tests": [
            "assert lowest([]) == 0",
            "assert lowest([5, -7, 1, -9]) == -10",
            "assert lowest([1, 2]) == 0",
            "assert lowest([-3, 2]) == -3",
        ],
    },
    {
        "prompt": "Encode a word by writing each run of equal letters as the letter and the run's length.",
        "entry_point": "encode",
        "solution": "def encode(word):\n    out, run = '', 0\n    for i, letter in enumerate(word):\n        run += 1\n"
        "        if i + 1 == len(word) or word[i + 1] != letter:\n            out += letter + str(run)\n"
        "            run = 0\n    return out\n",
        "tests": ["assert encode('') == ''", "assert encode('aaab') == 'a3b1'", "assert encode('abba') == 'a1b2a1'"],
    },
]
FIRST = GOOD[0]
BAD = {  # the reason in the table -> what the server says
    "the answer is not one JSON object": "Sorry, I cannot do that.",
    "the answer has other fields than asked for": json.dumps({"task": "x"}),
    "the solution is not Python": json.dumps({**FIRST, "solution": "def count_above(xs limit): pass"}),
    "a test is not one assert": json.dumps({**FIRST, "tests": ["import os", *FIRST["tests"]]}),
    "the solution fails (wrong)": json.dumps({**FIRST, "tests": ["assert count_above([1], 0) == 9", *FIRST["tests"]]}),
    "the solution fails (timeout)": json.dumps(
        {**FIRST, "solution": "def count_above(xs, limit):\n    while True:\n        pass\n"}
    ),
    "a stub passes": json.dumps({**FIRST, "tests": [f"assert count_above([], {i}) == 0" for i in range(3)]}),
    "weak tests: mutants survive": json.dumps(
        {
            **FIRST,
            "tests": [  # none at the limit
                "assert count_above([1, 5], 3) == 1",
                "assert count_above([], 0) == 0",
                "assert count_above([7, 8], 1) == 2",
            ],
        }
    ),
    "duplicate: the same text": json.dumps(GOOD[1]),
    "duplicate: the same solution": json.dumps(
        {
            **GOOD[1],
            "prompt": "Quite another story with no word of it.",
            "entry_point": "deepest",
            "solution": GOOD[1]["solution"].replace("lowest", "deepest").replace("entries", "steps"),
            "tests": [test.replace("lowest", "deepest") for test in GOOD[1]["tests"]],
        }
    ),
    "duplicate: a similar prompt": json.dumps(
        {
            **GOOD[1],
            "prompt": GOOD[1]["prompt"].replace("ever seen", "ever"),
            "solution": GOOD[1]["solution"].replace("balance < least", "least > balance"),
        }
    ),
}


def start(*words, **settings):
    command = [sys.executable, str(SCRIPTS / "create_synthetic_data.py"), "--date", DATE, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, **settings)


def asking(server, output, *words):
    """The flags of a run that asks a scripted server."""
    return [
        "--backend",
        "vllm",
        "--base-url",
        server.url,
        "--model",
        "scripted",
        "--output",
        output,
        "--allow-unchecked",
        "--data-dir",
        "nowhere",
        "--sandbox-workers",
        1,
        "--broken-retries",
        0,
        "--max-retries",
        1,
        *words,
    ]


def table(text):
    """The rows of the printed table."""
    return {name: int(number) for name, number in re.findall(r"^\| (.+) \| (\d+) \|$", text, re.M)}


def is_probe(body):
    return "Say OK" in body["messages"][0]["content"]


def in_turns(texts):
    """A script that gives each text to one question, by the seed that numbers them."""
    return lambda body: "OK" if is_probe(body) else texts[body["seed"] % len(texts)]


def test_templates_are_the_same_by_seed_and_every_record_passes_again(tmp_path):
    first, second, other = (tmp_path / f"{name}.jsonl" for name in "abc")
    for path, seed in ((first, 5), (second, 5), (other, 6)):
        done = start("--num-samples", 20, "--output", path, "--seed", seed)
        assert done.returncode == 0, done.stderr
        assert "not compared with any benchmark" in done.stdout
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()
    tasks = read_task_file(first)
    assert len(tasks) > 12
    with Sandbox(workers=1) as sandbox:
        verdicts = sandbox.run(Program.of(task, task.solution) for task in tasks)
    assert {verdict.status for verdict in verdicts} == {"PASS"}
    origin = json.loads(tasks[0].origin)
    assert origin.items() >= {"backend": "templates", "mode": "tasks", "date": DATE, "seed": 5}.items()
    assert origin["mutants_killed"] >= 0.8 and (SCRIPTS / origin["prompt"]).is_file()


def test_exactly_the_good_records_of_a_server_are_kept(tmp_path):
    texts = [*map(json.dumps, GOOD), *BAD.values()]
    with ScriptedServer(in_turns(texts)) as server:
        done = start(
            *asking(server, tmp_path / "o.jsonl", "--num-samples", len(texts), "--price-input", 2, "--price-output", 10)
        )
    assert done.returncode == 0, done.stderr
    kept = read_task_file(tmp_path / "o.jsonl")
    assert [task.solution for task in kept] == [row["solution"] for row in GOOD]
    assert table(done.stdout) == {"kept": len(GOOD), **dict.fromkeys(BAD, 1), "all": len(texts)}
    origin = json.loads(kept[0].origin)
    assert origin.items() >= {"backend": "vllm", "model": "scripted", "date": DATE, "seed": 0}.items()
    assert len({json.loads(task.origin)["prompt"] for task in kept}) == len(GOOD)
    assert "98 tokens sent, 42 received, cost 0.0006" in done.stdout


def test_a_benchmark_task_is_dropped(tmp_path, data_dir):
    stolen = {
        "prompt": "Write a function to find the similar elements from the given two tuple lists.",
        "entry_point": "shared",
        "solution": "def shared(a, b):\n    return sorted(x for x in set(a) if x in b)\n",
        "tests": [
            "assert shared((3, 4, 5, 6), (5, 7, 4, 10)) == [4, 5]",
            "assert shared((), (1,)) == []",
            "assert shared((1, 2), (1,)) == [1]",
        ],
    }
    (tmp_path / "mbpp").symlink_to(data_dir / "mbpp")  # the other benchmarks take long to read
    with ScriptedServer(in_turns([json.dumps(GOOD[0]), json.dumps(stolen)])) as server:
        done = start(*asking(server, tmp_path / "o.jsonl", "--num-samples", 2, "--data-dir", tmp_path))
    assert done.returncode == 0, done.stderr
    assert "not compared with humaneval" in done.stdout
    assert {"kept": 1, "contaminated: like mbpp_full": 1}.items() <= table(done.stdout).items()


def test_without_the_benchmarks_a_server_is_not_asked(tmp_path):
    with ScriptedServer(in_turns(["x"])) as server:
        done = start(*asking(server, tmp_path / "o.jsonl", "--no-allow-unchecked"))
    assert done.returncode == 2 and "--allow-unchecked" in done.stderr and server.requests == []
    assert all(f"{name} (" in done.stderr for name in ("humaneval", "cruxeval"))  # all that is missing, at once
    assert "_hard" not in done.stderr  # a part of BigCodeBench


def known_tasks(path):
    tasks = [
        Task(
            "known/1",
            "Count the readings above the limit.",
            "\n".join(FIRST["tests"]),
            "count_above",
            solution=FIRST["solution"],
        ),
        *generate_tasks(1, seed=0),
    ]
    write_task_file(path, tasks)
    return tasks


NEW = "def count_above(readings, limit):\n    return len([r for r in readings if r > limit])\n"


def test_solutions_are_new_ones_that_pass_the_known_test(tmp_path):
    known = known_tasks(tmp_path / "known.jsonl")
    wrong = NEW.replace(" > ", " < ")
    texts = [f"```python\n{code}```" for code in (NEW, FIRST["solution"], wrong)]
    answers = iter(texts)

    def script(body):
        if is_probe(body):
            return "OK"
        return next(answers) if body["messages"][0]["content"] == known[0].prompt else "no idea"

    with ScriptedServer(script) as server:
        done = start(
            *asking(
                server,
                tmp_path / "o.jsonl",
                "--mode",
                "solutions",
                "--num-samples",
                6,
                "--concurrency",
                1,
                "--input-tasks",
                tmp_path / "known.jsonl",
            )
        )
    assert done.returncode == 0, done.stderr
    assert [task.solution.strip() for task in read_task_file(tmp_path / "o.jsonl")] == [NEW.strip()]
    assert table(done.stdout) == {
        "kept": 1,
        "the answer holds no code": 3,
        "duplicate: the same solution": 1,
        "the solution fails (wrong)": 1,
        "all": 6,
    }


def test_trajectories_are_the_prompt_and_the_verified_answer(tmp_path):
    known = known_tasks(tmp_path / "known.jsonl")
    answer = f"Count them.\n\n```python\n{FIRST['solution']}```"
    with ScriptedServer(in_turns([answer, "no idea"])) as server:
        done = start(
            *asking(
                server,
                tmp_path / "o.jsonl",
                "--mode",
                "trajectories",
                "--num-samples",
                2,
                "--input-tasks",
                tmp_path / "known.jsonl",
            )
        )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [row["messages"] for row in rows] == [
        [{"role": "user", "content": known[0].prompt}, {"role": "assistant", "content": answer}]
    ]


def conversations(path):
    return [[each["content"] for each in json.loads(line)["messages"]] for line in path.read_text().splitlines()]


def shown_task(path, visible):
    """A file with one task whose model may see some of its tests."""
    task = Task(
        "known/1",
        "Count the readings above the limit.",
        "\n".join(FIRST["tests"]),
        "count_above",
        visible_tests=visible,
    )
    write_task_file(path, [task])
    return task


def repairing(server, tmp_path, number, *words):
    more = ["--mode", "trajectories", "--turns", 2, "--input-tasks", tmp_path / "known.jsonl", "--num-samples", number]
    return start(*asking(server, tmp_path / "o.jsonl", *more, *words))


def test_a_server_repairs_what_the_sandbox_faults(tmp_path):
    known = shown_task(tmp_path / "known.jsonl", FIRST["tests"][0])
    right = f"```python\n{FIRST['solution']}```"
    wrong = right.replace(" > ", " >= ")  # fails the visible test
    hidden = right.replace("> limit", "> limit and x != 6")  # fails another one, so nothing is said
    firsts = [wrong, right, hidden, wrong.replace("sum", "no_name"), "no idea", wrong.replace("xs)", "xs )")]

    def script(body):
        said = [message["content"] for message in body["messages"]]
        if is_probe(body) or len(said) == 1:
            return "OK" if is_probe(body) else firsts[body["seed"]]
        assert said[:2] == [known.prompt, firsts[body["seed"]]] and "```python block" in said[2]
        return "I give up." if body["seed"] == 5 else right

    with ScriptedServer(script) as server:
        done = repairing(server, tmp_path, 6)
        assert done.returncode == 0, done.stderr
        text, asked = (tmp_path / "o.jsonl").read_bytes(), len(server.requests)
        assert repairing(server, tmp_path, 6).returncode == 0  # asks and runs nothing again
        assert len(server.requests) == asked == 1 + 6 + 1 + 4 and (tmp_path / "o.jsonl").read_bytes() == text
        talks = conversations(tmp_path / "o.jsonl")
        rows = [json.loads(line) for line in text.splitlines()]
        assert table(repairing(server, tmp_path, 6, "--only-repairs").stdout)["solved at once"] == 1
        assert conversations(tmp_path / "o.jsonl") == [talk for talk in talks if len(talk) > 2]
    assert table(done.stdout) == {
        "kept, repaired": 3,
        "kept, solved at once": 1,
        "the solution fails (wrong)": 1,
        "the solution fails (no code)": 1,
        "all": 6,
    }
    assert [talk[1] for talk in talks] == [firsts[0], right, firsts[3], firsts[4]]
    assert talks[1] == [known.prompt, right] and {talk[-1] for talk in talks} == {right}
    assert FIRST["tests"][0] in talks[0][2] and "NameError" in talks[2][2]
    hidden_tests = FIRST["tests"][1:]
    assert not [test for talk in talks for message in talk for test in hidden_tests if test in message]
    assert [json.loads(row["origin"])["turns"] for row in rows] == [2, 1, 2, 2]
    assert len({row["task_id"] for row in rows}) == 4


def test_a_server_that_dies_between_two_turns_is_asked_for_the_second_ones_alone(tmp_path):
    shown_task(tmp_path / "known.jsonl", FIRST["tests"][0])
    right = f"```python\n{FIRST['solution']}```"

    def script(body):
        if is_probe(body) or len(body["messages"]) > 1:
            return "OK" if is_probe(body) else right
        return f"{body['seed']}: {right.replace(' > ', ' >= ')}"

    def dying(body):
        if len(body["messages"]) > 1 and body["seed"] > 0:
            raise Fault("drop")
        return script(body)

    with ScriptedServer(dying) as server:
        done = repairing(server, tmp_path, 7, "--concurrency", 1)
        assert done.returncode == 1 and "stopped answering" in done.stderr
        server.script, before = script, len(server.requests)
        done = repairing(server, tmp_path, 7, "--concurrency", 1)
    assert done.returncode == 0 and table(done.stdout)["kept, repaired"] == 7
    asked = [(len(body["messages"]), body["seed"]) for body in server.requests[before:] if not is_probe(body)]
    assert asked == [(3, seed) for seed in range(1, 7)]


def test_one_turn_leaves_nothing_of_several(tmp_path):
    shown_task(tmp_path / "known.jsonl", FIRST["tests"][0])
    with ScriptedServer(in_turns([f"```python\n{FIRST['solution']}```"])) as server:
        done = repairing(server, tmp_path, 1, "--turns", 1)
    assert done.returncode == 0 and table(done.stdout) == {"kept": 1, "all": 1}
    assert "turns" not in json.loads((tmp_path / "o.jsonl").read_text())["origin"]
    assert not (tmp_path / "o.jsonl.feedback.jsonl").exists()


def test_mutants_are_repaired_without_a_server(tmp_path):
    write_task_file(
        tmp_path / "known.jsonl", [replace(known_tasks(tmp_path / "k.jsonl")[0], visible_tests=FIRST["tests"][0])]
    )
    words = ["--backend", "mutants", "--mode", "trajectories", "--turns", 2, "--input-tasks", tmp_path / "known.jsonl"]
    outputs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for output in outputs:
        done = start(*words, "--num-samples", 6, "--output", output, "--sandbox-workers", 1)
        assert done.returncode == 0, done.stderr
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    counts = table(done.stdout)
    assert counts["kept, repaired"] > 1 and counts["all"] == 6 and counts["kept, solved at once"] == 0
    for asked, wrong, told, right in conversations(outputs[0]):
        assert wrong != right == f"```python\n{FIRST['solution'].strip()}\n```" and "Count the readings" in asked
        assert FIRST["tests"][0] in told
    row = json.loads(outputs[0].read_text().splitlines()[0])
    origin = json.loads(row["origin"])
    assert origin["backend"] == "mutants" and "mutant" in origin["model"] and (SCRIPTS / origin["prompt"]).is_file()


def test_harder_starts_from_what_is_always_solved(tmp_path):
    known = known_tasks(tmp_path / "known.jsonl")
    profile = [
        {"step": 0, "task_id": task.task_id, "samples": 4, "pass_rate": rate, "correctness": []}
        for task, rate in zip(known, (1.0, 0.5), strict=True)
    ]
    (tmp_path / "profile.jsonl").write_text("".join(json.dumps(row) + "\n" for row in profile))
    repeated = {**FIRST, "prompt": "Something else entirely, in other words."}
    with ScriptedServer(in_turns([json.dumps(GOOD[1]), json.dumps(repeated)])) as server:
        done = start(
            *asking(
                server,
                tmp_path / "o.jsonl",
                "--mode",
                "harder",
                "--num-samples",
                2,
                "--input-tasks",
                tmp_path / "known.jsonl",
                "--profile",
                tmp_path / "profile.jsonl",
            )
        )
    assert done.returncode == 0, done.stderr
    assert table(done.stdout) == {"kept": 1, "duplicate: the same solution": 1, "all": 2}
    asked = [body["messages"][0]["content"] for body in server.requests if not is_probe(body)]
    assert len(asked) == 2 and all(json.dumps(known[0].prompt) in text for text in asked)


def test_a_broken_answer_is_asked_for_again_with_another_seed(tmp_path):
    def script(body):
        return "OK" if is_probe(body) else json.dumps(GOOD[body["seed"] % 3]) if body["seed"] > 1000 else "nonsense"

    with ScriptedServer(script) as server:
        done = start(*asking(server, tmp_path / "o.jsonl", "--num-samples", 3, "--broken-retries", 1))
    assert done.returncode == 0, done.stderr
    assert table(done.stdout) == {"kept": 3, "all": 3}


def test_faults_that_pass_are_tried_again_and_those_that_stay_are_counted(tmp_path):
    seen = {}

    def script(body):
        seed = body.get("seed", -1)
        seen[seed] = seen.get(seed, 0) + 1
        if seed == 0 and seen[seed] == 1:
            raise Fault("status", 429, "slow down", {"Retry-After": "0"})
        if seed == 1 and seen[seed] == 1:
            raise Fault("status", 500, "oops")
        if seed == 2 and seen[seed] == 1:
            raise Fault("half")
        if seed == 3:
            raise Fault("status", 503, "never")
        return "OK" if is_probe(body) else json.dumps(GOOD[seed % 3])

    with ScriptedServer(script) as server:
        done = start(*asking(server, tmp_path / "o.jsonl", "--num-samples", 4))
        assert done.returncode == 0, done.stderr
        [fault] = [name for name in table(done.stdout) if name.startswith("no answer: HTTP 503")]
        assert table(done.stdout) == {"kept": 3, fault: 1, "all": 4}
        server.script = in_turns([json.dumps(GOOD[0])])
        before = len(server.requests)
        again = start(*asking(server, tmp_path / "o.jsonl", "--num-samples", 4))
    assert table(again.stdout) == {"kept": 3, "duplicate: the same text": 1, "all": 4}
    assert [body["seed"] for body in server.requests[before:] if not is_probe(body)] == [3]


def test_nonsense_alone_writes_no_file(tmp_path):
    with ScriptedServer(in_turns(["lorem ipsum"])) as server:
        done = start(*asking(server, tmp_path / "o.jsonl", "--num-samples", 5))
    assert done.returncode == 1 and "nothing was kept" in done.stderr and not (tmp_path / "o.jsonl").exists()
    assert table(done.stdout) == {"kept": 0, "the answer is not one JSON object": 5, "all": 5}


def test_an_empty_task_file_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(InputError, match="holds no task"):
        read_task_file(tmp_path / "empty.jsonl")


def test_sigkill_half_way_repeats_no_request_that_was_answered(tmp_path):
    output, number = tmp_path / "o.jsonl", 500
    with ScriptedServer(in_turns([json.dumps(GOOD[0]), "nonsense", "more of it"]), delay=0.005) as server:
        words = [str(word) for word in asking(server, output, "--num-samples", number, "--concurrency", 4)]
        command = [sys.executable, str(SCRIPTS / "create_synthetic_data.py"), *words]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
        limit = time.monotonic() + 60
        while len(server.requests) < number // 2 and time.monotonic() < limit:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        answered = Path(f"{output}.answers.jsonl").read_text().count("\n")
        first = [body["seed"] for body in server.requests if not is_probe(body)]
        assert number // 2 - 10 <= answered < number and not output.exists()
        done = start(*words)
        second = [body["seed"] for body in server.requests if not is_probe(body)][len(first) :]
    assert done.returncode == 0, done.stderr
    assert len(second) == number - answered and len(set(first) & set(second)) <= 4  # under way when it was killed
    assert sorted({*first, *second}) == list(range(number))
    assert table(done.stdout)["kept"] == 1 and table(done.stdout)["all"] == number


def test_a_finished_run_asks_and_runs_nothing_again(tmp_path):
    with ScriptedServer(in_turns([json.dumps(GOOD[0])])) as server:
        assert start(*asking(server, tmp_path / "o.jsonl", "--num-samples", 1)).returncode == 0
        before, text = len(server.requests), (tmp_path / "o.jsonl").read_bytes()
        done = start(*asking(server, tmp_path / "o.jsonl", "--num-samples", 1))
    assert done.returncode == 0 and len(server.requests) == before and "verified 1" not in done.stdout
    assert (tmp_path / "o.jsonl").read_bytes() == text


def test_a_server_that_dies_leaves_what_it_has_answered(tmp_path):
    with ScriptedServer(in_turns([json.dumps(GOOD[0])])) as server:

        def script(body):
            if body.get("seed", 0) > 5:
                raise Fault("drop")
            return "OK" if is_probe(body) else json.dumps(GOOD[0])

        server.script = script
        done = start(*asking(server, tmp_path / "o.jsonl", "--num-samples", 40, "--concurrency", 2))
    assert done.returncode == 1 and len(done.stderr.strip().split("error: ")) == 2
    assert "stopped answering" in done.stderr and "the same command again" in done.stderr
    assert (tmp_path / "o.jsonl.answers.jsonl").read_text().count("\n") == 6


BAD_INPUT = [
    (["--backend", "nvidea"], "no BACKEND 'nvidea'; choose from templates"),
    (["--mode", "all"], "no MODE 'all'"),
    (["--num-samples", 0], "NUM_SAMPLES is 0"),
    (["--num-samples", 10**6], "the templates make at most"),
    (["--backend", "openai", "--api", "x"], "no flag --api"),
    (["--backend", "openai"], "set the environment variable OPENAI_API_KEY"),
    (["--backend", "vllm"], "--model"),
    (["--backend", "vllm", "--model", "m", "--base-url", "localhost"], "base URL"),
    (["--base-url", "http://localhost:1/v1"], "--backend"),
    (["--backend", "vllm", "--model", "m", "--mode", "harder"], "--input-tasks"),
    (["--backend", "vllm", "--model", "m", "--mode", "solutions", "--input-tasks", "README.md"], "not JSON"),
    (["--turns", 2], "MODE tasks makes no conversations"),
    (["--turns", 0], "TURNS is 0"),
    (["--backend", "mutants", "--mode", "trajectories", "--input-tasks", "x"], "--turns 2"),
    (["--mode", "trajectories", "--turns", 2, "--max-feedback", 100], "MAX_FEEDBACK is 100"),
    (["--only-repairs"], "ONLY_REPAIRS needs"),
    (["--output", "README.md"], "this script did not write it"),
    (["--output", "README.md/o.jsonl"], "cannot write"),
    (["--data-dir", "nowhere"], "nowhere"),
]


@pytest.mark.parametrize("words, message", BAD_INPUT, ids=[message for _, message in BAD_INPUT])
def test_bad_input_is_one_line(tmp_path, monkeypatch, words, message):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    done = start(*([] if "--output" in words else ["--output", tmp_path / "o.jsonl"]), *words)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "o.jsonl").exists()


@pytest.mark.parametrize(
    "words, message",
    [(["--model", "other"], "does not exist"), (["--base-url", "http://127.0.0.1:9/v1"], "start the server")],
)
def test_a_wrong_model_or_address_is_one_line(tmp_path, words, message):
    with ScriptedServer(in_turns(["x"])) as server:
        done = start(*asking(server, tmp_path / "o.jsonl"), *words)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and last.startswith("error: ") and message in last
    assert "Traceback" not in done.stderr


def test_a_ledger_of_another_schema_is_refused_and_left_alone(tmp_path):
    side = tmp_path / "o.jsonl.checks.jsonl"
    side.write_text('{"task_id": "a", "prompt": "p", "test": "t"}\n')
    done = start("--output", tmp_path / "o.jsonl")
    assert done.returncode == 2 and "line 1" in done.stderr and side.read_text().startswith('{"task_id"')

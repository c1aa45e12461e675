"""The training script with several turns, on a random model: what it writes, resumes, and does in two processes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import scripted_judges, warm_python
from helpers.paths import ROOT
from helpers.scripted_server import ScriptedServer
from helpers.training_runs import SCRIPT, furnish, lines, outcome, run, small_run
from raccoon.tasks.task import read_task_file, write_task_file

DRIVER = ROOT / "tests" / "helpers" / "rank_free_sampling.py"
TURNS = ("--max-turns", "2", "--max-feedback", "300")
STEPS = ("--max-steps", "4", "--save-steps", "2", "--heldout-every", "2")


def show_first_assert(path: Path) -> None:
    """Makes the first assert of each task one that the model may see."""
    tasks = [replace(task, visible_tests=task.test.splitlines()[0] + "\n") for task in read_task_file(path)]
    path.unlink()
    write_task_file(path, tasks)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = furnish(tmp_path_factory.mktemp("turns"), train=12, heldout=3)
    for name in ("train.jsonl", "heldout.jsonl"):
        show_first_assert(folder / name)
    return folder


@pytest.fixture(scope="module")
def straight(place) -> Path:
    """The output of a run of two turns that nothing stopped."""
    done = run(place, "straight", *TURNS, *STEPS)
    assert done.returncode == 0, done.stderr
    (place / "straight.log").write_text(done.stdout + done.stderr)
    return place / "straight"


def test_a_run_logs_every_answer_and_what_it_was_told(straight):
    records = lines(straight / "completions.jsonl")
    told = [record for record in records if len(record["turns"]) == 2]
    assert told and len(told) < len(records)
    for record in records:
        first, last = record["turns"][0], record["turns"][-1]
        assert record["completion"] == last["completion"] and record["verdict"] == last["verdict"]
        assert record["tokens"] == sum(turn["tokens"] for turn in record["turns"])
        assert last["feedback"] == "" and "feedback" not in first["verdict"]
        late = 0.9 if len(record["turns"]) == 2 and record["reward"] > 0 else 1
        status = "FAIL" if record["truncated"] else last["verdict"]["status"]
        assert record["reward"] == pytest.approx({"PASS": 1.1, "PARTIAL": 0.3, "FAIL": -0.4}[status] * late)
        if record in told:
            assert not first["truncated"] and len(first["feedback"]) <= 300
            assert first["verdict"]["status"] != "PASS"
        else:
            assert first["truncated"] or first["verdict"]["status"] == "PASS"


def test_a_run_logs_what_each_turn_gains(straight):
    records, text = lines(straight / "completions.jsonl"), (straight.parent / "straight.log").read_text()
    for step, logged in enumerate(lines(straight / "metrics.jsonl"), 1):
        drawn = [record for record in records if record["step"] == step]
        used = [record for record in drawn if record["used"]]
        passed = [record["verdict"]["status"] == "PASS" and not record["truncated"] for record in used]
        at_once = sum(each and len(record["turns"]) == 1 for each, record in zip(passed, used, strict=True))
        assert logged["pass_by_turn"] == pytest.approx([at_once / 16, sum(passed) / 16])
        assert logged["pass_by_turn"][-1] == logged["pass_rate"]
        assert logged["turns_mean"] == pytest.approx(sum(len(record["turns"]) for record in drawn) / len(drawn))
        assert logged["cut_at_first"] == pytest.approx(
            sum(record["turns"][0]["truncated"] for record in drawn) / len(drawn)
        )
        first, gain = logged["pass_by_turn"][0], logged["pass_rate"] - logged["pass_by_turn"][0]
        assert f"solved {first:.0%} + {gain:.0%}  reward" in text
    assert all(record["passed_at_first"] <= record["passed"] for record in lines(straight / "heldout.jsonl"))
    assert "with the first answer" in text and "turns    at most 2" in text
    assert "experimental" not in text and "Traceback" not in text


def test_a_resumed_run_is_bit_for_bit_the_same(place, straight):
    assert run(place, "resumed", *TURNS, *STEPS, "--max-steps", "2").returncode == 0
    done = run(place, "resumed", *TURNS, *STEPS)
    assert done.returncode == 0 and "resume   resumed/checkpoint-2" in done.stdout, done.stderr
    assert outcome(place / "resumed") == outcome(straight)


def test_two_processes_learn_what_one_does(place):
    """Their conversations end at different turns, and none waits for the other where the other does not come."""
    torch, safetensors = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    words = [str(DRIVER), *small_run("one", "", *TURNS, "--max-steps", "3", "--gradient-accumulation", "4")]
    two = [str(DRIVER), *small_run("two", "", *TURNS, "--max-steps", "3", "--gradient-accumulation", "2")]
    for done in (warm_python.run(words, place), warm_python.run(two, place, processes=2)):
        assert done.returncode == 0, done.stderr
    kept = [
        sorted((r["step"], r["task_id"], len(r["turns"]), r["completion"], round(r["advantage"], 5)) for r in records)
        for records in (lines(place / name / "completions.jsonl") for name in ("one", "two"))
    ]
    assert kept[0] == kept[1] and len({advantage for *_, advantage in kept[0]}) > 2
    turns = [[len(r["turns"]) for r in lines(place / "two" / "completions.jsonl")][8 * half :][:8] for half in range(6)]
    assert any(sum(turns[i]) != sum(turns[i + 1]) for i in (0, 2, 4))
    first, second = (safetensors.load_file(place / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=1e-4, atol=1e-5)


def test_a_process_waits_while_only_the_other_goes_on(place):
    one_row = ("--batch-size", "1", "--gradient-accumulation", "1", "--num-generations", "2", "--max-steps", "8")
    words = [str(SCRIPT), *small_run("one_row", "", *TURNS, *one_row, "--savings", "generation")]
    done = warm_python.run(words, place, processes=2)
    assert done.returncode == 0, done.stderr
    turns = [len(record["turns"]) for record in lines(place / "one_row" / "completions.jsonl")]
    assert any(sum(turns[step : step + 2]) == 3 for step in range(0, 16, 2))


@pytest.mark.parametrize(
    "flags",
    [
        ("--savings", "generation", "rows", "prompts"),
        ("--use-lora", "--savings", "generation", "fence", "--max-refills", "2"),
        ("--mask-truncated", "--num-iterations", "2", "--beta", "0.1", "--scale-rewards", "batch"),
        ("--profile-samples", "8", "--max-constant-share", "1", "--max-turns", "3"),
    ],
    ids=["savings", "lora", "objective", "profile"],
)
def test_other_settings_run(place, flags):
    output = flags[0].strip("-")
    shutil.rmtree(place / output, ignore_errors=True)
    done = run(place, output, *TURNS, *STEPS, "--heldout-temperature", "0.7", *flags)
    assert done.returncode == 0, done.stderr
    most = max(len(record["turns"]) for record in lines(place / output / "completions.jsonl"))
    assert most == (3 if "3" in flags[-1:] else 2)


def test_a_judge_judges_the_last_answer(place):
    with ScriptedServer(scripted_judges.honest) as server:
        judge = ("--reward", "both", "--judge-model", "scripted", "--judge-base-url", server.url)
        done = run(place, "judged", *TURNS, "--max-steps", "2", "--heldout", "", *judge)
    assert done.returncode == 0, done.stderr
    records = lines(place / "judged" / "completions.jsonl")
    assert {len(record["turns"]) for record in records} == {1, 2}
    for record in records:
        score = 0.0 if record["truncated"] else record["judgement"]["score"]
        worth = -0.5 + 1.5 * score
        late = 0.9 if len(record["turns"]) == 2 and worth > 0 else 1
        assert record["reward_parts"]["judge"] == pytest.approx(worth * late)


def test_a_dry_run_counts_whole_conversations(place):
    done = run(place, "dry", *TURNS, "--dry-run", "--max-prompt-length", "20")
    assert done.returncode == 0, done.stderr
    longest = 20 + 2 * 3 + 300 + 5  # two answers, the feedback, and <|im_end|> <|im_start|> <|im_end|> <|im_start|>
    assert f"probe    a pass of 4 x {longest - 1} tokens" in done.stdout


def test_what_cannot_converse_is_refused_before_a_task_is_checked(place):
    refusals = [
        (("--max-turns", "2", "--max-feedback", "299"), "MAX_FEEDBACK is 299 characters"),
        (("--max-turns", "2", "--turn-discount", "0"), "TURN_DISCOUNT is 0"),
        (("--max-turns", "3", "--max-feedback", "400"), "exceed the model's context of 640 with every task"),
    ]
    once = place / "once"
    shutil.copytree(place / "model", once)
    path = once / "tokenizer_config.json"
    config = json.loads(path.read_text())
    template = once / "chat_template.jinja"
    only = "{% if messages|length > 2 %}{{ raise_exception('only one message') }}{% endif %}"
    if template.exists():
        template.write_text(only + template.read_text())
    else:
        path.write_text(json.dumps({**config, "chat_template": only + config["chat_template"]}))
    refusals.append((("--max-turns", "2", "--model-path", "once"), "takes no second message of a user"))
    for flags, words in refusals:
        done = run(place, "refused", "--heldout", "", *flags)
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert not (place / "refused").exists()

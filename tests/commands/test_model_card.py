"""The model card: that the hub's own reader takes it, that it says what the logs say, and that it tells no path."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.utils import validate_repo_id

import model_card
from helpers import warm_python
from helpers.run_folders import check, completion, metrics, write_lines, write_run
from raccoon.constants import InputError
from raccoon.reporting.logs import LoggedTask, read_run
from raccoon.tasks.task import Task, write_task_file

SCRIPT = Path(model_card.__file__)
HUB_ID = "Qwen/Qwen2.5-Coder-14B-Instruct"
HOSTILE = "a`|<script>alert(1)</script>\n---\nlicense: mit\n[x](javascript:1)"


def write_finished(folder: Path, tasks: list[Task] | None = None, **constants) -> Path:
    """A run with a model, tasks and two held-out checks."""
    given = {"MODEL_PATH": HUB_ID, "HELDOUT": "mbpp_full", "REWARD_PASS": 1.0, "LEARNING_RATE": 5e-6, **constants}
    write_run(folder, **given)
    (folder / "model.safetensors").write_bytes(b"weights")
    write_lines(folder / "heldout.jsonl", [check(0, 4), check(10, 14)])
    write_task_file(
        folder / "tasks.jsonl",
        tasks
        or [
            Task("HumanEval/0", "p", "assert f()", source="humaneval", split="test"),
            *(Task(f"Mbpp/{number}", "p", "assert f()", source="mbpp", split="train") for number in (601, 602)),
        ],
    )
    return folder


def write_card(folder: Path) -> ModelCard:
    """What the script writes, as the hub's own library reads it."""
    done = warm_python.run([str(SCRIPT), str(folder)], folder)
    assert done.returncode == 0, done.stderr
    return ModelCard.load(folder / "README.md")


def test_hub_library_reads_the_metadata(tmp_path):
    data = write_card(write_finished(tmp_path / "my-run")).data.to_dict()
    assert data["base_model"] == HUB_ID and data["model_name"] == "my-run"
    assert data["datasets"] == ["google-research-datasets/mbpp", "openai/openai_humaneval"]
    assert (data["library_name"], data["pipeline_tag"]) == ("transformers", "text-generation")
    for name in (data["base_model"], *data["datasets"]):
        validate_repo_id(name)


def test_card_says_what_was_seen_and_what_was_reached(tmp_path):
    options = {"GRPO_OPTIONS": {"entropy_coef": 0.001}, "LORA_OPTIONS": {}}
    text = write_card(write_finished(tmp_path / "run", **options)).text
    assert "| GRPO_OPTIONS entropy_coef | 0.001 |" in text and "LORA_OPTIONS" not in text
    assert "| humaneval | test | 1 |" in text and "| mbpp | train | 2 |" in text
    assert "(humaneval, mbpp, HumanEval+, MBPP+)" in text
    assert "20 other tasks of mbpp_full" in text
    assert "| 0 | 20.0 % (4 of 20) | 10.0 % to 95.0 % |" in text and "| 10 | 70.0 % (14 of 20) |" in text
    assert "10 tasks gained and 0 lost, exact McNemar p = 0.002" in text
    assert "| LEARNING_RATE | 5e-06 |" in text


def test_card_counts_only_the_tasks_that_the_run_has_reached(tmp_path):
    tasks = [Task(f"t/{number}", "p", "assert f()", source=f"set{number}") for number in range(3)]
    folder = write_finished(tmp_path / "run", tasks)
    write_lines(folder / "completions.jsonl", [completion(1, 0), completion(1, 1, used=False)])
    text = write_card(folder).text
    assert "| set0 | - | 1 |" in text and "set1" not in text and "set2" not in text


def test_card_of_a_run_with_turns_says_what_a_turn_cost(tmp_path):
    given = {"MAX_TURNS": 2, "MAX_FEEDBACK": 1000, "TURN_DISCOUNT": 0.9}
    folder = write_finished(tmp_path / "run", **given)
    once = write_card(folder).text
    assert "MAX_TURNS" not in once and "answers" not in once
    write_lines(folder / "metrics.jsonl", [metrics(step, pass_by_turn=[0.3, 0.4]) for step in range(1, 13)])
    text = write_card(folder).text
    assert "up to 2 answers" in text and "reward by 0.9." in text and "| MAX_TURNS | 2 |" in text


@pytest.mark.parametrize("path", ["/home/jane.doe/models/sft", "~/models/sft", "./sft", "C:/Users/jane.doe/sft"])
def test_local_base_model_is_no_hub_id_and_its_place_stays_unknown(tmp_path, path):
    run = write_finished(
        tmp_path / "home-of-jane" / "run",
        MODEL_PATH=path,
        HELDOUT="/home/jane.doe/held.jsonl",
        OUTPUT_DIR=str(tmp_path),
        TRAIN_FILES=["/home/jane.doe/mine.jsonl"],
    )
    read = write_card(run)
    assert "base_model" not in read.data.to_dict()
    whole = (run / "README.md").read_text()
    assert "sft, trained further" in whole and "held.jsonl" in whole
    assert "jane" not in whole and str(tmp_path) not in whole


def test_folder_that_is_named_like_a_hub_id_is_none(tmp_path, monkeypatch):
    (tmp_path / "out" / "sft").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    run = read_run(write_finished(tmp_path / "run", MODEL_PATH="out/sft"))
    assert model_card.base_model(run) == ("sft", "")


def test_foreign_names_are_no_markup(tmp_path):
    tasks = [Task("t/0", "p", "assert f()", source=HOSTILE, split=HOSTILE)]
    read = write_card(write_finished(tmp_path / "räum e: {x}", tasks, MODEL_PATH=f"/x/{HOSTILE}", HELDOUT=HOSTILE))
    assert "license" not in read.data.to_dict()
    assert not re.search(r"[<`\[]|\n---", read.text)


def test_evaluation_beside_the_run_gets_into_the_card(tmp_path):
    run = write_finished(tmp_path / "run")
    score = {
        "model": "run",
        "path": str(run),
        "benchmark": "humaneval",
        "mode": "greedy",
        "n": 164,
        "samples": 164,
        "passed": 82,
        "pass@1": 0.5,
        "interval": [0.42, 0.58],
    }
    base = {**score, "model": "sft", "path": "/home/jane.doe/sft", "passed": 41, "pass@1": 0.25}
    row = {
        "benchmark": "humaneval",
        "mode": "greedy",
        "baseline": "sft",
        "candidate": "run",
        "n": 164,
        "gained": 50,
        "lost": 9,
        "difference": 0.25,
        "interval": [0.15, 0.35],
        "p": 1e-8,
        "p_holm": 2e-8,
        "sentence": "",
    }
    (tmp_path / "eval_results").mkdir()
    results = {"results": [base, score], "comparisons": [row]}
    (tmp_path / "eval_results" / "results.json").write_text(json.dumps(results))
    text = write_card(run).text
    assert "| humaneval | greedy | run | 164 | 50.0 % | 42.0 % to 58.0 % |" in text
    assert "run against sft on humaneval, greedy: +25.0 points" in text and "p = 2e-08" in text
    assert "jane" not in text


def test_run_without_control_or_tasks_says_so(tmp_path):
    folder = write_finished(tmp_path / "run")
    (folder / "heldout.jsonl").unlink()
    (folder / "tasks.jsonl").unlink()
    text = write_card(folder).text
    assert "Seen in training: not recorded" in text and "no held-out tasks were watched" in text
    assert "None" not in text.split("## Recipe")[1]


def test_unfinished_run_has_no_card(tmp_path, monkeypatch):
    monkeypatch.setattr(model_card, "RUN_DIR", str(write_run(tmp_path / "run")))
    with pytest.raises(InputError, match="no saved model yet"):
        model_card.main()


def test_recipe_names_constants_of_the_training_script():
    import train_rl_poc

    assert {*model_card.RECIPE, *model_card.TURNS_RECIPE} <= set(vars(train_rl_poc))
    assert asdict(LoggedTask("t")).keys() <= Task.__dataclass_fields__.keys()

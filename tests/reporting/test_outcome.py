"""The verdict on a run: a change is called real only if it is, in words that fit the measurement."""

import json
from pathlib import Path

import pytest

from helpers.run_folders import check, write_lines, write_run
from raccoon.reporting.logs import read_run
from raccoon.reporting.outcome import Conclusion, outcome
from raccoon.reporting.plots import LINES, PARTS, STACKS
from raccoon.reporting.tables import find_evaluation

GAIN = {"gained": 30, "lost": 2, "difference": 0.28, "interval": [0.2, 0.36], "p": 1e-6, "p_holm": 1e-6}
LOSS = {"gained": 2, "lost": 30, "difference": -0.28, "interval": [-0.36, -0.2], "p": 1e-6, "p_holm": 1e-6}
CHANCE = {
    "gained": 9,
    "lost": 6,
    "difference": 0.03,
    "interval": [-0.05, 0.11],
    "p": 0.6,
    "p_holm": 0.6,
    "detectable": 0.082,
}
NONE = {"gained": 1, "lost": 1, "difference": 0.0, "interval": [-0.019, 0.019], "p": 1.0, "p_holm": 1.0}
BEFORE, AFTER = 0.36, 0.64


def judged(folder: Path, comparisons: list[dict], badge: str = "unseen", samples: int = 1, **more) -> Conclusion:
    """The verdict on a finished run with an evaluation; the comparisons' benchmarks and models can be given."""
    run = write_run(folder / "rl", MODEL_PATH=str(folder / "sft"))
    (run / "model.safetensors").touch()
    rows = [
        {
            "benchmark": "held",
            "mode": "greedy",
            "baseline": "sft",
            "candidate": "rl",
            "n": 100,
            "sentence": "",
            **comparison,
        }
        for comparison in comparisons
    ]
    paths = {"sft": str(folder / "sft"), "rl": str(run), "control": str(folder / "control")}
    scores = [
        {
            "model": model,
            "path": path,
            "benchmark": benchmark,
            "mode": mode,
            "n": 100,
            "samples": 100 * samples,
            "passed": 36,
            "pass@1": BEFORE if model == "sft" else AFTER,
            "interval": [0.3, 0.7],
            "training_data": {"badge": badge if benchmark == "held" else "unseen", "tasks": {}},
        }
        for benchmark, mode in dict.fromkeys((row["benchmark"], row["mode"]) for row in rows)
        for model, path in paths.items()
    ]
    (folder / "eval_results").mkdir()
    (folder / "eval_results" / "results.json").write_text(json.dumps({"results": scores, "comparisons": rows}))
    return outcome(read_run(run), find_evaluation(run, ""))


@pytest.mark.parametrize(
    ("comparisons", "title", "words"),
    [
        (
            [GAIN],
            "The run learnt.",
            "30 tasks were gained and 2 lost, exact McNemar p = 1e-06: the difference is real.",
        ),
        (
            [LOSS],
            "The run made the model worse.",
            "2 tasks were gained and 30 lost, exact McNemar p = 1e-06: the loss is",
        ),
        (
            [CHANCE],
            "Cannot tell whether the run learnt.",
            "p = 0.6: this difference can be chance (on 100 tasks the test "
            "finds a real difference of 8.2 points four times in five).",
        ),
        (
            [NONE],
            "The run did not learn.",
            "1 task was gained and 1 lost, exact McNemar p = 1: no change, the 95 % "
            "interval is -1.9 points to +1.9 points.",
        ),
        ([{**GAIN, "p_holm": 0.06}], "Cannot tell whether the run learnt.", "p = 0.06 after Holm's correction: this"),
        ([CHANCE, {**GAIN, "mode": "sampled"}], "The run learnt.", "(one sampled answer a task)"),
        (
            [GAIN, {**LOSS, "benchmark": "other"}],
            "The run made the model better on some benchmarks and worse on others.",
            "On 100 tasks of other that the run was never trained on, the model solved",
        ),
    ],
)
def test_the_words_follow_the_test(tmp_path, comparisons, title, words):
    found = judged(tmp_path, comparisons)
    assert found.title == title and words in " ".join(found.sentences)
    assert "the model solved 36.0 % before and 64.0 % after GRPO" in found.sentences[0]


@pytest.mark.parametrize(
    ("badge", "words"),
    [
        ("unseen", "On 100 tasks that the run was never trained on, the model"),
        ("seen", "On 100 tasks that the run was trained on, the model"),
        ("partly seen", "On 100 tasks, some of which the run was trained on, the model"),
        ("unknown", "On 100 tasks, the model"),
    ],
)
def test_it_says_whether_the_tasks_were_trained_on(tmp_path, badge, words):
    assert judged(tmp_path, [GAIN], badge).sentences[0].startswith(words)


def test_tasks_that_were_trained_on_decide_nothing_beside_others(tmp_path):
    found = judged(tmp_path, [GAIN, {**CHANCE, "benchmark": "other"}], "seen")
    assert found.title == "Cannot tell whether the run learnt." and len(found.sentences) == 2


def test_several_answers_a_task_have_another_test(tmp_path):
    sentence = judged(tmp_path, [{**GAIN, "mode": "sampled"}], samples=4).sentences[0]
    assert (
        "(mean of 4 sampled answers a task); 30 tasks were solved more often and 2 less often, paired sign-flip "
        "test p = 1e-06: the difference is real." in sentence
    )


def test_a_control_is_no_earlier_state_of_the_model(tmp_path):
    against = {**LOSS, "baseline": "rl", "candidate": "control"}
    found = judged(tmp_path, [GAIN, against])
    assert found.title == "The run learnt." and len(found.sentences) == 2
    assert found.sentences[1].endswith(
        "rl solved 64.0 % and control 64.0 % (one greedy answer a task); rl was better "
        "on 30 tasks and control on 2, exact McNemar p = 1e-06: rl is better."
    )


def test_the_same_model_twice_is_one_sentence(tmp_path):
    assert len(judged(tmp_path, [GAIN, GAIN, {**NONE, "baseline": "rl"}]).sentences) == 1


@pytest.mark.parametrize(
    ("last", "title", "words"),
    [
        (
            16,
            "So far: the run learnt.",
            "20.0 % before training and 80.0 % after step 12; 12 tasks were gained and 0 lost",
        ),
        (4, "So far: cannot tell whether the run learnt.", "0 tasks were gained and 0 lost"),
        (6, "So far: cannot tell whether the run learnt.", "this difference can be chance"),
    ],
)
def test_without_an_evaluation_the_held_out_checks_decide(tmp_path, last, title, words):
    folder = write_run(tmp_path / "run")
    write_lines(folder / "heldout.jsonl", [check(0, 4), check(12, last)])
    found = outcome(read_run(folder), None)
    assert found.title == title and words in found.sentences[0]


def test_training_tasks_alone_cannot_tell(tmp_path):
    folder = write_run(tmp_path / "run", 20)
    (folder / "model.safetensors").touch()
    found = outcome(read_run(folder), None)
    assert found.title == "Cannot tell whether the run learnt."
    assert found.sentences[0].startswith(
        "No tasks outside the training were measured before and after it. The training pass rate rose from 27.2 %"
    )


def test_every_plot_is_explained_once():
    explained = [title for plots in PARTS.values() for title in plots]
    others = {"Pass rate", "Pass rate by turn", "Bonuses", "Reward integrity", "Tasks before training"}
    assert len(explained) == len(set(explained))
    assert set(explained) == {row[0] for row in (*LINES, *STACKS)} | others


def test_an_evaluation_with_several_turns_is_named_so_wherever_it_is_shown(tmp_path):
    assert "answer a task)" in " ".join(judged(tmp_path, [GAIN]).sentences)
    path = tmp_path / "eval_results" / "results.json"
    results = json.loads(path.read_text())
    for row in results["results"]:
        row["turns"] = 2
    path.write_text(json.dumps(results))
    evaluation = find_evaluation(tmp_path / "rl", "")
    assert {score.way for score in evaluation.scores} == {"greedy, 2 turns"}
    found = outcome(read_run(tmp_path / "rl"), evaluation)
    assert "answer a task, with up to 2 turns)" in " ".join(found.sentences)

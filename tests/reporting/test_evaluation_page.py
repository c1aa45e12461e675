"""comparison.html: both answers of the tasks gained and lost, whatever a model wrote."""

import json

import pytest

from helpers.run_folders import write_lines
from raccoon.constants import InputError
from raccoon.reporting.evaluation_page import make_evaluation_page

HOSTILE = "</pre><script>alert(1)</script>"


def record(task: str, status: str, text: str, sample: int = 0) -> dict:
    verdict = {"status": status, "reason": "wrong: no"}
    return {"task_id": task, "sample": sample, "prompt": f"prompt of {task}", "completion": text, "verdict": verdict}


def write_evaluation(folder) -> None:
    def row(model):
        return {"model": model, "path": f"./{model}", "benchmark": "mbpp", "mode": "sampled", "n": 3, "samples": 6,
                "passed": 3, "pass@1": 0.5, "interval": [0.1, 0.9], "training_data": {"badge": "unseen"},
                "ignores_sampling": False}  # fmt: skip

    comparison = {"benchmark": "mbpp", "mode": "sampled", "baseline": "a", "candidate": "b", "n": 3, "gained": 1,
                  "lost": 1, "difference": 0.0, "interval": [-0.2, 0.2], "sentence": "No difference.", "repeat": False,
                  "gained_ids": ["t/0"], "lost_ids": ["t/1"]}  # fmt: skip
    results = {"settings": {"seed": 0, "versions": {"python": "3.11"}}, "results": [row("a"), row("b")],
               "comparisons": [comparison]}  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results))
    for model, passing in (("a", "t/1"), ("b", "t/0")):
        lines = []
        for task in ("t/0", "t/1", "t/2"):
            lines.append(record(task, "FAIL", f"{model} fails {task} {HOSTILE}"))
            lines.append(record(task, "PASS" if task == passing else "FAIL", f"{model} second {task}", 1))
        (folder / model).mkdir()
        write_lines(folder / model / "mbpp.sampled.jsonl", lines)


def test_gained_and_lost_tasks_have_both_answers(tmp_path):
    write_evaluation(tmp_path)
    page = make_evaluation_page(tmp_path).decode()
    assert "a fails t/0" in page and "b second t/0" in page  # gained: one that fails, one that passes
    assert "a second t/1" in page and "b fails t/1" in page
    assert "t/2" not in page and "No difference." in page and "python 3.11" in page
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


def test_what_is_not_there_or_of_another_version_is_named(tmp_path):
    write_evaluation(tmp_path)
    (tmp_path / "a" / "mbpp.sampled.jsonl").unlink()
    assert "The record of this answer is not there" in make_evaluation_page(tmp_path).decode()
    (tmp_path / "results.json").write_text('{"results": []}')
    with pytest.raises(InputError, match="of another version"):
        make_evaluation_page(tmp_path)

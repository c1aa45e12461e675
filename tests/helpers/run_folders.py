"""Folders of training runs written by hand, for what reads their logs."""

import json
from pathlib import Path

STATUSES = {"PASS": "pass", "PARTIAL": "wrong: no", "FAIL": "exception: <b>no</b>"}


def metrics(number: int, **changes) -> dict:
    """A line of metrics.jsonl of a run that gets better."""
    rate = 0.2 + 0.02 * number + 0.01 * (number % 3)
    return {
        "step": number,
        "pass_rate": rate,
        "reward": rate - 0.1,
        "reward_parts": {"correctness": rate, "docstring": 0.02},
        "constant_groups": 0.25,
        "truncated": 0.0,
        "tokens_mean": 20.0,
        "tokens_max": 30,
        "completions": 4,
        "statuses": {"PASS": 2, "FAIL": 2},
        "kinds": {"pass": 2, "exception": 2},
        "weights_changed": 0.9,
        "update_ratio": 0.001,
        "seconds": {"generate": 1.0, "reward": 0.5, "update": 2.0},
        "peak_memory_gb": 1.0,
        "loss": 0.1,
        "grad_norm": 0.2,
        "learning_rate": 1e-4,
        "entropy": 1.0,
        "kl": None,
        **changes,
    }


def completion(step: int, group: int, status: str = "PASS", text: str = "x = 1", **changes) -> dict:
    verdict = {
        "status": status,
        "reason": STATUSES[status],
        "tests_passed": 1,
        "tests_total": 2,
        "isolation": "separate",
        "output": "",
    }
    return {
        "step": step,
        "group": group,
        "task_id": f"t/{group}",
        "completion": text,
        "code": text,
        "verdict": verdict,
        "reward": 1.0,
        "reward_parts": {"correctness": 1.0, "docstring": 0.05},
        "tokens": 5,
        "truncated": False,
        "advantage": 0.5,
        "used": True,
        **changes,
    }


def check(step: int, passing: int) -> dict:
    statuses = {f"h/{task}": "PASS" if task < passing else "FAIL" for task in range(20)}
    return {
        "step": step,
        "n": 20,
        "passed": passing,
        "pass_rate": passing / 20,
        "interval": [0.1, 0.95],
        "gained": passing,
        "lost": 0,
        "p": 0.01,
        "statuses": statuses,
    }


def write_lines(path: Path, records: list[dict]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_run(folder: Path, steps: int = 12, **constants) -> Path:
    """The least that makes a run: its constants and its metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "qwen3",
        "MODEL_PATH": "./sft",
        "SEED": 7,
        "NUM_GENERATIONS": 2,
        "MAX_STEPS": 12,
        "TEMPERATURE": 1.0,
        "HELDOUT_TEMPERATURE": 0.0,
        **constants,
    }
    (folder / "config.json").write_text(json.dumps(config))
    write_lines(folder / "metrics.jsonl", [metrics(step) for step in range(1, steps + 1)])
    return folder

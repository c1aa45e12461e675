"""A rollout and a step's metrics of a healthy run, which tests change where they need a sick one."""

from raccoon.records import Verdict
from raccoon.rewards.training_tasks import TaskChoice
from raccoon.runs.log import Rollout


def rollout(status: str = "PASS", correctness: float | None = 1.0, **changes) -> Rollout:
    verdict = Verdict(status, "pass" if status == "PASS" else "wrong: no", 1, 2, 0.5, "separate")
    parts = {} if correctness is None else {"correctness": correctness, "docstring": 0.05}
    fields = {
        "task_id": "t",
        "completion": "c",
        "code": "c",
        "verdict": verdict,
        "tokens": 3,
        "truncated": False,
        "reward": None if correctness is None else correctness + 0.05,
        "reward_parts": parts,
    }
    return Rollout(**{**fields, **changes})


def step(number: int, **changes) -> dict:
    """A line of metrics.jsonl of a healthy step."""
    return {
        "step": number,
        "pass_rate": 0.5,
        "statuses": {"PASS": 4, "FAIL": 4},
        "kinds": {"pass": 4, "wrong": 4},
        "completions": 8,
        "constant_groups": 0.25,
        "partial_groups": 0.1,
        "mixed_groups": 0.65,
        "constant_answers": 0.0,
        "grad_norm": 0.3,
        "learning_rate": 1e-4,
        "entropy": 1.0,
        "weights_changed": 0.9,
        "update_ratio": 0.001,
        "reward": 0.4,
        "truncated": 0.0,
        "thinking_open": 0.0,
        "judge_none": None,
        "reward_parts": {"correctness": 0.5, "judge": 0.5},
        "seconds": {"generate": 1.0, "reward": 0.5, "update": 2.0},
        **changes,
    }


def choice(**changes) -> TaskChoice:
    """A choice of tasks without any."""
    return TaskChoice(
        **{
            "sets": [],
            "files": [],
            "data_dir": "",
            "reported": [],
            "allow_shared": False,
            "skip_failing": False,
            "profile_samples": 0,
            "max_constant_share": 0.9,
            **changes,
        }
    )

"""The examples for other people's trainers, with the real packages."""

import asyncio
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT
from helpers.training_runs import furnish
from raccoon.records import Verdict
from raccoon.rewards import code_reward as rewards

PASSING, WRONG = "def f(x):\n    return x + 1\n", "def f(x):\n    return x\n"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks up annotations there
    spec.loader.exec_module(module)
    return module


def test_plain_trl_learns_from_verdicts(tmp_path):
    """A model whose tokens are whole programs: two of TRL's own steps, with the columns and metrics of the reward."""
    folder = furnish(tmp_path)
    options = {"max_steps": 2, "per_device_train_batch_size": 8, "num_generations": 8, "max_completion_length": 4}
    options |= {"use_cpu": True, "logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "seed": 0}
    trainer = load("trl_grpo").train(
        str(folder / "model"), str(folder / "train.jsonl"), str(tmp_path / "out"), **options
    )
    steps = [record for record in trainer.state.log_history if "code/pass" in record]
    assert len(steps) == 2 and trainer.state.global_step == 2
    for record in steps:
        assert record["rewards/code_reward/mean"] == pytest.approx(record["code/pass"])
        assert record["code/infra"] == 0
    logged = trainer._logs["extra"]["verdict"]
    assert set(logged) <= {"PASS", "PARTIAL", "FAIL"} and len(set(logged)) > 1


class Lost:
    """A sandbox that fails."""

    def run(self, programs):
        return [Verdict.of("infra: a sandbox process was lost (test)") for _ in programs]


def test_verifiers_scores_by_the_verdict_and_not_at_all_without_one(tmp_path, monkeypatch):
    vf = pytest.importorskip("verifiers.v1", reason="verifiers is not installed: pip install verifiers==0.4.0")
    from verifiers.v1.graph import MessageNode
    from verifiers.v1.trace import AgentInfo, TraceTask

    path = Path(tmp_path, "tasks.jsonl")
    task = {"task_id": "f/1", "prompt": "Write f.", "test": "assert f(1) == 2\n", "entry_point": "f"}
    path.write_text(json.dumps(task | {"solution": PASSING}) + "\n")
    example = load("verifiers_tasks")
    [found] = example.CodeTaskset(example.CodeConfig(file=str(path))).load()

    def scored(reply: str):
        data = TraceTask(type="CodeTask", data=found.data)
        trace = vf.Trace(task=data, agent=AgentInfo(config=vf.AgentConfig()))
        trace.nodes.append(MessageNode(message=vf.UserMessage(content="Write f.")))
        trace.nodes.append(MessageNode(parent=0, message=vf.AssistantMessage(content=reply), sampled=True))
        asyncio.run(found.score(trace))
        return trace

    assert scored(f"```python\n{PASSING}```").reward == 1
    assert scored(f"```python\n{WRONG}```").reward == 0
    assert asyncio.run(found.validate(None)) is True
    monkeypatch.setattr(rewards, "own_sandbox", Lost)
    with pytest.raises(vf.SandboxError, match="not judged"):
        scored(PASSING)

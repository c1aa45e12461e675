"""Rollouts by a real vLLM engine: pushed weights arrive, missing ones are noticed, a stop loses nothing."""

import importlib
import inspect
import math
import signal
import subprocess
import sys

import pytest

from helpers.processes import left_of_session, start, until
from helpers.reward_doubles import TABLE
from helpers.training_runs import SCRIPT, environment, lines, outcome
from raccoon.constants import RunError
from raccoon.rewards.execution import Chat, ExecutionReward, RewardTable
from raccoon.runs.log import RunLog
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import read_task_file
from raccoon.training import vllm_rollouts

STEPS, STOP = 10, 4
UPDATE = 2e-4  # what one step moves a weight by: the demo's learning rate


def words(demo, output, *flags):
    return [
        sys.executable,
        str(SCRIPT),
        "--demo",
        "--generation",
        "vllm",
        "--model-path",
        str(demo / "sft_model"),
        "--train-files",
        str(demo / "train_tasks.jsonl"),
        "--heldout",
        str(demo / "heldout_tasks.jsonl"),
        "--heldout-tasks",
        "16",
        "--heldout-every",
        "5",
        "--max-steps",
        str(STEPS),
        "--batch-size",
        "32",
        "--save-steps",
        "5",
        "--output-dir",
        str(output),
        *flags,
    ]


@pytest.fixture(scope="module")
def trained(demo, tmp_path_factory):
    """What a run of ten steps said, and its folder."""
    output = tmp_path_factory.mktemp("run") / "straight"
    done = subprocess.run(words(demo, output), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done, output


def test_ten_steps_have_the_newest_weights_and_log_their_ratios(trained):
    metrics = lines(trained[1] / "metrics.jsonl")
    assert len(metrics) == STEPS
    assert all(step["weights_changed"] > 0.5 for step in metrics[1:])  # the warm-up begins at 0
    for step in metrics:
        assert step["ratio_above_cap"] == 0
        assert step["ratio_mean"] == pytest.approx(1, abs=1e-4) and step["ratio_max"] == pytest.approx(1, abs=1e-3)
    groups = [row["completion"] for row in lines(trained[1] / "completions.jsonl")]
    assert len(set(groups)) > len(groups) / 4, "sampled, not greedy"


def test_the_engine_says_nothing(trained):
    assert trained[0].stderr == ""


def test_ctrl_c_saves_leaves_no_process_and_a_resume_is_as_if_it_had_not_been(demo, trained, tmp_path):
    process = start(words(demo, tmp_path / "run"))
    until(lambda: len(lines(tmp_path / "run" / "metrics.jsonl")) >= STOP, process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130 and "give the same command to continue" in said
    assert left_of_session(process.pid) == []
    done = subprocess.run(words(demo, tmp_path / "run"), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert outcome(tmp_path / "run") == outcome(trained[1])


def test_another_seed_is_another_run(demo, trained, tmp_path):
    subprocess.run(
        words(demo, tmp_path / "run", "--seed", "7", "--max-steps", "1"),
        env=environment(),
        capture_output=True,
        check=True,
    )
    same_task = {row["task_id"]: row["completion"] for row in lines(trained[1] / "completions.jsonl")}
    assert {row["task_id"] for row in lines(tmp_path / "run" / "completions.jsonl")} - set(same_task)


def test_adapters_are_pushed_merged(demo, tmp_path):
    flags = ["--use-lora", "--learning-rate", "2e-3", "--max-steps", "3"]
    done = subprocess.run(
        words(demo, tmp_path / "run", *flags), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [step["ratio_max"] for step in lines(tmp_path / "run" / "metrics.jsonl")] == pytest.approx([1] * 3, abs=1e-3)


def test_ten_steps_of_two_turns_have_the_newest_weights_and_resume_as_if_they_had_not_stopped(demo_of_turns, tmp_path):
    flags = ["--max-turns", "2"]
    for name in ("straight", "stopped"):
        words_of = words(demo_of_turns, tmp_path / name, *flags)
        if name == "stopped":
            process = start(words_of)
            until(lambda: len(lines(tmp_path / "stopped" / "metrics.jsonl")) >= STOP, process)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)
            assert process.returncode == 130
        done = subprocess.run(words_of, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    metrics = lines(tmp_path / "straight" / "metrics.jsonl")
    assert len(metrics) == STEPS
    for step in metrics:  # of the tokens of both answers, not of the feedback between them
        assert step["ratio_mean"] == pytest.approx(1, abs=1e-4) and step["ratio_max"] == pytest.approx(1, abs=1e-3)
    talks = [row["turns"] for row in lines(tmp_path / "straight" / "completions.jsonl")]
    assert 2 in {len(turns) for turns in talks}
    assert all(turns[0]["feedback"] for turns in talks if len(turns) == 2)
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "straight")


def test_private_names_are_where_they_were():
    from raccoon.training.library_internals import VLLM_NAMES

    def is_there(module, owner, name, purpose):
        found = importlib.import_module(module)
        found = getattr(found, owner) if owner else found
        written = inspect.getsource(found) if owner else ""
        return hasattr(found, name) or f"    {name}: " in written or f"self.{name}: " in written

    gone = [row for row in VLLM_NAMES if not is_there(*row)]
    assert gone == [], "the installed libraries have moved these"


@pytest.fixture(scope="module")
def trainer(demo, tmp_path_factory):
    """A trainer with a real engine in this process."""
    from trl import GRPOConfig

    from raccoon.training.batches import rows
    from raccoon.training.policy import load_chat_tokenizer, load_policy
    from raccoon.training.trainer import CodeTrainer
    from raccoon.vllm_engine import prepare_vllm

    prepare_vllm()
    output, path = tmp_path_factory.mktemp("pushes"), str(demo / "sft_model")
    tokenizer = load_chat_tokenizer(path)
    model = load_policy(path, tokenizer, "float32")
    args = GRPOConfig(
        output_dir=str(output),
        use_cpu=True,
        bf16=False,
        num_generations=2,
        max_completion_length=8,
        per_device_train_batch_size=2,
        generation_kwargs={"stop_token_ids": [0]},
        **vllm_rollouts.Vllm("colocate", "", 0.27, 2.0).options(0, 256),
    )
    with Sandbox(workers=1) as sandbox:
        reward = ExecutionReward(RewardTable(**TABLE), sandbox, Chat(tokenizer, [0]))
        yield CodeTrainer(
            model=model,
            args=args,
            processing_class=tokenizer,
            reward=reward,
            train_dataset=rows(read_task_file(demo / "train_tasks.jsonl")[:4]),
            run_log=RunLog(output),
        )


@pytest.fixture
def updated(trainer):
    """The trainer after an update of all weights; its step is another with every test."""
    import torch

    trainer.state.global_step += 1
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(UPDATE * torch.randn_like(parameter).sign())
    return trainer


def push(trainer, wanted=lambda name: True):
    """Pushes the tensors whose names are wanted by TRL's own way, and checks."""
    generation = trainer.vllm_generation
    everything = type(generation)._iter_named_params
    generation._iter_named_params = lambda: (pair for pair in everything(generation) if wanted(pair[0]))
    try:
        vllm_rollouts.push_weights(trainer, trainer.prompt_token_ids([[{"role": "user", "content": PROMPT}]])[0])
    finally:
        del generation._iter_named_params


PROMPT = "Write a function that returns the sum of all even numbers of a list and stops at the first that is negative."
TENSORS = [
    "model.embed_tokens.weight",
    "model.norm.weight",
    *(
        f"model.layers.{layer}.{name}.weight"
        for layer in (0, 1)
        for name in (
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "self_attn.q_norm",
            "self_attn.k_norm",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj",
            "input_layernorm",
            "post_attention_layernorm",
        )
    ),
]


def test_the_tensors_are_all(trainer):
    assert sorted(name for name, _ in trainer.model.named_parameters()) == sorted(TENSORS)


def test_a_whole_push_passes(updated):
    push(updated)


def test_a_push_to_nothing_is_noticed(updated):
    with pytest.raises(RunError, match="vLLM has other weights than the policy"):
        push(updated, lambda name: False)
    push(updated)


def test_a_push_that_breaks_off_is_noticed(updated):
    half = set(TENSORS[: len(TENSORS) // 2])
    with pytest.raises(RunError, match="vLLM has other weights than the policy"):
        push(updated, lambda name: name in half)
    push(updated)


@pytest.mark.parametrize("only", ["model.embed_tokens.weight", "model.norm.weight"])
def test_a_push_to_one_tensor_is_noticed(updated, only):
    with pytest.raises(RunError, match="vLLM has other weights than the policy"):
        push(updated, lambda name: name == only)
    push(updated)


@pytest.mark.parametrize("missing", TENSORS)
def test_one_tensor_that_was_left_out_is_noticed(updated, missing):
    with pytest.raises(RunError, match="vLLM has other weights than the policy"):
        push(updated, lambda name: name != missing)
    push(updated)


def test_a_checked_push_leaves_a_distance_of_rounding_alone(updated):
    ids = updated.prompt_token_ids([[{"role": "user", "content": PROMPT}]])[0]
    push(updated)
    engine = vllm_rollouts.engine_log_probabilities(updated.vllm_generation.llm, ids)
    policy = vllm_rollouts.policy_log_probabilities(updated.model, ids, "cpu")
    assert math.dist(engine, policy) < 1e-4

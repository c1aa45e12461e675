"""Rollouts by vLLM, with a stand-in engine: what it is told, when it gets weights, and that stale ones are noticed."""

import sys
import types
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

import train_rl_poc  # noqa: E402
from helpers.reward_doubles import TABLE  # noqa: E402
from helpers.training_runs import PROGRAMS, lines, make_model, run  # noqa: E402
from raccoon.constants import InputError, constants  # noqa: E402
from raccoon.recipe.settings import grpo_config  # noqa: E402
from raccoon.rewards.execution import ExecutionReward, RewardTable  # noqa: E402
from raccoon.runs.log import RunError, RunLog  # noqa: E402
from raccoon.sandbox.pool import Sandbox  # noqa: E402
from raccoon.tasks.task import Task  # noqa: E402
from raccoon.training import vllm_rollouts  # noqa: E402
from raccoon.training.callbacks import StepClock, WeightWatch  # noqa: E402
from raccoon.training.policy import load_chat_tokenizer, load_policy  # noqa: E402
from raccoon.training.trainer import CodeTrainer  # noqa: E402

LIMIT, CAP, STEPS = 3, 1.05, 2


class Engine:
    """vLLM's LLM, as far as the check of the weights goes: another copy of the model."""

    def __init__(self, model) -> None:
        self.model, self.woken = model, []

    def wake_up(self, tags):
        self.woken += tags

    def generate(self, prompts, sampling_params, use_tqdm):
        assert sampling_params.prompt_logprobs == 0
        ids = prompts[0]["prompt_token_ids"]
        logps = vllm_rollouts.policy_log_probabilities(self.model, ids, "cpu")
        rows = [{token: types.SimpleNamespace(logprob=logp)} for token, logp in zip(ids[1:], logps, strict=True)]
        return [types.SimpleNamespace(prompt_logprobs=[None, *rows])]


class Generation:
    """TRL's VLLMGeneration: pushes into an Engine and samples from it, sleeping in between."""

    def __init__(self, model, temperature, generation_kwargs, max_completion_length, **options) -> None:
        self.policy, self.temperature, self.options = model, temperature, options
        self.stops, self.length = generation_kwargs["stop_token_ids"], max_completion_length
        self.llm = Engine(type(model)(model.config).eval())  # a copy would keep the forward that TRL gave the policy
        self.enable_sleep_mode = options["enable_sleep_mode"]
        self._llm_weights_sleeping = True
        self.pushes, self.temperatures, self.loses_weights = 0, [], False

    def sync_weights(self):
        self.pushes, self._llm_weights_sleeping = self.pushes + 1, False
        state = {name: torch.zeros_like(value) if self.loses_weights else value.clone()
                 for name, value in self.policy.state_dict().items()}
        self.llm.model.load_state_dict(state)

    def generate(self, prompts, images, num_generations, profiler):
        assert not self._llm_weights_sleeping
        self.temperatures.append(self.temperature)
        self._llm_weights_sleeping = True
        completions, logps = [], []
        for ids in prompts:
            out = self.llm.model.generate(
                torch.tensor([ids]), max_new_tokens=self.length, do_sample=True, top_k=0, pad_token_id=0,
                eos_token_id=self.stops, repetition_penalty=1.0)[0].tolist()
            scores = vllm_rollouts.policy_log_probabilities(self.llm.model, out, "cpu")[len(ids) - 1:]
            completions.append(out[len(ids):])
            logps.append([[score - 0.1] for score in scores])  # as if its kernels found all a bit less likely
        return prompts, completions, logps, None


@pytest.fixture
def vllm(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", types.SimpleNamespace(SamplingParams=types.SimpleNamespace))
    monkeypatch.setattr("trl.trainer.grpo_trainer.VLLMGeneration", Generation)


@pytest.fixture
def trainer(vllm, tmp_path):
    from trl import GRPOConfig

    make_model(tmp_path / "model")
    (tmp_path / "out").mkdir()
    tokenizer = load_chat_tokenizer(str(tmp_path / "model"))
    model = load_policy(str(tmp_path / "model"), tokenizer, "float32")
    tasks = [Task(f"t/{i}", f"task {i}", "assert f(1) == 2\n", "f", solution=PROGRAMS[0]) for i in range(4)]
    args = GRPOConfig(output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, max_steps=STEPS, num_generations=4,
                      per_device_train_batch_size=8, max_completion_length=LIMIT, learning_rate=0.05, save_steps=9,
                      shuffle_dataset=False, logging_steps=1, activation_checkpointing=False, disable_tqdm=True,
                      generation_kwargs={"stop_token_ids": model.generation_config.eos_token_id},
                      **vllm_rollouts.vllm_options(0.27, 64, CAP))
    with Sandbox(workers=1) as sandbox:
        reward = ExecutionReward(RewardTable(**TABLE), sandbox, tokenizer, model.generation_config.eos_token_id)
        yield CodeTrainer(
            model=model, args=args, processing_class=tokenizer, reward=reward, tasks=tasks, max_refills=0,
            callbacks=[StepClock(), WeightWatch()], run_log=RunLog(tmp_path / "out"))


def test_every_generation_has_the_newest_weights_and_its_ratios_are_logged(trainer):
    trainer.train()
    generation = trainer.vllm_generation
    trainer.sample(trainer.tasks, temperature=0.0)
    assert generation.pushes == STEPS + 1 and generation.llm.woken == ["kv_cache"] * (STEPS + 1)
    assert generation.temperatures == [1.0] * STEPS + [0.0] and generation.temperature == 1.0
    metrics = lines(Path(trainer.args.output_dir) / "metrics.jsonl")
    for step in metrics:
        assert step["ratio_mean"] == pytest.approx(2.718281828 ** 0.1, rel=1e-3)  # raw: before the cut at CAP
        assert step["ratio_max"] > CAP and step["ratio_above_cap"] == 1.0
    assert generation.stops == [0, 2] and generation.options["max_model_length"] == 64


def test_weights_that_did_not_arrive_stop_the_run(trainer):
    trainer.vllm_generation.loses_weights = True
    with torch.no_grad():
        trainer.model.model.embed_tokens.weight.mul_(20)  # a model that is sure of what it says
    with pytest.raises(RunError, match="vLLM has other weights than the policy"):
        trainer.train()


def test_log_probabilities_of_both_sides_are_compared():
    assert vllm_rollouts.check_sync([-1.0, -2.0], [-1.1, -2.0]) == pytest.approx(0.05)
    for engine in ([-1.0, -9.0], [float("nan"), -2.0]):
        with pytest.raises(RunError, match="other weights"):
            vllm_rollouts.check_sync(engine, [-1.1, -2.0])


def test_ratios_are_raw_and_leave_out_padding_and_unknown_tokens():
    batch = {"completion_mask": torch.tensor([[1, 1], [1, 0]]),
             "old_per_token_logps": torch.tensor([[0.0, 1.0], [0.0, 9.0]]),
             "sampling_per_token_logps": torch.tensor([[0.0, 0.0], [float("nan"), 0.0]])}
    found = vllm_rollouts.sampling_ratios(batch, ratio_cap=2.0, gather=lambda tensor: tensor)
    assert found == pytest.approx({"ratio_mean": 1.859, "ratio_max": 2.718, "ratio_above_cap": 0.5}, abs=1e-3)


def test_vllm_is_refused_where_it_cannot_run(tmp_path, monkeypatch):
    done = run(tmp_path, "refused", "--generation", "vllm", "--model-path", ".", "--benchmark-tasks")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    monkeypatch.setattr(vllm_rollouts, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install -r requirements-vllm.txt"):
        vllm_rollouts.check_vllm(1, lora=False)
    monkeypatch.setattr(vllm_rollouts, "find_spec", lambda name: True)
    with pytest.raises(InputError, match="no GPU is visible"):
        vllm_rollouts.check_vllm(0, lora=False)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match="no adapters of a sharded policy"):
        vllm_rollouts.check_vllm(2, lora=True)
    vllm_rollouts.check_vllm(2, lora=False)


def test_the_script_asks_trl_for_vllm(monkeypatch):
    monkeypatch.setattr(train_rl_poc, "GENERATION", "vllm")
    config = grpo_config(constants(vars(train_rl_poc)), gpus=0)
    assert config.use_vllm and config.vllm_enable_sleep_mode and config.vllm_mode == "colocate"
    assert config.vllm_max_model_length == train_rl_poc.MAX_PROMPT_LENGTH + train_rl_poc.MAX_COMPLETION_LENGTH
    assert (config.vllm_importance_sampling_mode, config.vllm_importance_sampling_clip_max) == ("token_truncate", 2.0)

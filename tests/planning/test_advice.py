"""What is refused before anything is loaded, in the words that a user sees; and the start on GPUs that are not here."""

import os
import shutil
from collections import namedtuple

import pytest

import train_rl_poc
from raccoon.constants import RELAUNCHED, InputError
from raccoon.gpus import Gpu
from raccoon.launch import LAUNCHER_VARIABLES
from raccoon.planning import advice
from raccoon.planning.advice import check_disk, check_gpus, check_memory, check_model, check_precision
from raccoon.planning.memory import Setting, parse_gpus, plan
from raccoon.planning.model_shape import SHAPES

SHAPE = SHAPES["Qwen2.5-14B"]
Usage = namedtuple("Usage", "total used free")


def test_bfloat16_weights_are_refused_where_their_updates_round_away():
    with pytest.raises(
        InputError,
        match="LEARNING_RATE 5e-06 with MASTER_WEIGHTS bfloat16 would change only 7.8% of "
        "the weights.*set MASTER_WEIGHTS float32.*of at least 3e-05",
    ):
        check_precision("bfloat16", 5e-6)
    check_precision("bfloat16", 3.1e-5)
    check_precision("float32", 5e-6)


def test_what_does_not_fit_is_refused_with_what_does():
    with pytest.raises(
        InputError,
        match=r"GB a GPU by its plan, and 79 of 2 x 85.9 GB are usable; what fits: "
        r"USE_LORA, LORA_RANK 32 or 8 such GPUs; --allow-unfit starts",
    ):
        check_memory(plan(SHAPE, Setting(), parse_gpus("2x80")), 32)
    check_memory(plan(SHAPE, Setting(), parse_gpus("2x141")), 32)


def test_a_disk_without_room_for_the_checkpoints_is_refused(tmp_path, monkeypatch):
    planned = plan(SHAPE, Setting(), parse_gpus("2x141"))  # three checkpoints of 177.2 GB and 29.5 for the model
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, int(500e9)))
    with pytest.raises(InputError, match=r"room for 500 GB; checkpoints of 177 GB each and the model take 561"):
        check_disk(planned, str(tmp_path / "absent" / "run"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, int(562e9)))
    check_disk(planned, str(tmp_path / "absent" / "run"))


def test_a_resumed_runs_own_checkpoints_are_no_lack_of_room(tmp_path, monkeypatch):
    (tmp_path / "checkpoint-5").mkdir()
    with open(tmp_path / "checkpoint-5" / "optimizer.pt", "wb") as file:
        file.truncate(400 * 10**9)  # sparse
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, int(170e9)))
    check_disk(plan(SHAPE, Setting(), parse_gpus("2x141")), str(tmp_path))


def test_without_a_gpu_the_remedy_is_named():
    with pytest.raises(InputError, match="no GPU is visible for some/model of the hub.*docker run --gpus all"):
        check_model("some/model", 0)


def test_the_hub_is_asked_before_anything_else(monkeypatch):
    def refuse(name):
        raise InputError(f"{name} wants its licence accepted")

    monkeypatch.setattr(advice, "fetch_config", refuse)
    with pytest.raises(InputError, match="some/model wants its licence accepted"):
        check_model("some/model", 2)


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture
def two_h200s(monkeypatch, tmp_path):
    """The script's constants as they are, on a machine that seems to have two H200s, with the hub in reach."""
    cards = [Gpu("NVIDIA H200", 150.75, "580.65.06")] * 2
    for name in (
        *LAUNCHER_VARIABLES,
        RELAUNCHED,
        "CUDA_VISIBLE_DEVICES",
        "OMP_NUM_THREADS",
        "PYTORCH_ALLOC_CONF",
        "TORCHELASTIC_RUN_ID",
    ):
        monkeypatch.setenv(name, "")  # so that what the script sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setattr(train_rl_poc, "visible_gpus", lambda: len(cards))
    monkeypatch.setattr("raccoon.planning.memory.query_gpus", lambda: cards)
    monkeypatch.setattr(advice, "query_gpus", lambda: cards)
    monkeypatch.setattr("raccoon.gpus.torch_cuda", lambda: "13.0")
    monkeypatch.setattr(advice, "fetch_config", lambda name: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, int(1e12)))
    monkeypatch.setattr(train_rl_poc, "OUTPUT_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(train_rl_poc.Vllm, "check", lambda *_: None)  # vLLM is not installed
    monkeypatch.setattr(train_rl_poc, "prepare_vllm", lambda: None)
    started = []
    monkeypatch.setattr("raccoon.launch.run_launcher", started.append)
    monkeypatch.setattr(train_rl_poc, "open_sandbox", interrupt)  # what comes after the launch
    return started, cards


def test_two_gpus_start_two_sharding_processes(two_h200s):
    started, _ = two_h200s
    with pytest.raises(KeyboardInterrupt):
        train_rl_poc.main()
    (words,) = started
    assert words[words.index("--num_processes") + 1] == "2"
    assert words[words.index("--mixed_precision") + 1] == "bf16"
    assert "--multi_gpu" not in words
    assert os.environ["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"  # before torch is imported, and inherited


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"REPLICAS": 2}, "REPLICAS is 2, and there are 2 process"),
        ({"REPLICAS": 3}, "REPLICAS is 3, and there are 2 process"),
        ({"REPLICAS": 2, "USE_LORA": True, "LEARNING_RATE": 4e-5}, "with USE_LORA each process has the whole model"),
    ],
)
def test_replicas_that_shard_nothing_are_refused(two_h200s, monkeypatch, change, words):
    for name, value in change.items():
        monkeypatch.setattr(train_rl_poc, name, value)
    with pytest.raises(InputError, match=words):
        train_rl_poc.main()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"USE_LORA": True, "LEARNING_RATE": 4e-5}, "--multi_gpu"),
        ({"MASTER_WEIGHTS": "bfloat16", "LEARNING_RATE": 1e-3}, "no"),
    ],
)
def test_lora_is_not_sharded_and_bfloat16_not_mixed(two_h200s, monkeypatch, change, words):
    for name, value in change.items():
        monkeypatch.setattr(train_rl_poc, name, value)
    with pytest.raises(KeyboardInterrupt):
        train_rl_poc.main()
    assert words in two_h200s[0][0]


@pytest.mark.parametrize(
    ("cards", "change", "words"),
    [
        (1, {}, "what fits: USE_LORA, LORA_RANK 32 or 2 such GPUs"),
        (1, {"PROCESSES": 2}, r"PROCESSES is 2 and 1 GPU\(s\) are visible"),
        (2, {"PROCESSES": 1}, "what fits: USE_LORA"),
        (2, {"BETA": 0.1}, "what fits: OPTIMIZER adamw_torch_8bit"),
        (
            2,
            {"GENERATION": "vllm", "VLLM_MEMORY_SHARE": 0.1},
            r"VLLM_MEMORY_SHARE 0.1 of 150.8 GB is too small for vLLM's "
            r"weights and workspace \(32.5 GB\) and the cache of one sequence: it needs at least 0.22",
        ),
        (2, {"GENERATION": "vllm", "VLLM_MEMORY_SHARE": 0.6}, "needs 179 GB .*; what fits: VLLM_MEMORY_SHARE 0.29 or"),
    ],
)
def test_a_start_that_cannot_fit_starts_nothing(two_h200s, monkeypatch, cards, change, words):
    started, found = two_h200s
    del found[cards:]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join("01"[:cards]))
    for name, value in change.items():
        monkeypatch.setattr(train_rl_poc, name, value)
    if change.get("PROCESSES") == 1:
        monkeypatch.setattr("raccoon.planning.memory.query_gpus", lambda: found[:1])
    with pytest.raises(InputError, match=words):
        train_rl_poc.main()
    assert started == []
    monkeypatch.setattr(train_rl_poc, "ALLOW_UNFIT", True)
    if "PROCESSES" not in change:
        with pytest.raises(KeyboardInterrupt):
            train_rl_poc.main()


def test_a_launcher_with_too_many_processes_is_refused(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="2 processes were started on this machine and 1 GPU"):
        check_gpus(1)

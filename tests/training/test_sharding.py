"""FSDP2 on two gloo processes: what it gathers, in which precision it computes, what it leaves behind."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import warm_python
from helpers.paths import ROOT, SCRIPTS
from helpers.training_runs import environment, furnish, lines, outcome, small_run
from raccoon.runs.checkpoints import checkpoint_fault
from raccoon.tasks.task import Task

STEPS = 4
WORKER = ROOT / "tests" / "helpers" / "two_processes.py"
ZIP_END, ZIP_END_BYTES = b"PK\x05\x06", 22  # the record that ends an archive without a comment


def write_inputs(folder: Path) -> None:
    """A random model of two layers and tasks that its tokens can solve."""
    furnish(folder, layers=2, train=8, heldout=5)  # five held-out tasks: one process has fewer


def flags(output: str, *more: str) -> list[str]:
    steps = f"--heldout-every 2 --max-steps {STEPS} --save-steps 2 --learning-rate 0.01 --max-refills 1".split()
    batch = "--batch-size 4 --gradient-accumulation 2".split()
    return small_run(output, "heldout.jsonl", *steps, *batch, *more)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with the outputs of all runs; one pair of processes makes them one after the other."""
    pytest.importorskip("trl")
    folder = tmp_path_factory.mktemp("sharding")
    write_inputs(folder)
    profile = ["--profile-samples", "3", "--max-constant-share", "1"]
    skip = ["--savings", "rows", "--max-refills", "0"]
    one = ["--batch-size", "1", "--gradient-accumulation", "1", "--num-generations", "2", "--max-refills", "0"]
    wanted = [
        {"argv": flags("whole", *profile), "sharded": False},
        {"argv": flags("sharded", *profile), "sharded": True},
        {"argv": flags("resumed", *profile, "--max-steps", "2"), "sharded": True},
        {"argv": flags("resumed", *profile), "sharded": True},
        {"argv": flags("bf16"), "sharded": True, "bf16": True},
        {"argv": flags("lora", "--use-lora"), "sharded": True},
        {"argv": flags("whole_lora", "--use-lora"), "sharded": False},
        {"argv": flags("all_rows", "--max-refills", "0"), "sharded": True},
        {"argv": flags("skipped", *skip), "sharded": True},
        {"argv": flags("skipped_whole", *skip), "sharded": False},
        {"argv": flags("skipped_twice", *skip, "--num-iterations", "2"), "sharded": True},
        {"argv": flags("lean", "--savings", "generation"), "sharded": True},
        {"argv": flags("one_row", *one, "--max-completion-length", "8", "--heldout", ""), "sharded": True},
        {"argv": flags("lean_whole", "--savings", "generation"), "sharded": False},
        {"argv": flags("stopped"), "sharded": False, "stopped": True},
    ]
    (folder / "runs.json").write_text(json.dumps(wanted))
    done = warm_python.run([str(WORKER), "runs.json"], folder, processes=2)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_processes_that_skip_different_rows_learn_what_they_learn_from_all_rows(runs):
    """TRL gathers a value of each row, so processes with different numbers of rows would wait for each other."""
    records = lines(runs / "skipped" / "completions.jsonl")
    signals = [
        [record["advantage"] != 0 for record in records if record["step"] == step][8 * half :][:8]
        for step in range(1, STEPS + 1)
        for half in range(2)
    ]
    assert any(sum(first) != sum(second) for first, second in zip(signals[::2], signals[1::2], strict=True))
    for output in ("skipped", "skipped_whole"):
        assert lines(runs / output / "completions.jsonl") == lines(runs / "all_rows" / "completions.jsonl")
        assert largest_difference(runs / output, runs / "all_rows") < 1e-5


def probes(folder: Path, output: str) -> list[dict]:
    """What each process saw of a sharded run."""
    return [json.loads((folder / f"{output}.probe.{rank}").read_text()) for rank in range(2)]


def weights(folder: Path):
    """The saved tensors by name."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def largest_difference(first: Path, second: Path) -> float:
    mine, other = weights(first), weights(second)
    assert mine.keys() == other.keys()
    return max((mine[name] - other[name]).abs().max().item() for name in mine)


@pytest.mark.parametrize("output", ["sharded", "bf16", "lora"])
def test_weights_are_gathered_once_for_a_generation(runs, output):
    """Not once for each of its tokens; in the held-out checks and the profile as well as in training."""
    for seen in probes(runs, output):
        assert len(seen["gathers"]) >= STEPS + 3  # a generation a step and refills, three held-out checks
        assert set(seen["gathers"]) == {seen["units"]}
        assert seen["units"] >= 3  # two layers, and what is outside of them
        assert seen["resharding"] == seen["units"] - 1  # all but the last, which the backward pass needs first


@pytest.mark.parametrize("output", ["sharded", "bf16", "lora", "lean", "one_row"])
def test_a_token_of_a_sharded_model_costs_what_one_of_a_whole_model_does(runs, output):
    """No hook of FSDP2 runs, and no process waits for the longest completion of another."""
    seen = probes(runs, output)
    for process in seen:
        assert process["hooked"] > 0  # in training
        assert all(passes == longest and not hooks for passes, longest, hooks in process["generations"])


def test_processes_have_completions_of_different_lengths(runs):
    first, second = ([longest for _, longest, _ in process["generations"]] for process in probes(runs, "one_row"))
    assert first != second


def test_the_seconds_of_a_step_are_the_mean_of_the_processes(runs):
    first, second = (process["seconds"] for process in probes(runs, "sharded"))
    logged = [row["seconds"] for row in lines(runs / "sharded" / "metrics.jsonl")]
    assert len(logged) == STEPS and first != second
    for mean, *each in zip(logged, first, second, strict=True):
        assert mean == {name: pytest.approx(sum(own[name] for own in each) / 2) for name in mean}


def test_a_stop_signal_that_reached_one_process_stops_all(runs):
    assert [(runs / f"stopped.exit.{rank}").read_text() for rank in range(2)] == ["143", "143"]
    assert json.loads((runs / "stopped" / "STOPPED.json").read_text())["step"] == 0


def test_lean_generation_serves_several_processes(runs):
    assert lines(runs / "lean" / "completions.jsonl") == lines(runs / "lean_whole" / "completions.jsonl")
    assert largest_difference(runs / "lean", runs / "lean_whole") < 1e-5
    assert largest_difference(runs / "lean", runs / "model") > 1e-3


def test_the_processes_generate_equally_often(runs):
    for output in ("sharded", "bf16", "lora"):
        first, second = probes(runs, output)
        assert len(first["gathers"]) == len(second["gathers"])


def test_no_whole_gradient_is_held_between_micro_batches(runs):
    for output in ("sharded", "bf16", "lora"):
        for seen in probes(runs, output):
            assert (seen["micro_batches"], seen["whole_gradients"]) == (STEPS * 2, 0)


def test_masters_and_log_probabilities_are_float32_and_the_compute_bfloat16(runs):
    for seen in probes(runs, "bf16"):
        assert seen["masters"] == seen["logps"] == seen["reduced"] == ["torch.float32"]
        assert seen["computed"] == ["torch.bfloat16"]


def test_a_sharded_run_equals_the_same_run_in_whole(runs):
    """Same completions and rewards; losses and weights differ by the order of float32 sums only."""
    for name in ("completions.jsonl", "heldout.jsonl", "profile.jsonl"):
        assert (runs / "sharded" / name).read_text() == (runs / "whole" / name).read_text()
    mine, others = (lines(runs / output / "metrics.jsonl") for output in ("sharded", "whole"))
    for step, other in zip(mine, others, strict=True):
        for name in ("loss", "grad_norm", "entropy", "reward"):
            assert step[name] == pytest.approx(other[name], rel=1e-5, abs=1e-6)
    assert all(step["grad_norm"] > 0 for step in mine)
    assert all(step["weights_changed"] > 0.5 for step in mine[1:])  # the first step's learning rate is 0
    assert largest_difference(runs / "sharded", runs / "whole") < 1e-5
    assert largest_difference(runs / "sharded", runs / "model") > 1e-3


def test_a_sharded_run_goes_on_bit_for_bit(runs):
    assert outcome(runs / "resumed") == outcome(runs / "sharded")


def test_sharded_adapters_are_merged_into_the_saved_model(runs):
    assert largest_difference(runs / "lora", runs / "whole_lora") < 1e-5
    assert largest_difference(runs / "lora", runs / "model") > 1e-4
    assert not list((runs / "lora").glob("adapter*"))
    assert generated(runs / "lora")


def generated(folder: Path) -> str:
    """What the evaluation's engine generates with a saved model, which must be told both ends of a completion."""
    from raccoon.evaluation.engines import Decoding, Slot, TransformersEngine

    engine = TransformersEngine(folder, Decoding(max_tokens=3))
    assert engine.ends == [0, 2]
    return f"{engine.model.dtype}: {engine.generate([Slot(Task('t', 'train 1', '', 'f'))])[0].text}"


def test_the_export_is_in_bfloat16_and_the_evaluation_generates_with_it(runs):
    import torch

    saved = json.loads((runs / "bf16" / "config.json").read_text())
    assert {tensor.dtype for tensor in weights(runs / "bf16").values()} == {torch.bfloat16}
    assert (saved["dtype"], saved["MAX_STEPS"]) == ("bfloat16", STEPS)
    assert generated(runs / "bf16").startswith("torch.bfloat16")
    assert {tensor.dtype for tensor in weights(runs / "sharded").values()} == {torch.float32}


@pytest.mark.parametrize("name", ["whole", "sharded", "bf16", "lora", "whole_lora"])
def test_a_checkpoint_becomes_the_model_that_the_run_saved_without_a_trainer(runs, name):
    """Whole, in shards, adapters in shards, adapters: the last checkpoint has the weights of the end."""
    out, dtype = f"exported_{name}", ["--dtype", "bfloat16"] if name == "bf16" else []
    words = [str(SCRIPTS / "export_model.py"), f"{name}/checkpoint-{STEPS}", "--output-dir", out, *dtype]
    done = warm_python.run(words, runs)
    assert done.returncode == 0, done.stderr
    assert (runs / out / "model.safetensors").read_bytes() == (runs / name / "model.safetensors").read_bytes()
    assert generated(runs / out) == generated(runs / name)
    found, wanted = (json.loads((runs / folder / "config.json").read_text()) for folder in (out, name))
    assert (found["TRAIN_FILES"], found["ended"]) == (wanted["TRAIN_FILES"], f"exported after step {STEPS}")


def test_an_export_that_a_full_disk_ended_can_be_given_again(runs, tmp_path, monkeypatch):
    import export_model
    from raccoon.constants import RunError
    from raccoon.training import policy

    def fill(model, tokenizer, folder):
        model.config.save_pretrained(folder)
        raise OSError("No space left on device")

    monkeypatch.chdir(runs)
    monkeypatch.setattr(export_model, "SOURCE", f"whole/checkpoint-{STEPS}")
    monkeypatch.setattr(export_model, "OUTPUT_DIR", str(tmp_path / "model"))
    with monkeypatch.context() as full, pytest.raises(RunError, match="give the same command again"):
        full.setattr(policy, "write_model", fill)
        export_model.main()
    export_model.main()
    assert (tmp_path / "model" / "model.safetensors").is_file()


def break_shard(folder: Path, how: str) -> None:
    shard, index = folder / "optimizer_0" / "__1_0.distcp", folder / "pytorch_model_fsdp_0" / ".metadata"
    if how == "cut between archives":
        data = shard.read_bytes()
        end = data.index(ZIP_END) + ZIP_END_BYTES
        assert end < len(data) and data[end:].startswith(b"PK")
        os.truncate(shard, end)
    elif how == "cut":
        os.truncate(shard, shard.stat().st_size // 2)
    elif how == "cut by a byte":
        os.truncate(shard, shard.stat().st_size - 1)
    elif how == "empty":
        os.truncate(shard, 0)
    elif how == "gone":
        shard.unlink()
    elif how == "no index":
        index.unlink()
    else:
        os.truncate(index, index.stat().st_size // 2)


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ("cut", r"optimizer_0/__1_0.distcp has \d+ of \d+ bytes"),
        ("cut by a byte", r"optimizer_0/__1_0.distcp has \d+ of \d+ bytes"),
        ("cut between archives", r"optimizer_0/__1_0.distcp has \d+ of \d+ bytes"),
        ("empty", r"optimizer_0/__1_0.distcp has 0 of \d+ bytes"),
        ("gone", r"optimizer_0/__1_0.distcp is missing"),
        ("no index", r"pytorch_model_fsdp_0/.metadata is missing"),
        ("index cut", r"pytorch_model_fsdp_0/.metadata has \d+ of \d+ bytes"),
    ],
)
def test_a_broken_sharded_checkpoint_is_named(runs, tmp_path, how, fault):
    copy = tmp_path / f"checkpoint-{STEPS}"
    shutil.copytree(runs / "sharded" / copy.name, copy)
    assert checkpoint_fault(copy) == ""
    break_shard(copy, how)
    assert re.fullmatch(fault, checkpoint_fault(copy))


def test_a_checkpoint_that_shards_cannot_write_is_one_line(tmp_path):
    pytest.importorskip("trl")
    from torch.distributed.checkpoint.api import CheckpointException

    from raccoon.constants import RunError
    from raccoon.training.policy import saving

    with pytest.raises(RunError, match="checkpoint-2 could not be written"), saving("checkpoint-2", str(tmp_path)):
        raise CheckpointException("write", {0: (OSError("No space left on device"), None)})
    with pytest.raises(RuntimeError, match="^can't start new thread"), saving("checkpoint-2", str(tmp_path)):
        raise RuntimeError("can't start new thread")  # a lack of memory, which free space would not end


@pytest.fixture(scope="module")
def four(runs) -> Path:
    """The same training by four processes: sharded over all, and over each of two pairs that hold the same."""
    few = ["--batch-size", "2", "--gradient-accumulation", "2"]
    wanted = [
        {"argv": flags("all_four", *few), "sharded": True},
        {"argv": flags("two_pairs", *few, "--replicas", "2"), "sharded": True},
    ]
    (runs / "four.json").write_text(json.dumps(wanted))
    done = warm_python.run([str(WORKER), "four.json"], runs, processes=4)
    assert done.returncode == 0, done.stdout + done.stderr
    return runs


def test_replicas_learn_what_one_group_does(four):
    """HSDP: the same completions and weights, but for the order of sums, from shards of half the model."""
    first, second = ((four / output / "completions.jsonl").read_text() for output in ("two_pairs", "all_four"))
    assert first == second
    assert largest_difference(four / "two_pairs", four / "all_four") < 1e-5
    assert largest_difference(four / "two_pairs", four / "model") > 1e-3
    shards = [json.loads((four / f"{output}.probe.0").read_text())["shard"] for output in ("all_four", "two_pairs")]
    assert shards[1] == 2 * shards[0]


# Two machines: two network namespaces, joined by a cable. Slurm's two commands are stood in for.

SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
for rank in 0 1; do
    SLURM_NODEID=$rank ip netns exec "$HOST$rank" "$@" &
    started+=($!)
done
for process in "${started[@]}"; do wait "$process"; done
"""
LAUNCH_CONFIG = "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nmixed_precision: 'no'\n"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts():
    """The common part of the names of two network namespaces that reach each other at 10.77.0.1 and 10.77.0.2."""
    name = f"host{os.getpid()}n"
    try:
        for rank in range(2):
            ip("netns", "add", f"{name}{rank}")
        ip("link", "add", "eth0", "netns", f"{name}0", "type", "veth", "peer", "name", "eth0", "netns", f"{name}1")
        for rank in range(2):
            ip("-n", f"{name}{rank}", "addr", "add", f"10.77.0.{rank + 1}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", f"{name}{rank}", "link", "set", device, "up")
        yield name
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', None) or error}")
    finally:
        for rank in range(2):
            subprocess.run(["ip", "netns", "del", f"{name}{rank}"], capture_output=True)


def test_two_machines_train_as_two_processes_of_one_do(runs, hosts, tmp_path):
    """The Slurm script itself, which starts accelerate on each machine with its rank."""
    for command, text in {"srun": SRUN, "scontrol": "#!/bin/sh\nprintf '10.77.0.1\\n10.77.0.2\\n'\n"}.items():
        (tmp_path / command).write_text(text)
        (tmp_path / command).chmod(0o755)
    (tmp_path / "launch.yaml").write_text(LAUNCH_CONFIG)
    (runs / "hosts.json").write_text(json.dumps([{"argv": flags("hosts"), "sharded": True, "bf16": True}]))
    slurm = {
        "SLURM_NNODES": "2",
        "SLURM_GPUS_ON_NODE": "1",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "host[0-1]",
        "LAUNCH_CONFIG": str(tmp_path / "launch.yaml"),
        "HOST": hosts,
        "GLOO_SOCKET_IFNAME": "eth0",
        "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", str(SCRIPTS / "slurm_two_nodes.sh"), str(WORKER), str(runs / "hosts.json")],
        env=environment(**slurm),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 process(es)" in done.stdout
    assert outcome(runs / "hosts") == outcome(runs / "bf16")

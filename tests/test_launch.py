"""A script that starts itself again as two processes: what they compute, how they end, what stops them at once."""

import json
import os
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers import warm_python
from helpers.paths import ROOT
from helpers.training_runs import SCRIPT, environment, furnish, lines, small_run
from raccoon import launch
from raccoon.constants import RELAUNCHED, InputError

DRIVER = ROOT / "tests" / "helpers" / "rank_free_sampling.py"
# Prints its arguments and what a launcher tells it; ends with its first argument as exit code where that is one.
PROBE = """
import os, sys
sys.path.insert(0, {scripts!r})
from raccoon import launch
launch.relaunch_under_accelerate(2, sharded=False)
names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
said = [*(f"{{name}}={{os.environ.get(name)}}" for name in names), str(launch.world_size()), str(sys.argv[1:])]
os.write(1, (" ".join(said) + "\\n").encode())  # at once: both processes write to one pipe
sys.exit(int(sys.argv[1]) if sys.argv[1:] and os.environ.get("RANK") == "1" else 0)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = furnish(tmp_path_factory.mktemp("launch"))
    (folder / "probe.py").write_text(PROBE.format(scripts=str(SCRIPT.parent)))
    return folder


def words(script: Path, output: str, *flags: str) -> list[str]:
    return [str(script), *small_run(output, "", *flags)]


def start(folder: Path, *command: str, **changes: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def weights(folder: Path) -> dict:
    safetensors = pytest.importorskip("safetensors.torch")
    return safetensors.load_file(folder / "model.safetensors")


TWO = ("--gradient-accumulation", "2", "--processes", "2", "--max-steps", "4", "--save-steps", "4")


@pytest.fixture(scope="module")
def two(place) -> Path:
    """The output of a run that starts itself as two processes."""
    done = start(place, *words(DRIVER, "two", *TWO))
    assert done.returncode == 0, done.stderr
    assert "launch   2 processes under accelerate" in done.stdout
    assert done.stdout.count("saved    two") == done.stdout.count("changed:") == 1  # one process speaks for all
    return place / "two"


def test_two_processes_learn_what_one_does_from_the_same_global_batch(place, two):
    torch = pytest.importorskip("torch")
    done = warm_python.run(words(DRIVER, "one", "--gradient-accumulation", "4", *TWO[4:]), place)
    assert done.returncode == 0, done.stderr
    one = place / "one"
    kept = [
        sorted(
            (r["step"], r["task_id"], r["completion"], r["reward"], round(r["advantage"], 5))
            for r in lines(folder / "completions.jsonl")
        )
        for folder in (one, two)
    ]
    assert kept[0] == kept[1]
    assert len({advantage for *_, advantage in kept[0]}) > 2  # there was something to learn
    for name in ("loss", "grad_norm", "learning_rate", "entropy", "num_tokens"):
        values = [[record[name] for record in lines(folder / "metrics.jsonl")] for folder in (one, two)]
        assert values[0] == pytest.approx(values[1], rel=1e-4, abs=1e-6), name
    before, first, second = weights(place / "model"), weights(one), weights(two)
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=1e-4, atol=1e-5)
    assert any((tensor - before[name]).abs().max() > 0.01 for name, tensor in first.items())


def test_a_signal_to_the_first_process_ends_in_a_checkpoint_that_torchrun_goes_on_from(place, two):
    """And the whole is bit for bit the run that nothing stopped."""
    reader, writer = os.pipe()
    with open(place / "errors", "w+") as stderr:
        script = warm_python.Script(words(DRIVER, "stopped", *TWO), place, {}, writer, stderr)
        os.close(writer)
        with open(reader) as stdout:
            for line in stdout:
                if line.split()[:2] == ["step", "1/4"]:
                    os.kill(script.pid, signal.SIGTERM)
        code, errors = script.wait(), (place / "errors").read_text()
    assert code == 128 + signal.SIGTERM, errors
    assert "Traceback" not in errors
    stopped = json.loads((place / "stopped" / "STOPPED.json").read_text())
    assert stopped["reason"] == "SIGTERM"
    assert stopped["step"] < 4
    assert (place / "stopped" / f"checkpoint-{stopped['step']}" / "trainer_state.json").exists()

    torchrun = [find_spec("torch.distributed.run").origin, "--nproc-per-node", "2", "--standalone"]
    resumed = warm_python.run([*torchrun, *words(DRIVER, "stopped", *TWO)], place)
    assert resumed.returncode == 0, resumed.stderr
    assert f"resume   stopped/checkpoint-{stopped['step']}" in resumed.stdout
    assert "launch   " not in resumed.stdout  # torchrun has started it
    for name in ("model.safetensors", "completions.jsonl"):
        assert (place / "stopped" / name).read_bytes() == (two / name).read_bytes(), name


def test_processes_get_the_arguments_and_a_free_port(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        try:
            default = socket.create_server(("", 29500))  # what accelerate would take; another may have it already
        except OSError:
            default = taken
        with default:
            done = warm_python.run(["probe.py", "0", "with space", "--flag=x"], place)
    assert done.returncode == 0, done.stderr
    said = sorted(line for line in done.stdout.splitlines() if line.startswith("RANK="))
    assert said == [f"RANK={rank} LOCAL_RANK={rank} WORLD_SIZE=2 2 ['0', 'with space', '--flag=x']" for rank in (0, 1)]
    assert "launch   2 processes under accelerate, a whole model each" in done.stdout


@pytest.mark.parametrize("code", [2, 137])
def test_the_exit_code_is_the_failed_process_s(place, code):
    done = warm_python.run(["probe.py", str(code)], place)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_bad_input_is_refused_before_anything_is_launched(place):
    done = warm_python.run(words(SCRIPT, "refused", "--processes", "2", "--num-generations", "7"), place)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "x 2 process(es) = 32 completions a step" in done.stderr
    assert "launch" not in done.stdout


@pytest.mark.parametrize("name", [*launch.LAUNCHER_VARIABLES, RELAUNCHED])
def test_a_process_that_a_launcher_has_started_starts_nothing(monkeypatch, name):
    for variable in (*launch.LAUNCHER_VARIABLES, RELAUNCHED):
        monkeypatch.delenv(variable, raising=False)
    assert not launch.is_launched()
    monkeypatch.setenv(name, "2")
    monkeypatch.setattr(launch, "run_launcher", pytest.fail)
    launch.relaunch_under_accelerate(2, sharded=True)


def test_one_process_is_not_launched(monkeypatch):
    monkeypatch.setattr(launch, "run_launcher", pytest.fail)
    launch.relaunch_under_accelerate(1, sharded=True)


def test_the_number_of_processes_is_held_to_what_was_asked_for(monkeypatch):
    monkeypatch.setenv(RELAUNCHED, "2")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(InputError, match="2 processes were started, but WORLD_SIZE is 1"):
        launch.world_size()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launch.world_size() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    launch.check_local_gpus(2)
    launch.check_local_gpus(0)  # the CPU has no such limit
    with pytest.raises(InputError, match="2 processes were started on this machine and 1 GPU"):
        launch.check_local_gpus(1)


@pytest.mark.parametrize(("sharded", "precision"), [(True, "bf16"), (True, "no"), (False, "bf16"), (False, "no")])
def test_accelerate_understands_the_words(monkeypatch, sharded, precision):
    """FSDP2 as its file has it, or none of it; the number of processes and the precision are the caller's."""
    commands = pytest.importorskip("accelerate.commands.launch")
    monkeypatch.setattr(sys, "argv", ["script.py", "--demo"])
    parsed = commands.launch_command_parser().parse_args(launch.launcher_words(3, sharded, precision))
    arguments = commands._validate_launch_command(parsed)[0]
    assert (arguments.use_fsdp, arguments.multi_gpu) == (sharded, not sharded)
    assert (arguments.num_processes, arguments.num_machines, arguments.mixed_precision) == (3, 1, precision)
    assert (arguments.training_script, arguments.training_script_args) == (os.path.abspath("script.py"), ["--demo"])
    assert int(arguments.fsdp_version) == 2
    assert arguments.fsdp_state_dict_type == "SHARDED_STATE_DICT"


def test_a_launcher_that_would_kill_the_last_checkpoint_is_refused(monkeypatch):
    """torch reads the seconds in the launcher, before any process of the run can say something."""
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.delenv(launch.GRACE, raising=False)
    launch.check_grace()  # no launcher of torch's
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(InputError, match="export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=900 before the launcher, or"):
        launch.check_grace()
    monkeypatch.setenv(launch.GRACE, "800")
    launch.check_grace()


def test_torch_still_reads_the_grace_from_its_environment(monkeypatch):
    api = pytest.importorskip("torch.distributed.launcher.api")
    monkeypatch.setenv(launch.GRACE, launch.SHUTDOWN_SECONDS)
    assert api.LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=1).shutdown_timeout == 900

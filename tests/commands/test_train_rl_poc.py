"""The training script itself, on a random model of a few hundred weights: what it refuses, writes and resumes."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

import train_rl_poc
from helpers import warm_python
from helpers.training_runs import (
    PROGRAMS,
    SCRIPT,
    STEPS,
    TEMPLATE,
    command,
    environment,
    furnish,
    lines,
    outcome,
    run,
    run_afresh,
)
from raccoon.runs.log import TIMED
from raccoon.tasks.task import Task, write_task_file

# A callback of one's own: the held-out check after step 2 is the best one, and a Ctrl-C comes after step 3.
BEST_AND_STOPPED = """
import os, signal
from transformers import TrainerCallback
class BestAndStopped(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 2:
            state.best_global_step, state.best_metric, control.should_save = 2, 1.0, True
        if state.global_step == 3:
            os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with a random model whose tokens are whole programs, and with task files."""
    return furnish(tmp_path_factory.mktemp("train"), heldout=3)


def stop_after(folder: Path, output: str, step: int, number: int) -> tuple[int, str]:
    """Runs the script, sends it a signal once it has printed a step, and gives its exit code and output."""
    reader, writer = os.pipe()
    script, text = warm_python.Script(command(output)[1:], folder, {}, writer, sys.stderr), ""
    os.close(writer)
    with open(reader) as stdout:
        for line in stdout:
            text += line
            if line.split()[:2] == ["step", f"{step}/{STEPS}"]:
                os.kill(script.pid, number)
    return script.wait(), text


@pytest.fixture(scope="module")
def straight(workplace) -> Path:
    """The output of a run that nothing stopped."""
    done = run_afresh(workplace, "straight")
    assert done.returncode == 0, done.stderr
    (workplace / "straight.log").write_text(done.stdout)
    return workplace / "straight"


# Refusals: one line, exit 2, before a library is loaded


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--loss-type", "ppo"], "no LOSS_TYPE 'ppo'; choose from grpo, dr_grpo, dapo"),
        (["--scale-rewards", "std"], "no SCALE_REWARDS 'std'; choose from none, batch, group, mean"),
        (
            ["--num-generations", "6", "--max-refills", "0"],
            "BATCH_SIZE 4 x GRADIENT_ACCUMULATION 4 x 1 process(es) = 16 completions a step, which do "
            "not split into groups "
            "of NUM_GENERATIONS 6; the nearest NUM_GENERATIONS that fits is 4",
        ),
        (["--num-generations", "1"], "the nearest NUM_GENERATIONS that fits is 2"),
        (["--max-steps", "0"], "MAX_STEPS is 0; give a value above 0"),
        (["--num-iterations", "3"], "is not a multiple of NUM_ITERATIONS 3"),
        (["--model-path", "./absent"], "no model folder ./absent; run with --demo"),
        (["--model-path", "some/model"], "no GPU is visible for some/model of the hub; run with --demo"),
        (["--model-path", "."], "no model in . (no config.json"),
        (["--savings", "rows", "--loss-type", "grpo"], "else it changes the gradient: they are grpo and 0.0"),
        (["--savings", "rows", "--beta", "0.1"], "else it changes the gradient: they are dapo and 0.1"),
        (["--savings", "fence", "--mask-truncated"], "fence of SAVINGS needs GENERATION transformers, and"),
        (["--stop-at-fence"], "no flag --stop-at-fence any more; give --savings fence"),
        (["--share-prompts"], "no flag --share-prompts any more; give --savings prompts"),
        (["--skip-rows-without-signal=true"], "no flag --skip-rows-without-signal any more; give --savings rows"),
        (["--no-cpu-bfloat16"], "no flag --no-cpu-bfloat16 any more; leave it out"),
        (["--generation", "lean"], "GENERATION lean is a saving now; give --savings generation instead"),
        (["--partial-credit", "some"], "no PARTIAL_CREDIT 'some'; choose from flat, fraction, beyond_constant, off"),
        (["--output-dir", "model"], "OUTPUT_DIR model is MODEL_PATH"),
        (["--output-dir", "."], "OUTPUT_DIR . is or contains the current folder"),
        (["--train-files", "absent.jsonl"], "no task file absent.jsonl"),
        (["--training-sets", "mbpp", "humaneval", "--data-dir", "absent"], "absent/mbpp/sanitized-mbpp.json"),
        (["--heldout", "train.jsonl"], "every task of HELDOUT train.jsonl is trained on"),
        (["--heldout", "humanevil"], "humanevil"),
        (["--train-file", "train.jsonl"], "--train-file"),
    ],
)
def test_bad_input_is_one_line(workplace, flags, words):
    done = run(workplace, "refused", *flags)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (workplace / "refused").exists()


def test_layers_that_the_model_lacks_are_named_by_their_constant(workplace):
    done = run(workplace, "untargeted", "--use-lora", "--lora-targets", "nope")
    assert done.returncode == 2 and "LORA_TARGETS" in done.stderr.splitlines()[-1]


def test_the_default_model_without_a_gpu_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "run with --demo, or give --model-path a saved model" in done.stderr


def test_a_task_that_fails_its_own_solution_is_named(workplace):
    tasks = [Task(f"own/{i}", "p", "assert f(1) == 2", "f", solution=PROGRAMS[i % 2]) for i in range(3)]
    write_task_file(workplace / "wrong.jsonl", tasks)
    done = run(workplace, "refused", "--train-files", "wrong.jsonl")
    assert done.returncode == 2, done.stderr
    assert "1 of 3 tasks fail their own solution or cannot be judged: own/1 (wrong" in done.stderr


def test_help_needs_no_library(workplace):
    program = (
        "import runpy, sys; sys.argv[1:] = ['--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit: print({'torch', 'transformers', 'trl', 'datasets', 'numpy'} & set(sys.modules))"
    )
    program = program.replace("sys.argv[0]", repr(str(SCRIPT)))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(PYTHONPATH=str(SCRIPT.parent)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--num-generations" in done.stdout
    assert done.stdout.endswith("set()\n")


# What a run writes


def test_a_run_writes_a_model_that_knows_its_constants(straight):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = json.loads((straight / "config.json").read_text())
    assert (config["MAX_STEPS"], config["LEARNING_RATE"], config["SCALE_REWARDS"]) == (STEPS, 0.03, "none")
    assert (config["hidden_size"], config["ended"]) == (16, "the last step was made")
    model = AutoModelForCausalLM.from_pretrained(straight)
    assert set(model.generation_config.eos_token_id) == {0, 2}  # both ends of a completion
    assert AutoTokenizer.from_pretrained(straight).chat_template == TEMPLATE
    assert not (straight / "STOPPED.json").exists()


def test_a_run_keeps_every_completion(straight):
    records = lines(straight / "completions.jsonl")
    first = [record for record in records if record["step"] == 1]
    used = [record for record in first if record["used"]]
    assert {record["step"] for record in records} == set(range(1, STEPS + 1))
    assert len(used) == 16
    for group in {record["group"] for record in first}:
        members = [record for record in first if record["group"] == group]
        assert len(members) == 4
        assert len({record["task_id"] for record in members}) == 1
        assert sum(record["advantage"] for record in members) == pytest.approx(0, abs=1e-6)
    for record in records:
        expected = (
            -0.4 if record["truncated"] else {"PASS": 1.1, "PARTIAL": 0.3, "FAIL": -0.4}[record["verdict"]["status"]]
        )
        assert record["reward"] == pytest.approx(expected)  # short lines, short response


def test_groups_without_a_signal_give_way_to_others(straight):
    records = lines(straight / "completions.jsonl")
    left_out = [record for record in records if not record["used"]]
    assert left_out
    assert all(record["advantage"] == 0 for record in left_out)
    for step, logged in enumerate(lines(straight / "metrics.jsonl"), 1):
        used = [record for record in records if record["step"] == step and record["used"]]
        passes = [record["verdict"]["status"] == "PASS" and not record["truncated"] for record in used]
        assert logged["pass_rate"] == pytest.approx(sum(passes) / 16)
        assert 4 * sum(logged["unused_groups"].values()) == sum(record["step"] == step for record in left_out)
    sizes = {sum(record["step"] == step and record["used"] for record in records) for step in range(1, STEPS + 1)}
    assert sizes == {16}


def test_a_run_logs_every_step_and_check(straight):
    metrics = lines(straight / "metrics.jsonl")
    assert [record["step"] for record in metrics] == list(range(1, STEPS + 1))
    assert all(record["weights_changed"] > 0.5 for record in metrics[1:])
    timed = {part: [at for at, record in enumerate(metrics, 1) if record["seconds"][part] > 0] for part in TIMED}
    every = list(range(1, STEPS + 1))
    # The first check comes before the first step; a checkpoint is counted to the step after it
    checkpoints = [step + 1 for step in every[:-1] if step % 4 == 0]
    assert timed == dict.fromkeys(TIMED, every) | {"heldout": [1, 4, 8, 12, STEPS], "checkpoint": checkpoints}
    assert [record["step"] for record in lines(straight / "heldout.jsonl")] == [0, 4, 8, 12, STEPS]  # the last one too
    log = (straight.parent / "straight.log").read_text()
    assert "4 prompts x 4 = 16 completions" in log
    assert f"step {STEPS}/{STEPS}  pass" in log
    assert log.rstrip().endswith("evaluate_models.py --models model straight --benchmarks heldout.jsonl")


def test_a_run_ends_with_its_report_and_its_card(straight):
    assert "It is finished" in (straight / "report.html").read_text(encoding="utf-8")
    assert "It is finished" in (straight / "README.md").read_text(encoding="utf-8")
    assert not [*straight.glob("checkpoint-*/README.md")]


def test_the_best_checkpoint_is_kept(straight):
    checks = lines(straight / "heldout.jsonl")
    best = max(checks, key=lambda record: record["pass_rate"])
    kept = {path.name for path in straight.glob("checkpoint-*")}
    assert f"checkpoint-{STEPS}" in kept
    assert best["step"] == 0 or f"checkpoint-{best['step']}" in kept


# Stopping and going on


def test_a_stopped_run_goes_on_bit_for_bit(workplace, straight):
    code, text = stop_after(workplace, "stopped", 5, signal.SIGTERM)
    folder = workplace / "stopped"
    assert code == 128 + signal.SIGTERM, text
    stopped = json.loads((folder / "STOPPED.json").read_text())
    assert stopped["reason"] == "SIGTERM"
    assert (folder / f"checkpoint-{stopped['step']}").is_dir()
    assert f"stopped after step {stopped['step']}: SIGTERM" in text

    done = run(workplace, "stopped")
    assert done.returncode == 0, done.stderr
    assert f"resume   stopped/checkpoint-{stopped['step']}" in done.stdout
    assert outcome(folder) == outcome(straight)
    assert not (folder / "STOPPED.json").exists()


@pytest.mark.parametrize(("limit", "left"), [("1", [4]), ("2", [2, 4])])
def test_a_stop_keeps_its_checkpoint_beside_an_earlier_best_one(workplace, limit, left):
    """With room for one checkpoint, it is the newest: the best one would cost the steps since."""
    (workplace / "best.py").write_text(BEST_AND_STOPPED)
    flags = ["--save-total-limit", limit, "--heldout", "", "--max-steps", "6"]
    done = run(workplace, f"best_{limit}", *flags, "--callbacks", "best.py:BestAndStopped")
    assert done.returncode == 128 + signal.SIGINT, done.stdout + done.stderr
    found = [int(path.name.split("-")[1]) for path in (workplace / f"best_{limit}").glob("checkpoint-*")]
    assert sorted(found) == left
    assert f"resume   best_{limit}/checkpoint-4" in run(workplace, f"best_{limit}", *flags).stdout


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_that_is_stopped_leaves_no_mark(dry_run, capsys):
    trainer, stop = Mock(), Mock(number=int(signal.SIGTERM))
    stop.name, trainer.stop_reason = "SIGTERM", ""
    with pytest.raises(SystemExit, match="143"):
        train_rl_poc.train(trainer, None, stop, dry_run)
    assert trainer.run_log.write_stopped.called is not dry_run
    assert ("to continue" in capsys.readouterr().out) is not dry_run


def test_a_killed_run_goes_on_from_the_newest_whole_checkpoint(workplace, straight):
    code, text = stop_after(workplace, "killed", 10, signal.SIGKILL)
    folder = workplace / "killed"
    assert code == -signal.SIGKILL, text
    optimizer = folder / "checkpoint-8" / "optimizer.pt"
    os.truncate(optimizer, optimizer.stat().st_size // 2)

    done = run(workplace, "killed")
    assert done.returncode == 0, done.stderr
    assert "killed/checkpoint-8 is not whole (optimizer.pt has " in done.stdout
    assert "resume   killed/checkpoint-4" in done.stdout
    assert outcome(folder) == outcome(straight)


def test_a_run_killed_before_its_first_checkpoint_starts_over(workplace, straight):
    code, text = stop_after(workplace, "early", 2, signal.SIGKILL)
    assert code == -signal.SIGKILL, text
    done = run(workplace, "early")
    assert done.returncode == 0, done.stderr
    assert "restart  early from step 0" in done.stdout
    assert outcome(workplace / "early") == outcome(straight)


def test_what_cannot_go_on_is_refused_and_keeps_its_logs(workplace, straight):
    kept = (straight / "metrics.jsonl").read_bytes()
    copy = workplace / "broken"
    shutil.copytree(straight, copy)
    done = run(workplace, "broken", "--processes", "2")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "a run of 1 process(es), and this command starts 2; give --processes 1" in done.stderr
    for checkpoint in copy.glob("checkpoint-*"):
        (checkpoint / "optimizer.pt").unlink()
    done = run(workplace, "broken")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{STEPS} logged steps but no whole checkpoint" in done.stderr
    assert (copy / "metrics.jsonl").read_bytes() == kept


def test_a_full_disk_ends_the_run_and_it_goes_on(workplace, straight):
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (24_000, 24_000))  # less than the optimizer's state

    done = run_afresh(workplace, "full", preexec_fn=small_files)
    assert done.returncode == 1, done.stderr
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    done = run(workplace, "full")
    assert done.returncode == 0, done.stderr
    assert outcome(workplace / "full") == outcome(straight)


def test_a_name_for_the_hub_is_checked_before_the_training_and_the_card_goes_with_the_model(
    workplace, monkeypatch, capsys
):
    done = run(workplace, "hub", "--push-to-hub", "a/b/c")
    assert done.returncode == 2 and "'a/b/c'" in done.stderr and not (workplace / "hub").exists()
    commands = []
    failing = lambda words, **_: commands.append(words) or SimpleNamespace(returncode=1)  # noqa: E731
    monkeypatch.setattr(train_rl_poc.subprocess, "run", failing)
    train_rl_poc.write_report("out", "me/m")
    assert [Path(words[1]).name for words in commands] == ["make_report.py", "model_card.py", "export_model.py"]
    assert "python scripts/export_model.py out --push-to-hub me/m" in capsys.readouterr().out


def test_another_run_is_not_written_over(workplace, straight):
    done = run(workplace, "straight", "--learning-rate", "0.1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "LEARNING_RATE 0.03 -> 0.1" in done.stderr


def test_an_early_stop_is_a_finished_run_that_says_why(workplace):
    flags = ["--learning-rate", "1e-12", "--heldout-every", "1", "--heldout-patience", "2"]
    done = run(workplace, "patient", *flags, REPORTS="1")
    assert done.returncode == 0, done.stderr
    why = "early stop, no better held-out pass rate in 2 checks"
    assert f"\n{why}\n" in done.stdout
    assert json.loads((workplace / "patient" / "config.json").read_text())["ended"] == why
    assert not (workplace / "patient" / "STOPPED.json").exists()
    assert f"It ended early, after 2 of {STEPS} steps, and saved its model: {why}." in (
        workplace / "patient" / "report.html"
    ).read_text(encoding="utf-8")


def test_other_objectives_run(workplace):
    done = run(
        workplace,
        "lora",
        "--use-lora",
        "--scale-rewards",
        "batch",
        "--num-iterations",
        "2",
        "--beta",
        "0.1",
        "--loss-type",
        "dr_grpo",
        "--partial-credit",
        "fraction",
        "--max-steps",
        "4",
        "--mask-truncated",
        "passed",
        "--grpo-options",
        '{"entropy_coef": 0.01}',
        "--lora-options",
        '{"use_dora": true}',
        "--heldout-temperature",
        "0.7",
        "--profile-samples",
        "4",
        "--max-constant-share",
        "1",
    )
    assert done.returncode == 0, done.stderr
    profile = lines(workplace / "lora" / "profile.jsonl")
    assert [record["samples"] for record in profile] == [4] * 6
    trained = {record["task_id"] for record in lines(workplace / "lora" / "completions.jsonl")}
    assert trained <= {record["task_id"] for record in profile if len(set(record["correctness"])) > 1}
    assert not list((workplace / "lora").glob("adapter*"))
    assert "\noptions  entropy_coef 0.01, use_dora True\n" in done.stdout
    assert json.loads((workplace / "lora" / "lora_adapter" / "adapter_config.json").read_text())["use_dora"]
    assert {record["step"] for record in lines(workplace / "lora" / "completions.jsonl")} == {1, 3}

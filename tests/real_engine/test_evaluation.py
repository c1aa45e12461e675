"""The evaluation with a real vLLM engine: what transformers writes, progress, silence, nothing left behind."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from helpers.paths import SCRIPTS
from helpers.processes import left_of_session, start, until
from helpers.training_runs import environment
from raccoon.evaluation.engines import Decoding, Slot, Turn, load_engine
from raccoon.records import Verdict
from raccoon.tasks.task import read_task_file

TASKS = 100


def words(demo, output, *flags):
    return [
        sys.executable,
        str(SCRIPTS / "evaluate_models.py"),
        "--models",
        str(demo / "sft_model"),
        "--benchmarks",
        str(demo / "heldout_tasks.jsonl"),
        "--output-dir",
        str(output),
        "--max-completion-length",
        "110",
        "--limit",
        str(TASKS),
        *flags,
    ]


def completions(output, name="heldout_tasks.jsonl"):
    lines = (output / "sft_model" / name).read_text().splitlines()
    return {(row["task_id"], row["sample"]): row["completion"] for row in map(json.loads, lines)}


@pytest.fixture(scope="module")
def evaluated(demo, tmp_path_factory):
    """What the command said, and the folder that it wrote, for each engine."""
    found = {}
    for engine in ("vllm", "transformers"):
        output = tmp_path_factory.mktemp(engine)
        flags = ["--engine", engine, "--modes", "greedy", "sampled"]
        found[engine] = (
            subprocess.run(words(demo, output, *flags), env=environment(), capture_output=True, text=True, check=True),
            output,
        )
    return found


def test_greedy_completions_are_those_of_transformers(evaluated):
    vllm, transformers = (completions(output) for _, output in evaluated.values())
    assert len(vllm) == TASKS and len(set(vllm.values())) > TASKS / 2
    assert vllm == transformers


def test_samples_are_those_of_the_same_command_again(demo, evaluated, tmp_path):
    flags = ["--engine", "vllm", "--modes", "sampled"]
    subprocess.run(words(demo, tmp_path, *flags), env=environment(), capture_output=True, check=True)
    name = "heldout_tasks.sampled.jsonl"
    first = completions(evaluated["vllm"][1], name)
    assert completions(tmp_path, name) == first != completions(evaluated["vllm"][1])


def test_the_engine_says_nothing(evaluated):
    done, as_many = evaluated["vllm"][0], evaluated["transformers"][0].stdout.count("\n")
    assert done.stdout.count("\n") == as_many
    bars = done.stderr.replace("\r", "\n").split("\n")  # on a slow machine
    assert [line for line in bars if line and "task/s" not in line and "s/task" not in line] == []


def test_ctrl_c_ends_it_and_leaves_no_process(demo, tmp_path):
    process = start(words(demo, tmp_path, "--engine", "vllm", "--batch-size", "8"))
    until(lambda: (tmp_path / "sft_model" / "heldout_tasks.jsonl").exists(), process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and errors.splitlines()[-1] == "interrupted"
    assert left_of_session(process.pid) == []


def test_each_end_is_told_while_others_are_written(demo):
    engine = load_engine(demo / "sft_model", Decoding(max_tokens=110, engine="vllm"))
    requests = [Slot(task) for task in read_task_file(demo / "heldout_tasks.jsonl")[:32]]
    told, unfinished = [], []

    def ended(request, completion):
        told.append((request, completion))
        unfinished.append(engine.model.get_num_unfinished_requests())

    answers = engine.generate(requests, ended)
    engine.close()
    assert sorted(told, key=lambda pair: requests.index(pair[0])) == list(zip(requests, answers, strict=True))
    assert unfinished[0] > unfinished[-1]


def test_a_second_turn_is_that_of_transformers_and_its_first_one_comes_from_the_cache(demo):
    """Prompts of several hundred tokens, because the cache holds whole blocks of up to 128."""
    tasks = read_task_file(demo / "heldout_tasks.jsonl")[:16]
    slots = [Slot(replace(task, prompt=8 * task.prompt), turns=2, max_feedback=300) for task in tasks]
    verdict = Verdict("PARTIAL", "wrong: 0 of 1", 0, 1, feedback="Your code fails a test.")
    later = {}
    for name in ("vllm", "transformers"):
        engine = load_engine(demo / "sft_model", Decoding(max_tokens=60, engine=name))
        first = engine.generate(slots)
        second = [slot.after(Turn(answer, "", verdict)) for slot, answer in zip(slots, first, strict=True)]
        if name == "vllm":
            known = sum(map(len, engine.rows(slots, engine.prompts(slots)))) + sum(len(answer.ids) for answer in first)
            before = engine.cached_tokens
        later[name] = engine.generate(second)
        if name == "vllm":
            assert engine.cached_tokens - before > known / 2
        engine.close()
    assert later["vllm"] == later["transformers"] != first


def test_an_adapter_is_served_as_if_it_were_merged(demo, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(demo / "sft_model")
    lora = LoraConfig(r=12, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(base, lora).save_pretrained(tmp_path / "adapter")
    requests = [Slot(task) for task in read_task_file(demo / "heldout_tasks.jsonl")[:32]]
    answers = {}
    for name, folder in {"vllm": "adapter", "transformers": "adapter", "base": demo / "sft_model"}.items():
        decoding = Decoding(max_tokens=60, engine="vllm" if name == "vllm" else "transformers")
        engine = load_engine(tmp_path / folder, decoding)
        answers[name] = engine.generate(requests)
        engine.close()
    assert answers["vllm"] == answers["transformers"] != answers["base"]

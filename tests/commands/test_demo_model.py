"""Tests of the demo's SFT model (tokenizer, files, seed) and of demo.sh, which chains the stages."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import demo_model
import train_rl_poc
from raccoon.constants import InputError, read_constants
from raccoon.conversation import TurnTemplate
from raccoon.tasks.task import read_task_file
from raccoon.tasks.visible_tests import visible_fault

SCRIPTS = Path(demo_model.__file__).parent
TEXTS = [
    "def f(x):\n    return x\n",
    "```python\ndef f():\n\tpass\n```",
    "\n\n  indented",
    "Here is é, 你 and 🙂\r\n",
    " ",
    "a" * 300,
    "3.14 <= x[-1] # 100%",
    "word",
    '"""Return {}."""',
]


@pytest.fixture(scope="module")
def tokenizer():
    return demo_model.build_tokenizer(list(demo_model.teacher_conversations(300, "0 first")), 768, 1024)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A function that trains a model for three steps under changed constants and returns its folder."""
    constants = {"MAX_STEPS": 3, "BATCH_SIZE": 4, "NUM_TRAIN_TASKS": 20, "NUM_HELDOUT_TASKS": 10}

    def make(name: str, **changed) -> Path:
        for constant, value in {**constants, "OUTPUT_DIR": str(tmp_path / name), **changed}.items():
            monkeypatch.setattr(demo_model, constant, value)
        demo_model.main()
        return tmp_path / name

    return make


def chat(tokenizer, *contents: str, **options):
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(contents)]
    return tokenizer.apply_chat_template(messages, **options)


@pytest.mark.parametrize("text", TEXTS)
def test_tokenizer_gives_every_text_back(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize("completion", [*TEXTS, "<|im_end|>", "\n"])
@pytest.mark.parametrize("prompt", ["Write f(x).", "ends in a line break\n", ""])
def test_no_token_reaches_across_the_assistant_header(tokenizer, prompt, completion):
    header = chat(tokenizer, prompt, tokenize=False, add_generation_prompt=True)
    assert header.endswith("<|im_start|>assistant\n")
    alone = tokenizer(header)["input_ids"] + tokenizer(completion)["input_ids"]
    assert tokenizer(header + completion)["input_ids"] == alone
    assert chat(tokenizer, prompt, completion, tokenize=False).startswith(header + completion)


def test_template_marks_the_completion_and_takes_enable_thinking(tokenizer):
    marked = chat(tokenizer, "Write f(x).", "def f(x): pass", return_assistant_tokens_mask=True, return_dict=True)
    kept = [i for i, mark in zip(marked["input_ids"], marked["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(kept) == "def f(x): pass<|im_end|>"
    plain = chat(tokenizer, "Write f(x).", tokenize=False, add_generation_prompt=True)
    for thinking in (True, False):
        assert plain == chat(
            tokenizer, "Write f(x).", tokenize=False, add_generation_prompt=True, enable_thinking=thinking
        )


def test_encoding_trains_on_the_whole_completion_and_its_end(tokenizer):
    conversations = list(demo_model.teacher_conversations(20, "0 first"))
    examples = demo_model.encode(tokenizer, conversations)
    for (ids, answers), (_, answer) in zip(examples, conversations, strict=True):
        learnt = [token for token in answers if token != -100]
        assert tokenizer.decode(learnt) == answer["content"] + "<|im_end|>" and ids[-len(learnt) :] == learnt
        assert ids[-len(learnt) - 1] == tokenizer.convert_tokens_to_ids("<|im_start|>assistant\n")


def test_padding_does_not_change_the_loss(tokenizer):
    demo_model.prepare_torch(1, 0)
    model = demo_model.build_model(tokenizer, demo_model.model_shape())
    examples = demo_model.encode(tokenizer, list(demo_model.teacher_conversations(40, "0 first")))
    short, long = min(examples, key=lambda e: len(e[0])), max(examples, key=lambda e: len(e[0]))
    weights = [len(answers) - answers.count(-100) for _, answers in (short, long)]
    alone = [demo_model.completion_loss(model, [example], pad_id=0).item() for example in (short, long)]
    together = demo_model.completion_loss(model, [short, long], pad_id=0).item()
    mean = sum(weight * loss for weight, loss in zip(weights, alone, strict=True)) / sum(weights)
    assert together == pytest.approx(mean, rel=1e-4)


def test_three_steps_write_loadable_files(tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny("demo")
    tasks = read_task_file(folder / "train_tasks.jsonl"), read_task_file(folder / "heldout_tasks.jsonl")
    assert [len(split) for split in tasks] == [20, 10] and {task.split for task in tasks[1]} == {"heldout"}
    assert json.loads((folder / "config.json").read_text())["MAX_STEPS"] == 3

    model = AutoModelForCausalLM.from_pretrained(folder / "sft_model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "sft_model")
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    generation = json.loads((folder / "sft_model" / "generation_config.json").read_text())
    assert generation["eos_token_id"] == ends and generation["pad_token_id"] == ends[1]
    sampling = {name: generation[name] for name in ("do_sample", "temperature", "top_k", "top_p")}
    assert sampling == {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    assert len(tokenizer) == model.config.vocab_size and str(model.dtype) == "torch.float32"
    prompt = chat(tokenizer, tasks[0][0].prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert model.generate(**prompt, max_new_tokens=4).shape[1] > prompt["input_ids"].shape[1]


def test_same_seed_same_weights(tiny):
    weights = {
        name: (tiny(name, SEED=seed) / "sft_model" / "model.safetensors").read_bytes()
        for name, seed in (("a", 7), ("b", 7), ("c", 8))
    }
    assert weights["a"] == weights["b"] != weights["c"]


@pytest.fixture(scope="module")
def talks():
    return demo_model.conversations_of_turns(150, "0 first", 3, 1000)


def test_a_program_that_fails_the_visible_assert_has_feedback_and_another_try(talks):
    lengths = [len(talk) for talk in talks]
    assert set(lengths) == {2, 4, 6} and 20 < lengths.count(4) + lengths.count(6) < 100
    told = [talk[place]["content"] for talk in talks for place in range(2, len(talk), 2)]
    assert all(text.startswith("Your code ") and text.endswith("```python block.") for text in told)
    for words in ("\ntest: assert ", "\nexpected: ", "does not parse"):
        assert any(words in text for text in told)
    changed = [talk[1]["content"] != talk[3]["content"] for talk in talks if len(talk) > 2]
    assert sum(changed) > 0.8 * len(changed)
    made = [demo_model.conversations_of_turns(30, seed, 2, 1000) for seed in ("0", "0", "1")]
    assert made[0] == made[1] != made[2]


def test_first_answers_are_as_good_with_turns_as_without(talks):
    """A conversation goes on because its program fails, so the model sees no more wrong first answers than before."""
    once = [*demo_model.teacher_conversations(1000, "0 first")]
    many = demo_model.conversations_of_turns(1000, "0 first", 1, 1000)
    broken = [sum("results = []" in talk[1]["content"] for talk in each) for each in (once, many)]
    assert {len(talk) for talk in many} == {2} and 5 < broken[1] < 4 * broken[0]


def test_the_loss_of_several_turns_is_that_of_all_answers_alone(talks):
    tokenizer = demo_model.build_tokenizer(talks, 768, 3072)
    longest = max(talks, key=len)
    ((ids, answers),) = demo_model.encode(tokenizer, [longest])
    learnt = tokenizer.decode([token for token in answers if token != -100])
    assert learnt == "".join(message["content"] + "<|im_end|>" for message in longest[1::2])
    assert [token for token, kept in zip(ids, answers, strict=True) if kept not in (token, -100)] == []


def test_a_conversation_is_encoded_as_training_puts_its_turns_together(talks):
    tokenizer = demo_model.build_tokenizer(talks, 768, 3072)
    template = TurnTemplate(tokenizer, [tokenizer.eos_token_id], False)
    for talk in [talk for talk in talks if len(talk) > 2][:20]:
        ids = tokenizer.apply_chat_template(talk[:1], add_generation_prompt=True)["input_ids"]
        for answer, told in zip(talk[1::2], [*talk[2::2], None], strict=True):
            answer_ids = tokenizer(answer["content"] + "<|im_end|>")["input_ids"]
            ids = ids + answer_ids + (template.after(answer_ids, told["content"]) if told else [])
        assert demo_model.encode(tokenizer, [talk])[0][0] == ids


def test_two_turns_have_visible_asserts_and_room_for_the_longest_conversation(tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny("demo", TURNS=2)
    tasks = [task for name in ("train", "heldout") for task in read_task_file(folder / f"{name}_tasks.jsonl")]
    assert {task.visible_tests for task in tasks} == {task.test.partition("\n")[0] + "\n" for task in tasks}
    assert [visible_fault(task) for task in tasks] == [""] * len(tasks)
    model = AutoModelForCausalLM.from_pretrained(folder / "sft_model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "sft_model")
    prompt = max(len(tokenizer(task.prompt)["input_ids"]) for task in tasks) + 8
    answers = 2 * train_rl_poc.DEMO["MAX_COMPLETION_LENGTH"]
    longest = prompt + answers + TurnTemplate(tokenizer, [tokenizer.eos_token_id], False).longest(1000)
    assert longest <= model.config.max_position_embeddings == tokenizer.model_max_length


def test_one_turn_is_as_before_there_were_turns(tiny, tmp_path, capsys):
    folder = tiny("demo")
    lines = (folder / "train_tasks.jsonl").read_text().splitlines()
    assert not any("visible_tests" in json.loads(line) for line in lines)
    made = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({k: v for k, v in made.items() if "TURN" not in k and "FEED" not in k})
    )
    tiny("demo")
    assert "exists already" in capsys.readouterr().out
    with pytest.raises(InputError, match="made with other values of TURNS"):
        tiny("demo", TURNS=2)


def test_init_from_goes_on_with_new_trajectories_at_the_last_rate(tiny, monkeypatch):
    given, train = [], demo_model.train

    def watched(model, batches, rates, *more):
        given.append(([*batches], rates))
        return train(model, given[-1][0], rates, *more)

    monkeypatch.setattr(demo_model, "train", watched)
    first = tiny("first")
    more = tiny("more", INIT_FROM=str(first / "sft_model"))
    assert given[0][0] != given[1][0]
    assert set(given[1][1]) == {demo_model.LEARNING_RATE * demo_model.FINAL_LR_SHARE} != set(given[0][1])
    names = ("tokenizer.json", "model.safetensors")
    same = [(first / "sft_model" / n).read_bytes() == (more / "sft_model" / n).read_bytes() for n in names]
    assert same == [True, False]


def test_a_made_model_is_kept_and_never_replaced_by_another(tiny, capsys):
    weights = (folder := tiny("demo")) / "sft_model" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    tiny("demo")
    assert "exists already" in capsys.readouterr().out
    with pytest.raises(InputError, match="made with other values of SEED"):
        tiny("demo", SEED=9)
    assert weights.stat().st_mtime_ns == before and (folder / "config.json").is_file()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--init-from", "/nowhere"], "no saved model at /nowhere"),
        (["--max-steps", "0"], "MAX_STEPS is 0"),
        (["--turns", "0"], "TURNS is 0"),
        (["--seeed", "1"], "--seed"),
        (["--output-dir", "/dev/null/no"], "OUTPUT_DIR /dev/null/no: /dev/null is not a writable folder"),
    ],
)
def test_bad_input_is_one_line_before_torch(flags, message, tmp_path):
    command = [sys.executable, "-X", "importtime", SCRIPTS / "demo_model.py", *flags]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2 and len(lines) == 1 and message in lines[0]
    assert "torch" not in done.stderr and list(tmp_path.iterdir()) == []


# demo.sh: a stand-in interpreter that says what it was asked to run. It makes $HANGS by itself: bash goes on after a
# SIGINT that reaches it while it waits for a command that ends well, as `touch` does

FAKE_PYTHON = """#!/usr/bin/env bash
echo "RUN $*"
stage=$(basename "$1")
if [[ $stage == "$FAIL_AT" ]]; then exit 7; fi
if [[ $stage == "$HANG_AT" ]]; then : >"$HANGS"; sleep "${SECONDS_TO_HANG:-60}"; fi
if [[ $stage == evaluate_models.py ]]; then echo "THE TABLE"; fi
"""


@pytest.fixture
def demo(tmp_path):
    """Starts demo.sh, under a path with blanks, with stages that only say how they were called."""
    fake = tmp_path / "fake python"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)

    def start(*arguments: str, script: Path = SCRIPTS / "demo.sh", **environment: str) -> subprocess.Popen:
        env = {**os.environ, "DEMO_PYTHON": str(fake), "FAIL_AT": "", "HANG_AT": "", **environment}
        return subprocess.Popen(
            ["bash", script, *arguments],
            cwd=tmp_path,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    return start


def test_demo_runs_the_stages_in_order_on_one_folder(demo, tmp_path):
    run = demo("--seed", "3", "--output-dir", "my demo")
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    calls = [line for line in out.splitlines() if line.startswith("RUN")]
    stages = ["demo_model.py", "train_rl_poc.py", "evaluate_models.py", "make_report.py", "make_report.py"]
    assert [stage in call for stage, call in zip(stages, calls, strict=True)] == [True] * 5
    folder = tmp_path / "my demo"
    assert "--seed 3" in calls[0] and "--seed 3" in calls[1]
    assert f"--models {folder}/sft_model {folder}/rl_model" in calls[2]
    assert f"--output-dir {folder}/eval_results" in calls[2] and f"{folder}/heldout_tasks.jsonl" in calls[2]
    assert f"{folder}/rl_model" in calls[3] and f"{folder}/rl_model --no-page" in calls[4]
    summary = out[out.index("THE TABLE") :]
    assert all(f"| {stage} |" in summary for stage in ("SFT", "GRPO", "evaluation"))
    assert f"{folder}/eval_results/comparison.md" in summary and f"{folder}/rl_model/report.html" in summary


# An interpreter that only reads a script's flags, and for GRPO checks the constants that they make
READ_FLAGS = """
import runpy, sys
from raccoon import constants
constants.run_main = lambda main: None
sys.argv = sys.argv[1:]
namespace = runpy.run_path(sys.argv[0], run_name="__main__")
if "GENERATION" in namespace:
    from raccoon import savings
    savings.computes_bfloat16 = lambda: True  # of the machine, not of the flags
    namespace["build_recipe"](1, 0)
print("READ", sys.argv[0])
"""


@pytest.mark.parametrize("flags", [(), ("--real",)], ids=["small", "real"])
def test_every_script_takes_the_flags_that_the_demo_gives_it(tmp_path, flags):
    reader = tmp_path / "python"
    (tmp_path / "read_flags.py").write_text(READ_FLAGS)
    reader.write_text(f'#!/bin/sh\nPYTHONPATH="{SCRIPTS}" exec "{sys.executable}" "{tmp_path}/read_flags.py" "$@"\n')
    reader.chmod(0o755)
    done = subprocess.run(
        ["bash", SCRIPTS / "demo.sh", *flags],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "DEMO_PYTHON": str(reader)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("READ ") == (7 if flags else 5)


def test_the_real_demo_evaluates_what_no_stage_has_seen(demo, tmp_path):
    run = demo("--real", "--seed", "3")
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    calls = [line for line in out.splitlines() if line.startswith("RUN")]
    stages = [
        "real_model.py",
        "sft_model.py",
        "sft_model.py",
        "train_rl_poc.py",
        "evaluate_models.py",
        "make_report.py",
        "make_report.py",
    ]
    assert [stage in call for stage, call in zip(stages, calls, strict=True)] == [True] * 7
    folder = tmp_path / "real"
    for taught in calls[1:3]:
        assert f"--keep-unseen {folder}/heldout_tasks.jsonl humaneval" in taught and "--seed 3" in taught
        assert f"--benchmarks {folder}/train_tasks.jsonl" in taught
    assert f"--training-sets  --train-files {folder}/train_tasks.jsonl" in calls[3] and "--seed 3" in calls[3]
    assert f"--benchmarks {folder}/heldout_tasks.jsonl humaneval" in calls[4] and "--num-samples 4" in calls[4]
    assert f"--models {folder}/sft_model {folder}/rl_model {folder}/control" in calls[4]
    assert f"{folder}/rl_model/report.html" in out


@pytest.mark.parametrize(
    ("flags", "stages"),
    [
        ((), ["SFT", "GRPO", "evaluation", "report", "result"]),
        (("--real",), ["model", "SFT", "control", "GRPO", "evaluation", "report", "result"]),
    ],
)
def test_demo_says_what_each_stage_does_and_what_comes_next(demo, flags, stages):
    out, _ = demo(*flags).communicate(timeout=60)
    headers = [line for line in out.splitlines() if line.startswith("== ")]
    assert [header.split(": ")[0] for header in headers] == [f"== {stage}" for stage in stages]
    assert min(len(header.split(": ", 1)[1]) for header in headers) > 10
    end = out[out.index("--no-page") :]
    assert "rl_model/report.html" in end and "train_rl_poc.py --model-path" in end and "QUICK_START.md" in end


def test_the_flags_of_the_real_demo_are_the_scripts(demo):
    """The stand-in takes whatever it is given; the scripts would not."""
    out, _ = demo("--real").communicate(timeout=60)
    for call in (line.split() for line in out.splitlines() if line.startswith("RUN")):
        table = read_constants(vars(importlib.import_module(Path(call[1]).stem)))
        flags = {constant.flag for constant in table} | {constant.flag.replace("--", "--no-", 1) for constant in table}
        assert {word for word in call if word.startswith("--")} <= flags


@pytest.mark.parametrize(
    ("script", "stage"),
    [
        ("demo_model.py", "SFT"),
        ("train_rl_poc.py", "GRPO"),
        ("evaluate_models.py", "evaluation"),
        ("make_report.py", "report"),
    ],
)
def test_demo_stops_at_the_first_failing_stage(demo, script, stage):
    run = demo(FAIL_AT=script)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 7 and f"stage '{stage}' failed with exit code 7" in err
    assert out.rstrip().splitlines()[-1].startswith("RUN") and script in out.rstrip().splitlines()[-1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_demo_stops_cleanly_on_a_signal(demo, tmp_path, number, code):
    """As a terminal sends Ctrl-C, and tini in the image what `docker stop` sends: to all processes of the demo."""
    hangs = tmp_path / "hangs"
    run = demo(HANG_AT="train_rl_poc.py", HANGS=str(hangs))
    wait_for(hangs, run)
    os.killpg(run.pid, number)
    out, err = run.communicate(timeout=30)
    assert run.returncode == code and "evaluate_models.py" not in out
    assert "stopped in stage 'GRPO'" in err and "failed" not in err


def test_demo_begins_no_stage_after_a_signal_to_itself_alone(demo, tmp_path):
    hangs = tmp_path / "hangs"
    run = demo(HANG_AT="train_rl_poc.py", HANGS=str(hangs), SECONDS_TO_HANG="1")
    wait_for(hangs, run)
    os.kill(run.pid, signal.SIGTERM)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 143 and "evaluate_models.py" not in out and "stopped in stage 'GRPO'" in err


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Until a running process has made a file."""
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sed", "1"], "no flag --sed; choose from --seed N, --output-dir D, --generation vllm, --real"),
        (["--seed"], "--seed needs a value"),
        (["--seed", "one"], "--seed is 'one'"),
        (["--output-dir", "/proc/no/such"], "cannot make the folder /proc/no/such"),
    ],
)
def test_demo_refuses_bad_arguments(demo, arguments, message):
    run = demo(*arguments)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 2 and out == "" and message in err


def test_demo_refuses_an_old_python(demo, tmp_path):
    """Only `false` and the shell's own tools are on the PATH: no interpreter answers.

    demo.sh stands in a folder of its own, because in this one an earlier demo may have left its environment.
    """
    script = tmp_path / "clone" / "scripts" / "demo.sh"
    script.parent.mkdir(parents=True)
    script.write_text((SCRIPTS / "demo.sh").read_text())
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "dirname", "mkdir", "cmp", "sed", "env"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    run = demo(DEMO_PYTHON="", PYTHON="false", PATH=str(tools), script=script)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 2 and "no Python >= 3.11 found" in err and "PYTHON=" in err

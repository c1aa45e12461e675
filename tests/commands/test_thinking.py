"""Models that think aloud, with a chat template like Qwen3's: switched off, cut short, or followed by an answer."""

import json
from collections import Counter

import pytest

from helpers import warm_python
from helpers.paths import SCRIPTS
from helpers.random_model import write_model, write_tasks
from helpers.reward_doubles import TABLE
from helpers.training_runs import lines
from raccoon.rewards.execution import Chat, ExecutionReward, RewardTable
from raccoon.runs.log import rollout_metrics
from raccoon.runs.sentinels import Sentinels
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.extraction import extract_code, thinking_state, with_opened_thinking
from raccoon.tasks.task import Task

GOOD = "```python\ndef f(x):\n    return x + 1\n```\n"
BAD = "```python\ndef f(x):\n    return x\n```\n"
TASK = Task("t", "add one", "assert f(1) == 2\n", "f")
TURNS = "{% for message in messages %}<|im_start|> {{ message.content }} <|im_end|> {% endfor %}"
HYBRID = TURNS + (
    "{% if add_generation_prompt %}<|im_start|> {% if enable_thinking is defined and not enable_thinking "
    "%}<think> </think> {% endif %}{% endif %}"
)  # Qwen3's: closed where thinking is off
ALWAYS = TURNS + "{% if add_generation_prompt %}<|im_start|> <think> {% endif %}"  # Qwen3-Thinking-2507's: always open
EARNED = {**TABLE, "bonus_only_with_pass": True}
LIMIT = 12


class Tokenizer:
    """Tokens are texts; 0 ends a completion."""

    def batch_decode(self, completions, skip_special_tokens):
        return ["".join(str(token) for token in ids if token != 0) for ids in completions]


@pytest.fixture(scope="module")
def box():
    with Sandbox(workers=1) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("prompt", "completion", "state", "code"),
    [
        ("", GOOD, "none", "return x + 1"),
        ("", f"<think>\n{BAD}</think>\n{GOOD}", "closed", "return x + 1"),
        ("", f"<think>\n{GOOD}", "open", ""),
        ("<|im_start|> <think>\n", f"{BAD}</think>\n{GOOD}", "closed", "return x + 1"),
        ("<|im_start|> <think>\n", GOOD, "open", ""),  # cut inside its thoughts: this code is no answer
        ("<|im_start|> <think>\n\n</think>\n\n", GOOD, "none", "return x + 1"),  # thinking switched off
    ],
)
def test_only_what_follows_the_thoughts_is_the_answer(prompt, completion, state, code):
    text = with_opened_thinking(prompt, completion)
    assert thinking_state(text) == state
    found = extract_code(text, TASK)
    assert code in found and bool(found) == bool(code)


def test_thoughts_are_rewarded_as_what_they_are_and_counted(box):
    """A right answer in thoughts earns nothing; thoughts that are cut are "truncated", not "no code"."""
    scorer = ExecutionReward(RewardTable(**EARNED), box, Chat(Tokenizer(), [0], "<|im_start|> <think>\n"))
    rollouts = scorer.evaluate(
        [TASK] * 4, [[BAD, "</think>\n", GOOD, 0], [GOOD, "</think>\n", BAD, 0], [GOOD, "and so on"], [GOOD, 0]]
    )
    assert [rollout.thinking for rollout in rollouts] == ["closed", "closed", "open", "open"]
    assert [rollout.reward for rollout in rollouts] == [pytest.approx(1.1), 0.2, -0.5, -0.5]
    assert [rollout.kind for rollout in rollouts] == ["pass", "wrong", "truncated", "no code"]
    assert rollouts[2].code == "" and rollouts[2].truncated
    metrics = rollout_metrics(rollouts, 4)
    assert (metrics["thinking"], metrics["thinking_open"], metrics["truncated"]) == (1.0, 0.5, 0.25)
    assert metrics["kinds"] == {"pass": 1, "wrong": 1, "truncated": 1, "no code": 1}


def test_thoughts_that_rarely_end_raise_an_alarm_once():
    step = {
        "statuses": {"FAIL": 8},
        "kinds": {"truncated": 8},
        "grad_norm": 0.1,
        "entropy": 1.0,
        "completions": 8,
        "constant_groups": 0.1,
        "learning_rate": 1e-6,
        "weights_changed": 0.9,
        "update_ratio": 0.001,
    }
    for truncated, said in ((0.75, [5]), (0.25, [])):
        sentinels = Sentinels()
        shown = {number: sentinels.see({**step, "truncated": truncated}) for number in range(1, 9)}
        assert [number for number, found in shown.items() if found] == said
        assert all("ENABLE_THINKING" in each.message for number in said for each in shown[number])


# The scripts themselves, on a random model that writes think tags


@pytest.fixture(scope="module", params=[HYBRID, ALWAYS], ids=["hybrid", "always"])
def place(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("thinking")
    write_model(folder / "model", template=request.param, more=("<think>", "</think>", "<think>\n", "\n</think>\n"))
    write_tasks(folder / "tasks.jsonl", 24)
    return folder


def start(folder, script, *flags):
    done = warm_python.run([str(SCRIPTS / script), *flags, "--max-completion-length", str(LIMIT)], folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_prompts_of_training_and_evaluation_are_the_same(place):
    pytest.importorskip("transformers")
    from raccoon.evaluation.engines import Decoding, Engine, Slot
    from raccoon.model_files import load_tokenizer
    from raccoon.tasks.prompts import prompt_lengths
    from raccoon.tasks.task import read_task_file

    tokenizer, tasks = load_tokenizer(str(place / "model")), read_task_file(str(place / "tasks.jsonl"))
    engine = Engine()
    engine.tokenizer = tokenizer
    for thinking in (False, True):
        engine.decoding = Decoding(enable_thinking=thinking)
        prompts = engine.prompts([Slot(task) for task in tasks])
        ids = engine.tokens(prompts)["input_ids"]
        assert [len(row) for row in ids] == prompt_lengths(tasks, tokenizer, thinking)
    assert prompts[0].endswith("<think> ") == (tokenizer.chat_template == ALWAYS)


def test_an_evaluation_takes_no_code_from_thoughts(place):
    start(
        place,
        "evaluate_models.py",
        "--models",
        "model",
        "--benchmarks",
        "tasks.jsonl",
        "--output-dir",
        "eval",
        "--modes",
        "sampled",
        "--temperature",
        "1",
        "--num-samples",
        "4",
        "--enable-thinking",
    )
    records = lines(place / "eval" / "model" / "tasks.sampled.jsonl")
    texts = [with_opened_thinking(record["prompt"], record["completion"]) for record in records]
    states = Counter(map(thinking_state, texts))
    assert states["open"] > 5 and states["closed"] > 5
    for record, text in zip(records, texts, strict=True):
        if thinking_state(text) == "open":
            assert record["code"] == "" and record["outcome"] == ("truncated" if record["truncated"] else "no code")
        elif thinking_state(text) == "closed":
            assert record["code"].strip() in text.rpartition("</think>")[2]
    outcomes = json.loads((place / "eval" / "results.json").read_text())["results"][0]["outcomes"]
    assert outcomes["truncated"] >= sum(record["truncated"] and record["code"] == "" for record in records)


@pytest.mark.parametrize("place", [ALWAYS], indirect=True, ids=["always"])
def test_a_training_run_counts_thoughts(place):
    start(
        place,
        "train_rl_poc.py",
        "--model-path",
        "model",
        "--output-dir",
        "out",
        "--training-sets",
        "",
        "--train-files",
        "tasks.jsonl",
        "--heldout",
        "",
        "--max-steps",
        "2",
        "--temperature",
        "1",
        "--sandbox-workers",
        "1",
        "--enable-thinking",
    )
    rollouts = lines(place / "out" / "completions.jsonl")
    for step in lines(place / "out" / "metrics.jsonl"):
        mine = [rollout for rollout in rollouts if rollout["step"] == step["step"]]
        share = sum(rollout["thinking"] == "open" for rollout in mine) / len(mine)
        assert step["thinking_open"] == pytest.approx(share) and 0 < share < 1
        assert step["kinds"]["truncated"] == sum(rollout["truncated"] for rollout in mine)
    assert all(rollout["code"] == "" for rollout in rollouts if rollout["thinking"] == "open")

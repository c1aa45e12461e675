"""SFT on tasks and trajectories: what is taught, what is left out, and a tiny run from end to end."""

import itertools
import json
import re
import subprocess
from dataclasses import replace
from unittest.mock import Mock

import pytest

import sft_model
from helpers import warm_python
from helpers.training_runs import PROGRAMS, furnish, lines
from raccoon.constants import InputError
from raccoon.conversation import TurnTemplate
from raccoon.published.contamination import find_badge
from raccoon.tasks.task import Task, read_task_file, write_task_file

tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")


def run(folder, *flags: str) -> subprocess.CompletedProcess:
    words = [
        sft_model.__file__,
        "--model-path",
        "model",
        "--output-dir",
        "sft",
        "--learning-rate",
        "0.01",
        "--epochs",
        "2",
        "--sandbox-workers",
        "1",
        "--batch-size",
        "2",
        "--gradient-accumulation",
        "1",
        *flags,
    ]
    return warm_python.run(words, folder)


GENERATION = (  # as the demo's template
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}<|im_end|>{% endgeneration %}{{ '\n' }}{% else %}{{ m.content }}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING = (  # as Qwen3's: an answer after the last question gets an empty thought, and an earlier one loses it
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and "
    "loop.index0 > ns.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content.split('</think>')[-1] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and "
    "not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
OPENED = THINKING[: THINKING.index("{% if enable_thinking")] + "<think>\n{% endif %}"  # as Qwen3-Thinking-2507's
HEADERS = (  # as Llama 3's
    "<|begin|>{% for m in messages %}<|im_start|>{{ m.role }}\n\n{{ m.content | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n\n{% endif %}"
)
CODES = ["```python\ndef f(x):\n    return x\n```", "Now:\n```python\ndef f(x):\n    return x + 1\n```"]
TOLD = "A test fails.\n\n```\ntest: assert f(1) == 2\n```\nSay <|im_end|> again."
TALK = sft_model.Lesson("t", "Add one.", "pass", solution=CODES[1], source="trajectory", earlier=((CODES[0], TOLD),))


def tokenizer_with(template: str):
    """A byte-level BPE tokenizer, like those of today's models."""
    core = tokenizers.Tokenizer(tokenizers.models.BPE())
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin|>", "<|eot|>"]
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator([*CODES, "\n\n\n\n assistant user Add one. A test fails."], trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=special[1:],
        chat_template=template,
    )


def taught_parts(row: dict, tokenizer) -> list[str]:
    """The texts of a conversation that have a loss."""
    runs = itertools.groupby(zip(row["input_ids"], row["labels"], strict=True), key=lambda pair: pair[1] != -100)
    assert all(token == label for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100)
    return [tokenizer.decode([token for token, _ in pairs]) for taught, pairs in runs if taught]


@pytest.mark.parametrize(
    ("template", "begin", "ends"),
    [
        (GENERATION, "", ["<|im_end|>", "<|im_end|>\n"]),
        (THINKING, "<think>\n\n</think>\n\n", ["<|im_end|>", "<|im_end|>\n"]),
        (OPENED, "\n</think>\n\n", ["<|im_end|>", "<|im_end|>\n"]),
        (HEADERS, "\n\n", ["<|eot|>", "<|eot|>"]),  # this tokenizer cuts line breaks otherwise if words follow
    ],
    ids=["generation", "thinking", "opened", "headers"],
)
def test_every_answer_has_a_loss_and_nothing_else(template, begin, ends):
    tokenizer = tokenizer_with(template)
    (row,) = sft_model.tokenized([TALK], tokenizer)
    parts = [part.removeprefix("<think>\n") for part in taught_parts(row, tokenizer)]  # tokens may merge over its end
    assert parts == [begin.removeprefix("<think>\n") + code + end for code, end in zip(CODES, ends, strict=True)]
    text = tokenizer.decode(row["input_ids"])
    assert TOLD.replace("<|im_end|>", "< |im_end|>") in text and text.count(TALK.prompt) == 1
    if "think" not in template:  # nothing that the template takes from an earlier answer
        plain = replace(TALK, earlier=((CODES[0], TOLD.replace("<|im_end|>", "it")),))
        (row,) = sft_model.tokenized([plain], tokenizer)
        rendered = tokenizer.apply_chat_template(sft_model.conversation(plain), tokenize=False)
        assert tokenizer.decode(row["input_ids"]) == rendered


def test_wrong_first_answers_need_not_be_taught():
    tokenizer = tokenizer_with(GENERATION)
    (row,), (whole,) = (sft_model.tokenized([replace(TALK, last_alone=each)], tokenizer) for each in (True, False))
    assert row["input_ids"] == whole["input_ids"]
    assert taught_parts(row, tokenizer) == taught_parts(whole, tokenizer)[-1:]


def test_what_follows_an_answer_is_what_reinforcement_learning_puts_there():
    tokenizer = tokenizer_with(THINKING)
    (row,) = sft_model.tokenized([TALK], tokenizer)
    first = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != -100]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    told = TurnTemplate(tokenizer, [end], True).after(first[: first.index(end) + 1], TOLD)
    assert str(told)[1:-1] in str(row["input_ids"])


@pytest.mark.parametrize("template", [GENERATION, THINKING, OPENED, HEADERS])
def test_one_turn_is_what_trl_makes_of_it(template, tmp_path):
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    tokenizer = tokenizer_with(template)
    tasks = [replace(TALK, earlier=()), Task("u", "Add two.", "assert f(1)", "f", solution="def f(x):\n    return x\n")]
    talks = [sft_model.conversation(task) for task in tasks]
    rows = datasets.Dataset.from_list([{"prompt": said[:1], "completion": said[1:]} for said in talks])
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, head_dim=8
    )
    settings = trl.SFTConfig(str(tmp_path), completion_only_loss=True, max_length=None, use_cpu=True, report_to="none")
    model = transformers.Qwen3ForCausalLM(config)
    made = trl.SFTTrainer(model, settings, None, rows, processing_class=tokenizer).train_dataset
    for ours, theirs in zip(sft_model.tokenized(tasks, tokenizer), made, strict=True):
        assert (ours["input_ids"], ours["labels"]) == (theirs["input_ids"], theirs["labels"])


def test_a_template_that_takes_no_second_question_is_named():
    once = "{% if messages | length > 2 %}{{ raise_exception('too many') }}{% endif %}" + GENERATION
    assert sft_model.tokenized([replace(TALK, earlier=())], tokenizer_with(once))
    with pytest.raises(InputError, match="TRAJECTORIES has conversations of several turns.*too many"):
        sft_model.tokenized([TALK], tokenizer_with(once))


def test_a_conversation_is_as_long_as_all_its_turns():
    tokenizer = tokenizer_with(GENERATION)
    (row,), once = sft_model.tokenized([TALK], tokenizer), replace(TALK, earlier=())
    assert sft_model.short_enough([TALK, once, TALK], tokenizer, len(row["input_ids"])) == [TALK, once, TALK]
    assert sft_model.short_enough([once, TALK, once], tokenizer, len(row["input_ids"]) - 1) == [once, once]


def test_an_answer_is_the_solution_in_a_fence_and_a_trajectory_what_was_said():
    asked, answer = sft_model.conversation(
        Task("t", "Do it.", "assert f(1)", "f", solution="def f(x):\n    return x\n")
    )
    assert asked == {"role": "user", "content": "Do it."}
    assert answer == {"role": "assistant", "content": "```python\ndef f(x):\n    return x\n```"}
    talk = sft_model.conversation(replace(TALK, earlier=(("No idea.", TOLD),)))
    assert [said["content"] for said in talk] == ["Add one.", "No idea.", TOLD, CODES[1]]


def test_trajectories_are_read_and_bad_lines_named(tmp_path):
    def line(*messages) -> str:
        return (
            json.dumps(
                {"task_id": "a", "messages": [dict(zip(("role", "content"), each, strict=True)) for each in messages]}
            )
            + "\n"
        )

    path = tmp_path / "t.jsonl"
    path.write_text(line(("user", "Do it."), ("assistant", "Done.")))
    assert [(task.prompt, task.solution) for task in sft_model.read_trajectories(str(path))] == [("Do it.", "Done.")]
    path.write_text(line(("user", "Do it."), ("assistant", "a"), ("user", "b"), ("assistant", "c")))
    (talk,) = sft_model.read_trajectories(str(path))
    assert (talk.prompt, talk.earlier, talk.solution) == ("Do it.", (("a", "b"),), "c")
    for bad in (
        line(("user", "Do it.")),
        line(("user", "x"), ("user", "y")),
        line(("user", " "), ("assistant", "y")),
        line(("user", "x"), ("assistant", "y"), ("user", "z")),
        line(("user", "x"), ("assistant", "y"), ("assistant", "z"), ("user", "x")),
        '{"messages": []}\n',
        '{"task_id": "a"}\n',
        "[]\n",
    ):
        path.write_text(line(("user", "Do it."), ("assistant", "Done.")) + bad)
        with pytest.raises(InputError, match=re.escape(f"{path}, line 2")):
            sft_model.read_trajectories(str(path))
    with pytest.raises(InputError, match="no file of trajectories"):
        sft_model.read_trajectories(str(tmp_path / "none.jsonl"))


def test_what_is_like_a_task_to_evaluate_on_is_not_taught(tmp_path, monkeypatch, capsys):
    def task(name: str, prompt: str, value: int, solution: str = PROGRAMS[0]) -> Task:
        return Task(
            name,
            prompt,
            f"assert f({value}) == {value + 1}\nassert f({value + 5}) == {value + 6}",
            "f",
            solution=solution,
        )

    write_task_file(
        tmp_path / "taught.jsonl",
        [
            task("alike", "add one to the number that is given", 1),
            task("a", "something else altogether", 20),
            task("b", "another thing there is", 40),
            task("wrong", "a wrong solution", 60, PROGRAMS[1]),
            task("unsolved", "no solution at all", 80, ""),
        ],
    )
    write_task_file(tmp_path / "unseen.jsonl", [task("u", "find the largest of them", 1)])  # the same asserts
    monkeypatch.setattr(sft_model, "BENCHMARKS", [str(tmp_path / "taught.jsonl")])
    monkeypatch.setattr(sft_model, "KEEP_UNSEEN", [str(tmp_path / "unseen.jsonl")])
    monkeypatch.setattr(sft_model, "OUTPUT_DIR", str(tmp_path / "sft"))
    monkeypatch.setattr(sft_model, "MODEL_PATH", "me/my-model")
    monkeypatch.setattr(sft_model, "load_tokenizer", lambda *_: None)
    monkeypatch.setattr(sft_model, "short_enough", stop := Mock(side_effect=InterruptedError))
    with pytest.raises(InterruptedError):
        sft_model.main()
    assert [each.task_id for each in stop.call_args[0][0]] == ["a", "b"]
    assert "left out 1 of 3 tasks that are like one of" in capsys.readouterr().out
    monkeypatch.setattr(sft_model, "KEEP_UNSEEN", [str(tmp_path / "taught.jsonl")])
    with pytest.raises(InputError, match="3 tasks to teach, and 3 of them are like one of KEEP_UNSEEN"):
        sft_model.main()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BENCHMARKS", [], "nothing to teach"),
        ("BENCHMARKS", [""], "nothing to teach"),
        ("EPOCHS", 0, "EPOCHS is 0"),
        ("HELDOUT_SHARE", 1.0, "HELDOUT_SHARE is 1.0"),
        ("OUTPUT_DIR", sft_model.MODEL_PATH, "which would be overwritten"),
    ],
)
def test_constants_that_no_run_can_have(name, value, words, monkeypatch):
    monkeypatch.setattr(sft_model, name, value)
    with pytest.raises(InputError, match=words):
        sft_model.check_constants()


def test_a_model_folder_is_looked_at_before_the_tasks(tmp_path, monkeypatch):
    for name, value in {"OUTPUT_DIR": tmp_path / "sft", "MODEL_PATH": tmp_path / "model"}.items():
        monkeypatch.setattr(sft_model, name, str(value))
    monkeypatch.setattr(sft_model, "load_set", Mock(side_effect=AssertionError("not yet")))
    with pytest.raises(InputError, match="no model in .*model"):
        sft_model.main()


def test_a_tiny_model_is_taught_from_end_to_end(tmp_path):
    folder = furnish(tmp_path, train=8)
    flags = ["--benchmarks", "train.jsonl", "more.jsonl", "--keep-unseen", "heldout.jsonl"]
    more, heldout = (
        read_task_file(furnish(tmp_path / "x", train=8, more=4, heldout=2) / f"{name}.jsonl")
        for name in ("more", "heldout")
    )
    write_task_file(folder / "more.jsonl", more)
    write_task_file(folder / "heldout.jsonl", heldout)
    said = [*zip(("user", "assistant") * 2, ("add one", PROGRAMS[1], "Your code fails.", PROGRAMS[0]), strict=True)]
    talk = {"task_id": "talk", "messages": [{"role": role, "content": content} for role, content in said]}
    (folder / "talks.jsonl").write_text(json.dumps(talk) + "\n")
    done = run(folder, *flags, "--trajectories", "talks.jsonl")
    assert done.returncode == 0, done.stderr
    assert "tasks    12 to teach, 1 held out" in done.stdout and "held-out loss before training" in done.stdout

    losses = [record["heldout_loss"] for record in lines(folder / "sft" / "losses.jsonl")]
    assert len(losses) == 3 and min(losses[1:]) < losses[0]
    config = json.loads((folder / "sft" / "config.json").read_text())
    assert config["MODEL_PATH"] == "model" and config["model_type"] == "qwen3" and config["ended"]
    assert not list((folder / "sft").glob("checkpoint-*")) and (folder / "sft" / "tokenizer.json").is_file()
    taught = read_task_file(folder / "sft" / "tasks.jsonl")
    assert (
        find_badge(folder / "sft", taught[:3], "").name == "seen"
        and find_badge(folder / "sft", heldout, "").name == "unseen"
    )

    again = run(folder, *flags, "--trajectories", "talks.jsonl", "--cpu-threads", "2")
    assert (again.returncode, "exists already" in again.stdout) == (0, True)
    other = run(folder, *flags, "--trajectories", "talks.jsonl", "--learning-rate", "0.5")
    assert other.returncode == 2 and "made with other values of LEARNING_RATE" in other.stderr

"""Makes the demo's SFT baseline: a tiny Qwen3 with its own tokenizer, taught by an imperfect teacher.

This is SFT in miniature, on one CPU thread. The teacher's code is often wrong in the same ways (tasks/templates.py),
and the model imitates it. Reinforcement learning then repairs these faults. It is not a useful model.

    python scripts/demo_model.py                          # into ./demo
    python scripts/demo_model.py --seed 1 --output-dir /tmp/demo1
    python scripts/demo_model.py --turns 2 --output-dir /tmp/demo2   # for a training with --max-turns 2
    python scripts/demo_model.py --init-from demo/sft_model --max-steps 90 --output-dir demo/control
                                                          # the control: more SFT instead of GRPO

Inputs:  none, or the model at INIT_FROM.
Outputs: OUTPUT_DIR/sft_model (model and tokenizer), train_tasks.jsonl, heldout_tasks.jsonl, config.json.
"""

import json
import math
import random
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, check_positive, check_writable, constants, override_constants, run_main
from raccoon.model_files import check_made_alike, load_tokenizer, save_model
from raccoon.progress import progress_bar
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.synthetic.verification import verdicts_of
from raccoon.tasks import templates
from raccoon.tasks.task import Task, write_task_file

OUTPUT_DIR = "./demo"
INIT_FROM = ""  # model to train further, at the schedule's last learning rate; "": start from scratch
SEED = 0
CPU_THREADS = 1  # torch's threads; on a busy machine two are slower than one

# Conversations, for a training with as many MAX_TURNS. With more than one, the first assert of each task is visible.
TURNS = 1  # the teacher's answers at most: it tries again when its program fails the visible assert
MAX_FEEDBACK = 1000  # characters, as in the training

# The tasks.
NUM_TRAIN_TASKS = 2000
NUM_HELDOUT_TASKS = 300  # tasks of kinds (filter, map, reduce) that no training task has

# The model: 0.5 million parameters.
VOCAB_SIZE = 768
HIDDEN_SIZE = 128
INTERMEDIATE_SIZE = 384
NUM_LAYERS = 2
NUM_HEADS = 4
NUM_KV_HEADS = 2
MAX_POSITIONS = 1024  # tokens for each turn

# SFT: one pass over MAX_STEPS * BATCH_SIZE trajectories of the teacher.
MAX_STEPS = 500
BATCH_SIZE = 32  # trajectories a step
LEARNING_RATE = 6e-3  # peak; it falls along a cosine to FINAL_LR_SHARE of it
FINAL_LR_SHARE = 0.1
WARMUP_STEPS = 17
ADAM_BETA2 = 0.98
MAX_GRAD_NORM = 1.0
BUCKET = 16  # number of batches whose trajectories are sorted by length together, to compute less padding

END, PAD = "<|im_end|>", "<|endoftext|>"
# Each header is one token with its line break, so that no merge joins a header and a completion.
HEADERS = {role: f"<|im_start|>{role}\n" for role in ("system", "user", "assistant")}
# A line break with its indent and first word; a word with the blank before it; a digit; a run of signs.
PIECES = r"\n *[A-Za-z_]+| ?[A-Za-z_]+|\d| ?[^\sA-Za-z_\d]+|\n+|\s+"
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == "assistant" -%}
{{- "<|im_start|>assistant\\n" -}}
{%- generation -%}{{- message.content + "<|im_end|>" -}}{%- endgeneration -%}
{{- "\\n" -}}
{%- else -%}
{{- "<|im_start|>" + message.role + "\\n" + message.content + "<|im_end|>\\n" -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- "<|im_start|>assistant\\n" -}}{%- endif -%}
"""


Conversation = list[dict[str, str]]
Example = tuple[list[int], list[int]]  # token ids of a conversation; the same with -100 outside of its answers


def main() -> None:
    check_constants()
    output_dir, values = Path(OUTPUT_DIR), vars(constants(globals()))
    made = output_dir / "config.json"
    if made.is_file():
        one_turn = {"TURNS": 1, "MAX_FEEDBACK": MAX_FEEDBACK}  # of a model that was made before there were turns
        check_made_alike(output_dir, one_turn | json.loads(made.read_text()), values, {"OUTPUT_DIR"})
        print(f"{output_dir / 'sft_model'} exists already; nothing to do")
        return
    for split, num in (("train", NUM_TRAIN_TASKS), ("heldout", NUM_HELDOUT_TASKS)):
        made_tasks = templates.generate_tasks(num, SEED, split)
        if TURNS > 1:
            made_tasks = [with_visible_assert(task) for task in made_tasks]
        write_task_file(output_dir / f"{split}_tasks.jsonl", made_tasks)
    # A run that starts from INIT_FROM gets new trajectories, and the cosine's last learning rate throughout
    seed = f"{SEED} {'more' if INIT_FROM else 'first'}"
    if TURNS > 1:
        conversations = conversations_of_turns(MAX_STEPS * BATCH_SIZE, seed, TURNS, MAX_FEEDBACK)
    else:
        conversations = [*teacher_conversations(MAX_STEPS * BATCH_SIZE, seed)]
    rates = [LEARNING_RATE * FINAL_LR_SHARE] * MAX_STEPS
    if not INIT_FROM:
        rates = warm_cosine(MAX_STEPS, WARMUP_STEPS, LEARNING_RATE, FINAL_LR_SHARE)

    prepare_torch(CPU_THREADS, SEED)
    tokenizer = (
        load_tokenizer(INIT_FROM) if INIT_FROM else build_tokenizer(conversations, VOCAB_SIZE, TURNS * MAX_POSITIONS)
    )
    model = load_model(INIT_FROM) if INIT_FROM else build_model(tokenizer, model_shape())
    batches = even_batches(encode(tokenizer, conversations), BATCH_SIZE, BUCKET, SEED)
    loss = train(model, batches, rates, ADAM_BETA2, MAX_GRAD_NORM, tokenizer.pad_token_id)

    save(model, tokenizer, output_dir, values)
    print(
        f"SFT model: {model.num_parameters():,} parameters, a vocabulary of {len(tokenizer)} tokens; "
        f"{MAX_STEPS} steps, last loss {loss:.3f}; saved in {output_dir / 'sft_model'}"
    )
    names = ("sft_model", "train_tasks.jsonl", "heldout_tasks.jsonl", "rl_model")
    start, tasks, heldout, trained = (shlex.quote(str(output_dir / name)) for name in names)
    print(
        f"next: python scripts/train_rl_poc.py --demo --model-path {start} --train-files {tasks} --heldout {heldout} "
        f"--output-dir {trained}{f' --max-turns {TURNS}' if TURNS > 1 else ''}"
    )


def check_constants() -> None:
    """Raises InputError for values that would otherwise fail only after minutes."""
    if INIT_FROM and not (Path(INIT_FROM) / "tokenizer.json").is_file():
        raise InputError(
            f"no saved model at {INIT_FROM} (no tokenizer.json): give an sft_model folder, "
            "or leave --init-from out to start from scratch"
        )
    check_positive(MAX_STEPS=MAX_STEPS, BATCH_SIZE=BATCH_SIZE, NUM_TRAIN_TASKS=NUM_TRAIN_TASKS)
    check_positive(NUM_HELDOUT_TASKS=NUM_HELDOUT_TASKS, CPU_THREADS=CPU_THREADS, BUCKET=BUCKET, TURNS=TURNS)
    check_positive(MAX_FEEDBACK=MAX_FEEDBACK)
    check_writable("OUTPUT_DIR", OUTPUT_DIR)


def model_shape() -> dict[str, int]:
    """The model's size, as Qwen3Config names it."""
    return {
        "hidden_size": HIDDEN_SIZE,
        "intermediate_size": INTERMEDIATE_SIZE,
        "num_hidden_layers": NUM_LAYERS,
        "num_attention_heads": NUM_HEADS,
        "num_key_value_heads": NUM_KV_HEADS,
        "head_dim": HIDDEN_SIZE // NUM_HEADS,
        "max_position_embeddings": TURNS * MAX_POSITIONS,
    }


def with_visible_assert(task: Task) -> Task:
    """A task whose first assert the model may see: its longest, which says more than that of the empty input."""
    asserts = task.test.splitlines(keepends=True)
    visible = max(asserts, key=len)
    asserts.remove(visible)
    return replace(task, test="".join([visible, *asserts]), visible_tests=visible)


def teacher_conversations(num: int, seed: str) -> Iterator[Conversation]:
    """Training prompts with the teacher's answers."""
    rng = random.Random(seed)
    train_kinds = templates.kinds("train")
    for _ in range(num):
        problem = templates.random_problem(train_kinds, rng)
        yield conversation(problem, templates.teacher_solution(problem, rng))


def conversation(problem: templates.Problem, code: str) -> Conversation:
    return [{"role": "user", "content": templates.write_prompt(problem)}, answer(code)]


def answer(code: str) -> dict[str, str]:
    return {"role": "assistant", "content": f"```python\n{code}```"}


def conversations_of_turns(num: int, seed: str, turns: int, max_feedback: int) -> list[Conversation]:
    """Training prompts with the teacher's answers. One that fails the visible assert has feedback and a next answer.

    The feedback is the sandbox's own.
    """
    rng = random.Random(seed)
    train_kinds = templates.kinds("train")
    problems = [templates.random_problem(train_kinds, rng) for _ in range(num)]
    taken = [templates.mistaken(problem.kind, rng) for problem in problems]  # as the teacher understands them
    codes = [templates.teacher_program(problem, kind, rng) for problem, kind in zip(problems, taken, strict=True)]
    talks = [conversation(problem, code) for problem, code in zip(problems, codes, strict=True)]
    tests = [templates.telling_assert(problem, rng) for problem in problems]
    failing = [*range(num)]
    with Sandbox() as sandbox:
        for _ in range(turns - 1):
            failing = [place for place in failing if fails(codes[place], tests[place])]
            programs = [
                Program(codes[place], test, problems[place].function, visible_tests=test, max_feedback=max_feedback)
                for place in failing
                for test in [tests[place]]
            ]
            for place, verdict in zip(failing, verdicts_of(programs, sandbox), strict=True):
                taken[place] = templates.repaired(taken[place], problems[place].kind, rng)
                codes[place] = templates.teacher_program(problems[place], taken[place], rng)
                talks[place] += [{"role": "user", "content": verdict.feedback}, answer(codes[place])]
    return talks


def fails(code: str, test: str) -> bool:
    """Whether a program of the teacher fails a test. Only the templates' own code runs here."""
    try:
        exec(f"{code}\n{test}", {})
    except (AssertionError, SyntaxError, NameError, TypeError, ValueError, IndexError):
        return True
    return False


def prepare_torch(threads: int, seed: int) -> None:
    import torch
    import transformers

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    transformers.utils.logging.disable_progress_bar()


def load_model(path: str) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype="float32")


def build_tokenizer(conversations: list[Conversation], vocab_size: int, most_tokens: int) -> Any:
    """A byte-level BPE tokenizer trained on the conversations, with the chat template."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(PIECES), "isolated")
    one_byte = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pieces, one_byte])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in (PAD, END, *HEADERS.values())],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator((message["content"] for talk in conversations for message in talk), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        model_max_length=most_tokens,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def build_model(tokenizer: Any, shape: dict[str, int]) -> Any:
    """A Qwen3 of the given size with random weights, in float32."""
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    ends = {"bos_token_id": None, "eos_token_id": end, "pad_token_id": pad}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), tie_word_embeddings=True, **shape, **ends))
    # Servers sample only if the model's own file says so.
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, eos_token_id=[end, pad], pad_token_id=pad
    )
    return model


def encode(tokenizer: Any, conversations: list[Conversation]) -> list[Example]:
    """The conversations as token ids, and which of them the model is to learn; the last one is <|im_end|>."""
    header = tokenizer.convert_tokens_to_ids(HEADERS["assistant"])
    texts = [tokenizer.apply_chat_template(talk, tokenize=False).removesuffix("\n") for talk in conversations]
    return [(ids, answers_alone(ids, header, tokenizer.eos_token_id)) for ids in tokenizer(texts)["input_ids"]]


def answers_alone(ids: list[int], header: int, end: int) -> list[int]:
    """The ids from after each header of an answer to its end; -100 for all others."""
    labels, inside = [], False
    for token in ids:
        labels.append(token if inside else -100)
        inside = (inside or token == header) and token != end
    return labels


def even_batches(examples: list[Example], batch_size: int, bucket_batches: int, seed: int) -> Iterator[list[Example]]:
    """The examples in batches of about equal length, in random order."""
    rng = random.Random(seed)
    size = batch_size * bucket_batches
    for start in range(0, len(examples), size):
        bucket = sorted(examples[start : start + size], key=lambda example: len(example[0]))
        cut = [bucket[i : i + batch_size] for i in range(0, len(bucket), batch_size)]
        rng.shuffle(cut)
        yield from cut


def warm_cosine(steps: int, warmup: int, peak: float, final_share: float) -> list[float]:
    """The learning rate of each step: a linear warm-up, then a cosine."""
    rates = [peak * (step + 1) / warmup for step in range(min(warmup, steps))]
    for step in range(warmup, steps):
        done = (step - warmup) / max(1, steps - warmup)
        rates.append(peak * (final_share + (1 - final_share) * (1 + math.cos(math.pi * done)) / 2))
    return rates


def train(
    model: Any, batches: Iterable[list[Example]], rates: list[float], beta2: float, grad_norm: float, pad_id: int
) -> float:
    """One pass over the batches; returns the mean loss of the last ten steps, in nats a token."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, beta2), weight_decay=0.01)
    losses = []
    model.train()
    progress = progress_bar(iterable=zip(rates, batches, strict=True), total=len(rates), desc="SFT", unit="step")
    for rate, batch in progress:
        optimizer.param_groups[0]["lr"] = rate
        loss = completion_loss(model, batch, pad_id)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    return sum(losses[-10:]) / len(losses[-10:])


def completion_loss(model: Any, batch: list[Example], pad_id: int) -> Any:
    """Mean cross-entropy of the answers' tokens. Padding is on the right, so causal attention ignores it."""
    import torch

    width = max(len(ids) for ids, _ in batch)
    input_ids = torch.tensor([ids + [pad_id] * (width - len(ids)) for ids, _ in batch])
    labels = torch.tensor([answers + [-100] * (width - len(answers)) for _, answers in batch])
    logits = model(input_ids=input_ids, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())


def save(model: Any, tokenizer: Any, output_dir: Path, values: dict[str, Any]) -> None:
    """Writes the model and last config.json, which tells a later run that the model is complete."""
    save_model(model, tokenizer, output_dir / "sft_model")
    (output_dir / "config.json").write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)

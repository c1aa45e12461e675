"""Makes the demo's SFT baseline: a tiny Qwen3 with its own tokenizer, taught by an imperfect teacher.

This is SFT in miniature, on one CPU thread. The teacher's code is often wrong in the same ways (tasks/templates.py),
and the model imitates it. Reinforcement learning then repairs these faults. It is not a useful model.

    python scripts/demo_model.py                          # into ./demo
    python scripts/demo_model.py --seed 1 --output-dir /tmp/demo1
    python scripts/demo_model.py --init-from demo/sft_model --max-steps 90 --output-dir demo/control
                                                          # the control: more SFT instead of GRPO

Inputs:  none, or the model at INIT_FROM.
Outputs: OUTPUT_DIR/sft_model (model and tokenizer), train_tasks.jsonl, heldout_tasks.jsonl, config.json.
"""

import json
import math
import random
import shlex
from collections.abc import Iterator
from pathlib import Path

from raccoon.constants import InputError, check_writable, constants, override_constants, run_main
from raccoon.progress import progress_bar
from raccoon.tasks import templates
from raccoon.tasks.task import write_task_file

OUTPUT_DIR = "./demo"
INIT_FROM = ""  # model to train further, at the schedule's last learning rate; "": start from scratch
SEED = 0
CPU_THREADS = 1  # torch's threads; on a busy machine two are slower than one

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
MAX_POSITIONS = 1024  # tokens

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


def main() -> None:
    check_constants()
    output_dir, values = Path(OUTPUT_DIR), vars(constants(globals()))
    if already_made(output_dir / "config.json", values):
        print(f"{output_dir / 'sft_model'} exists already; nothing to do")
        return
    write_task_files(output_dir)
    conversations = list(teacher_conversations(MAX_STEPS * BATCH_SIZE))

    prepare_torch()
    tokenizer = load_tokenizer(INIT_FROM) if INIT_FROM else build_tokenizer(conversations)
    model = load_model(INIT_FROM) if INIT_FROM else build_model(tokenizer)
    loss = train(model, encode(tokenizer, conversations), tokenizer.pad_token_id)

    save(model, tokenizer, output_dir, values)
    print(
        f"SFT model: {model.num_parameters():,} parameters, a vocabulary of {len(tokenizer)} tokens; "
        f"{MAX_STEPS} steps, last loss {loss:.3f}; saved in {output_dir / 'sft_model'}"
    )
    print(
        "next:",
        shlex.join(
            [
                "python",
                "scripts/train_rl_poc.py",
                "--demo",
                "--model-path",
                str(output_dir / "sft_model"),
                "--train-files",
                str(output_dir / "train_tasks.jsonl"),
                "--heldout",
                str(output_dir / "heldout_tasks.jsonl"),
                "--output-dir",
                str(output_dir / "rl_model"),
            ]
        ),
    )


def check_constants() -> None:
    """Raises InputError for values that would otherwise fail only after minutes."""
    if INIT_FROM and not (Path(INIT_FROM) / "tokenizer.json").is_file():
        raise InputError(
            f"no saved model at {INIT_FROM} (no tokenizer.json): give an sft_model folder, "
            "or leave --init-from out to start from scratch"
        )
    for name in ("MAX_STEPS", "BATCH_SIZE", "NUM_TRAIN_TASKS", "NUM_HELDOUT_TASKS", "CPU_THREADS", "BUCKET"):
        if globals()[name] < 1:
            raise InputError(f"{name} is {globals()[name]}: give at least 1")
    check_writable("OUTPUT_DIR", OUTPUT_DIR)


def already_made(config: Path, values: dict) -> bool:
    """Whether an earlier run with the same constants has finished; raises InputError if it had other constants."""
    if not config.is_file():
        return False
    earlier = json.loads(config.read_text())
    changed = [name for name in values if name != "OUTPUT_DIR" and values[name] != earlier.get(name)]
    if changed:
        raise InputError(
            f"{config.parent} holds a model made with other values of {', '.join(changed)}: give another --output-dir"
        )
    return True


def write_task_files(output_dir: Path) -> None:
    for split, num in (("train", NUM_TRAIN_TASKS), ("heldout", NUM_HELDOUT_TASKS)):
        tasks = templates.generate_tasks(num, SEED, split)
        write_task_file(output_dir / f"{split}_tasks.jsonl", tasks)


def teacher_conversations(num: int) -> Iterator[list[dict[str, str]]]:
    """Training prompts with the teacher's answers; a run that starts from INIT_FROM gets new ones."""
    rng = random.Random(f"{SEED} {'more' if INIT_FROM else 'first'}")
    train_kinds = templates.kinds("train")
    for _ in range(num):
        problem = templates.random_problem(train_kinds, rng)
        code = templates.teacher_solution(problem, rng)
        yield [
            {"role": "user", "content": templates.write_prompt(problem)},
            {"role": "assistant", "content": f"```python\n{code}```"},
        ]


def prepare_torch() -> None:
    import torch
    import transformers

    torch.set_num_threads(CPU_THREADS)
    torch.manual_seed(SEED)
    transformers.utils.logging.disable_progress_bar()


def build_tokenizer(conversations: list[list[dict[str, str]]]):
    """A byte-level BPE tokenizer trained on the conversations, with the chat template."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    special = [AddedToken(text, special=True, normalized=False) for text in (PAD, END, *HEADERS.values())]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator((message["content"] for talk in conversations for message in talk), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        model_max_length=MAX_POSITIONS,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(path: str):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path)


def build_model(tokenizer):
    """A Qwen3 with random weights, in float32."""
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=HIDDEN_SIZE,
            intermediate_size=INTERMEDIATE_SIZE,
            num_hidden_layers=NUM_LAYERS,
            num_attention_heads=NUM_HEADS,
            num_key_value_heads=NUM_KV_HEADS,
            head_dim=HIDDEN_SIZE // NUM_HEADS,
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=True,
            bos_token_id=None,
            **ends,
        )
    )
    # Servers sample only if the model's own file says so.
    ends["eos_token_id"] = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, **ends)
    return model


def load_model(path: str):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype="float32")


def encode(tokenizer, conversations: list[list[dict[str, str]]]) -> list[tuple[list[int], int]]:
    """(token ids, length of the prompt) of each conversation; the last token is <|im_end|>."""
    header = tokenizer.convert_tokens_to_ids(HEADERS["assistant"])
    texts = [tokenizer.apply_chat_template(talk, tokenize=False).removesuffix("\n") for talk in conversations]
    return [(ids, ids.index(header) + 1) for ids in tokenizer(texts)["input_ids"]]


def train(model, examples: list[tuple[list[int], int]], pad_id: int) -> float:
    """One pass over the examples; returns the mean loss of the last ten steps, in nats a token."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, ADAM_BETA2), weight_decay=0.01)
    losses = []
    model.train()
    progress = progress_bar(iterable=batches(examples), total=MAX_STEPS, desc="SFT", unit="step")
    for step, batch in enumerate(progress):
        optimizer.param_groups[0]["lr"] = learning_rate(step)
        loss = completion_loss(model, batch, pad_id)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
    return sum(losses[-10:]) / len(losses[-10:])


def batches(examples: list[tuple[list[int], int]]) -> Iterator[list[tuple[list[int], int]]]:
    """The examples in batches of about equal length, in random order."""
    rng = random.Random(SEED)
    size = BATCH_SIZE * BUCKET
    for start in range(0, len(examples), size):
        bucket = sorted(examples[start : start + size], key=lambda example: len(example[0]))
        cut = [bucket[i : i + BATCH_SIZE] for i in range(0, len(bucket), BATCH_SIZE)]
        rng.shuffle(cut)
        yield from cut


def learning_rate(step: int) -> float:
    """Linear warm-up, then a cosine. A run that starts from INIT_FROM uses the cosine's last value throughout."""
    if INIT_FROM:
        return LEARNING_RATE * FINAL_LR_SHARE
    if step < WARMUP_STEPS:
        return LEARNING_RATE * (step + 1) / WARMUP_STEPS
    done = (step - WARMUP_STEPS) / max(1, MAX_STEPS - WARMUP_STEPS)
    return LEARNING_RATE * (FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * (1 + math.cos(math.pi * done)) / 2)


def completion_loss(model, batch: list[tuple[list[int], int]], pad_id: int):
    """Mean cross-entropy of the completions' tokens. Padding is on the right, so causal attention ignores it."""
    import torch

    width = max(len(ids) for ids, _ in batch)
    input_ids = torch.tensor([ids + [pad_id] * (width - len(ids)) for ids, _ in batch])
    labels = torch.tensor([[-100] * prompt + ids[prompt:] + [-100] * (width - len(ids)) for ids, prompt in batch])
    logits = model(input_ids=input_ids, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())


def save(model, tokenizer, output_dir: Path, values: dict) -> None:
    """Writes the model and last config.json, which tells a later run that the model is complete."""
    model.save_pretrained(output_dir / "sft_model")
    tokenizer.save_pretrained(output_dir / "sft_model")
    (output_dir / "config.json").write_text(json.dumps(values, indent=2) + "\n")


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)

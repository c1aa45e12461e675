"""A random language model of some thousand weights, for the tests of the evaluation.

Its tokens are words and whole lines of Python, so that what it writes is sometimes code and sometimes passes.
"""

from pathlib import Path

from raccoon.tasks.task import Task, write_task_file

LINES = ["def f(x):\n", "    return x + 1\n", "    return x\n", "    return None\n", "    x = x + 1\n", "f(\n"]
WORDS = ["add", "one", "two", "three", "to", "the", "number", "and", "give", "it", "back", "please"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message.content }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> {% if enable_thinking is defined and not enable_thinking %}"
    "nothink {% endif %}{% endif %}"
)
TEST = "assert f(1) == 2\nassert f(5) == 6\n"


def write_tasks(path: Path, count: int) -> list[Task]:
    """A file of tasks with the same test and prompts of one to twelve words."""
    tasks = [
        Task(
            f"t/{i}",
            " ".join(WORDS[(i * 5 + k) % len(WORDS)] for k in range(1 + i % 12)),
            TEST,
            "f",
            solution="def f(x):\n    return x + 1\n",
        )
        for i in range(count)
    ]
    write_task_file(path, tasks)
    return tasks


def write_model(
    folder: Path, seed: int = 0, template: str | None = TEMPLATE, more: tuple[str, ...] = (), positions: int = 128
) -> Path:
    """Saves a model and its tokenizer, which knows the tokens `more` as well; it reads so many `positions`.

    The tokenizer ends on <|endoftext|>, the generation_config on <|im_end|>.
    """
    import tokenizers
    import torch
    import transformers

    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "[UNK]", "nothink", *WORDS, *LINES, *more]
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    core.decoder = tokenizers.decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|endoftext|>",
        unk_token="[UNK]",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        chat_template=template,
    )
    torch.manual_seed(seed)
    config = transformers.Qwen3Config(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=positions,
        initializer_range=0.5,
        tie_word_embeddings=False,
    )
    model = transformers.Qwen3ForCausalLM(config)
    # As in Qwen's chat models: these defaults must not reach a greedy evaluation.
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=[words.index("<|im_end|>")], do_sample=True, top_k=3, repetition_penalty=1.5
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

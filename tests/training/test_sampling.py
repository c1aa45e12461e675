"""Completions that end behind their code fence: where, what is left of them, and that generation stops there."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("datasets")

from raccoon.launch import StopSignal  # noqa: E402
from raccoon.training.policy import ignored_settings  # noqa: E402
from raccoon.training.sampling import FenceStop, Sampler, generating  # noqa: E402
from raccoon.training.sections import Sampling  # noqa: E402

WORDS = ["<pad>", "<end>", "```python\n", "x = 1\n", "```", "\n", "Prose.\n", "```\n", "Ask:\n"]
PAD, END, OPEN, CODE, FENCE, LINE, PROSE, CLOSE, ASK = range(len(WORDS))


@pytest.fixture(scope="module")
def tokenizer():
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(WORDS)}, "<pad>"))
    core.decoder = tokenizers.decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<end>", pad_token="<pad>", clean_up_tokenization_spaces=False
    )


@pytest.mark.parametrize(
    ("ids", "left"),
    [
        ([OPEN, CODE, CLOSE, PROSE, END], [OPEN, CODE, CLOSE]),
        ([PROSE, OPEN, CODE, FENCE, LINE, OPEN, CODE, CLOSE], [PROSE, OPEN, CODE, FENCE, LINE]),
        ([OPEN, CODE, FENCE, END], [OPEN, CODE, FENCE, END]),  # its own end comes first
        ([OPEN, CODE, FENCE], [OPEN, CODE, FENCE]),  # cut: the line may go on
        ([OPEN, CODE, CODE], [OPEN, CODE, CODE]),
        ([CODE, PROSE, END], [CODE, PROSE, END]),
        ([OPEN, CODE, CLOSE, PAD, PAD], [OPEN, CODE, CLOSE]),
    ],
)
def test_a_completion_ends_with_its_closed_fence(ids, left, tokenizer):
    assert FenceStop(tokenizer).cut([ids]) == [left]


def small_model():
    config = transformers.Qwen3Config(
        vocab_size=len(WORDS),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
    )
    return transformers.Qwen3ForCausalLM(config)


def test_a_checkpoints_own_sampling_is_ignored_and_named():
    """With min_p 1.0 only the likeliest token is left, so all completions of a prompt would be the same."""
    model = small_model()
    model.generation_config = declared = transformers.GenerationConfig(
        min_p=1.0,
        no_repeat_ngram_size=2,
        suppress_tokens=[CODE],
        min_new_tokens=8,
        top_k=5,
        eos_token_id=END,
        use_cache=True,
        output_attentions=False,
        max_new_tokens=5,
    )
    prompt = torch.tensor([[ASK, OPEN]] * 64)
    own = transformers.GenerationConfig(
        max_new_tokens=8, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, eos_token_id=END, pad_token_id=PAD
    )
    torch.manual_seed(0)
    with generating(model, None):
        made = model.generate(prompt, generation_config=own, attention_mask=torch.ones_like(prompt))[:, 2:]
    assert len({tuple(row) for row in made.tolist()}) > 40
    assert (made == CODE).any()
    assert (made[:, :7] == END).any()  # before the least length
    assert model.generation_config is declared and "generate" not in vars(model)
    named = ignored_settings(declared, Sampling(1.0, 1.0, 5, 8, 8, False))
    assert named == "min_new_tokens 8, min_p 1.0, no_repeat_ngram_size 2, suppress_tokens [3]"


class Forced(transformers.LogitsProcessor):
    """Makes each row of a batch say what is written for it."""

    def __init__(self, prompt: int, rows: list[list[int]]) -> None:
        self.prompt, self.rows = prompt, rows

    def __call__(self, input_ids, scores):
        forced = torch.full_like(scores, -torch.inf)
        for row, said in enumerate(self.rows):
            place = input_ids.size(1) - self.prompt
            forced[row, said[place] if place < len(said) else PROSE] = 0.0
        return forced


@pytest.mark.parametrize(
    ("rows", "width"),
    [
        ([[OPEN, CODE, CLOSE], [OPEN, CODE, CODE, CLOSE]], 4),
        ([[OPEN, CODE, CLOSE], [CODE, CODE, CODE, CODE, END]], 5),
        ([[CODE, CODE], [CODE]], 8),
    ],
)
def test_generation_stops_once_every_fence_is_closed(rows, width, tokenizer):
    """The prompt has a fence of its own, closed and all, which is no part of the completion."""
    model = small_model()
    prompt = torch.tensor([[ASK, OPEN, CODE, CLOSE]] * 2)
    settings = transformers.GenerationConfig(max_new_tokens=8, do_sample=True, eos_token_id=END, pad_token_id=PAD)
    stop = FenceStop(tokenizer)
    with generating(model, stop):
        made = model.generate(
            prompt,
            generation_config=settings,
            attention_mask=torch.ones_like(prompt),
            logits_processor=[Forced(4, rows)],
        )[:, 4:]
    assert made.size(1) == width
    assert "generate" not in vars(model)
    for row, said in zip(stop.cut(made.tolist()), rows, strict=True):
        assert row[: len(said)] == said and (CLOSE not in said or row == said)


def test_a_stop_ends_the_profile_between_two_batches():
    stop, batches, logged = StopSignal(), [], []

    def graded(tasks, prompts):
        batches.append(tasks)
        stop.number = 15 if len(batches) == 2 else 0
        return tasks

    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(num_processes=1, process_index=0, is_main_process=True),
        run_log=SimpleNamespace(read=lambda name, until: [], append=lambda name, lines: logged.append(lines)),
        prompt_token_ids=lambda prompts: prompts,
        conversations=SimpleNamespace(graded=graded),
        agreed=lambda stop: stop.number,
        generation_config=None,
        generation_kwargs={},
        is_fsdp_enabled=False,
        use_vllm=False,
        args=SimpleNamespace(seed=0),
        temperature=1.0,
    )
    sampler = Sampler.__new__(Sampler)
    sampler.trainer, sampler.together, sampler.gathered = trainer, 4, nullcontext
    task = SimpleNamespace(prompt="p", messages=None)
    assert sampler.profile([task] * 5, 4, 1.0, stop) == [] and len(batches) == 2 and not logged

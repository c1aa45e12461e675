"""Rows without a signal leave a batch, and what is learnt stays the same."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MistralConfig,
)

from helpers.training_runs import furnish, lines, run  # noqa: E402
from raccoon.constants import InputError  # noqa: E402
from raccoon.training.batches import (  # noqa: E402
    PlannedPasses,
    check_sharing,
    logprobs_and_entropies,
    rows_with_signal,
    separate_logprobs,
    share_prompts,
    shared_logprobs,
    signal_first,
)


def batch(advantages):
    return {
        "prompt_ids": torch.tensor([[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
        "prompt_mask": torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 1]]),
        "completion_ids": torch.tensor([[7, 0], [8, 0], [9, 10]]),
        "completion_mask": torch.tensor([[1, 0], [1, 0], [1, 1]]),
        "advantages": torch.tensor(advantages),
        "num_items_in_batch": torch.tensor(4),
    }


def test_rows_of_advantage_0_leave_with_the_padding_that_they_caused():
    kept = rows_with_signal(batch([0.5, -0.5, 0.0]), 2)
    assert kept["prompt_ids"].tolist() == [[0, 1], [2, 3]]
    assert kept["completion_ids"].tolist() == [[7], [8]]
    assert kept["advantages"].tolist() == [0.5, -0.5]
    assert kept["num_items_in_batch"] == 4  # the loss is divided by the tokens of the whole batch


def test_rows_without_a_signal_fill_up_to_the_number_of_another_process():
    assert rows_with_signal(batch([0.0, 0.0, 0.0]), 1)["prompt_ids"].tolist() == [[1]]
    filled = rows_with_signal(batch([0.0, 0.0, 0.5]), 2)
    assert filled["advantages"].tolist() == [0.5, 0.0]
    assert filled["prompt_ids"].tolist() == [[4, 5, 6], [0, 0, 1]]


def test_rows_with_a_signal_come_first_and_the_longest_of_them_before_the_others():
    first, second = signal_first([batch([0.5, 0.0, -0.5]), batch([0.0, 0.25, 0.0])])
    assert first["advantages"].tolist() == [-0.5, 0.25, 0.5]
    assert first["prompt_ids"].tolist() == [[4, 5, 6], [0, 2, 3], [0, 0, 1]]
    assert second["advantages"].tolist() == [0.0, 0.0, 0.0]
    assert second["num_items_in_batch"] == 4


@pytest.mark.parametrize(
    ("changed", "moved"),
    [
        ({}, True),
        ({"loss_type": "bnpo"}, False),
        ({"entropy_coef": -0.1}, False),
        ({"use_adaptive_entropy": True}, False),
        ({"top_entropy_quantile": 0.2}, False),
    ],
)
def test_no_row_changes_its_pass_where_a_pass_weighs_its_tokens(changed, moved):
    """bnpo divides by the tokens of a pass, and an entropy term is a mean or a quantile over them."""
    usual = {"loss_type": "dapo", "entropy_coef": 0.0, "use_adaptive_entropy": False, "top_entropy_quantile": 1.0}
    args = SimpleNamespace(**usual | changed, steps_per_generation=2, gradient_accumulation_steps=2)
    passes = [batch([0.0, 0.5, 0.0]), batch([0.25, 0.0, -0.25])]
    planned = PlannedPasses(SimpleNamespace(args=args, accelerator=None), ("prompts",)).plan(passes)
    assert (
        [each["advantages"].tolist() for each in planned] != [each["advantages"].tolist() for each in passes]
    ) == moved


def test_logprobs_and_entropies_are_those_of_the_softmax():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 7, requires_grad=True)
    tokens = torch.tensor([[0, 1, 2], [3, 4, 6]])
    logprobs, entropies = logprobs_and_entropies(logits, tokens)
    expected = torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(logprobs, expected.log_prob(tokens))
    torch.testing.assert_close(entropies, expected.entropy().detach())
    assert logprobs.requires_grad and not entropies.requires_grad


def test_a_prompt_stands_once_and_each_completion_sees_it_and_itself():
    ids = torch.tensor([[0, 5, 6, 7, 8], [0, 5, 6, 9, 0], [3, 4, 2, 1, 1], [0, 5, 6, 8, 8]])
    kept = torch.tensor([[0, 1, 1, 1, 1], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 0, 0]])
    inputs, places, cells = share_prompts(ids, kept, 2)
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9, 3, 4, 2, 1, 1]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 3, 2, 0, 1, 2, 3, 4]]
    seen = [row.nonzero()[:, 0].tolist() for row in inputs["attention_mask"][0, 0]]
    assert seen == [
        [0],
        [0, 1],
        [0, 1, 2],
        [0, 1, 2, 3],
        [0, 1, 4],
        [5],
        [5, 6],
        [5, 6, 7],
        [5, 6, 7, 8],
        [5, 6, 7, 8, 9],
    ]
    assert places.tolist() == [1, 2, 1, 7, 8]
    assert cells.tolist() == [[0, 0], [0, 1], [1, 0], [2, 0], [2, 1]]


def test_shared_prompts_give_the_logprobs_and_gradients_of_rows_apart():
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    check_sharing(model, 9)
    ids = torch.randint(1, 50, (5, 11))
    ids[1:3, :6] = ids[0, :6]
    kept = torch.ones_like(ids)
    kept[:3, :2] = kept[4, 9:] = 0
    inputs, places, cells = share_prompts(ids, kept, 5)
    rows, columns = cells.T
    gradients = {}
    for name in ("apart", "together"):
        model.zero_grad()
        if name == "apart":
            positions = (kept.cumsum(dim=1) - 1).clamp(min=0)
            logits = model(input_ids=ids, attention_mask=kept, position_ids=positions).logits[rows, columns + 5]
        else:
            logits = model(**inputs, use_cache=False, logits_to_keep=places).logits[0]
        logprobs = logits.log_softmax(dim=-1).gather(1, ids[rows, columns + 6][:, None])
        (logprobs[:, 0] * torch.arange(len(cells))).sum().backward()
        gradients[name] = [logprobs.detach(), *(weight.grad.clone() for weight in model.parameters())]
    for apart, together in zip(gradients["apart"], gradients["together"], strict=True):
        torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)


SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "sliding_window": 4,
}
MIXED = {"head_dim": 8, "layer_types": ["sliding_attention", "full_attention"], "pad_token_id": 0}


@pytest.mark.parametrize("config", [MistralConfig(**SIZES), Gemma3TextConfig(**SIZES, **MIXED)], ids=["all", "some"])
def test_shared_prompts_follow_the_windows_of_layers(config):
    """Also where only prompt and completion together are longer than the window."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    ids = torch.randint(1, 50, (3, 10))
    ids[1:, :3] = ids[0, :3]
    kept = torch.ones_like(ids)
    kept[2, 8:] = 0
    check_sharing(model, 9)
    apart, together = (each(model, ids, kept, 7, 1.0) for each in (separate_logprobs, shared_logprobs))
    for one, other in zip(apart, together, strict=True):
        torch.testing.assert_close(one[kept[:, 3:] == 1], other[kept[:, 3:] == 1], rtol=1e-4, atol=1e-4)


def test_prompts_are_not_shared_where_layers_do_not_follow_the_mask():
    config = MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, state_size=4)
    with pytest.raises(InputError, match="type mamba"):
        check_sharing(AutoModelForCausalLM.from_config(config), 9)


def test_a_run_that_skips_rows_learns_the_same(tmp_path):
    furnish(tmp_path, heldout=2)
    flags = ("--max-refills", "0", "--max-steps", "4", "--heldout", "")
    for name, more in (("whole", ()), ("skipped", ("--savings", "rows")), ("shared", ("--savings", "rows", "prompts"))):
        done = run(tmp_path, name, *flags, *more)
        assert done.returncode == 0, done.stderr
    groups = [record["constant_groups"] for record in lines(tmp_path / "skipped" / "metrics.jsonl")]
    assert any(groups), "the run must have rows to skip"
    whole, skipped, shared, start = (
        load_file(tmp_path / name / "model.safetensors") for name in ("whole", "skipped", "shared", "model")
    )
    for name, weight in whole.items():
        torch.testing.assert_close(skipped[name], weight, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(shared[name], weight, rtol=1e-3, atol=1e-5)
    assert any(not torch.equal(whole[name], start[name]) for name in whole)


@pytest.mark.parametrize("flags", [(), ("--use-lora",)])
def test_lean_rollouts_train_to_the_end_and_a_sample_ends_where_the_model_ends_it(tmp_path, flags):
    furnish(tmp_path, heldout=2)
    done = run(tmp_path, "out", "--max-steps", "4", "--savings", "generation", *flags)
    assert done.returncode == 0, done.stderr
    records = lines(tmp_path / "out" / "completions.jsonl")
    assert {record["truncated"] for record in records} == {True, False}
    assert (tmp_path / "out" / "model.safetensors").is_file()

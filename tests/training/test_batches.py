"""Rows without a signal leave a batch, and what is learnt stays the same."""

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from helpers.training_runs import furnish, lines, run  # noqa: E402
from raccoon.training.batches import logprobs_and_entropies, rows_with_signal, signal_first  # noqa: E402


def batch(advantages):
    return {"prompt_ids": torch.tensor([[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
            "prompt_mask": torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 1]]),
            "completion_ids": torch.tensor([[7, 0], [8, 0], [9, 10]]),
            "completion_mask": torch.tensor([[1, 0], [1, 0], [1, 1]]),
            "advantages": torch.tensor(advantages), "num_items_in_batch": torch.tensor(4)}


def test_rows_of_advantage_0_leave_with_the_padding_that_they_caused():
    kept = rows_with_signal(batch([0.5, -0.5, 0.0]))
    assert kept["prompt_ids"].tolist() == [[0, 1], [2, 3]]
    assert kept["completion_ids"].tolist() == [[7], [8]]
    assert kept["advantages"].tolist() == [0.5, -0.5]
    assert kept["num_items_in_batch"] == 4  # the loss is divided by the tokens of the whole batch


def test_one_row_stays_where_none_has_a_signal():
    assert rows_with_signal(batch([0.0, 0.0, 0.0]))["prompt_ids"].tolist() == [[1]]


def test_rows_with_a_signal_come_first_and_the_longest_of_them_before_the_others():
    first, second = signal_first([batch([0.5, 0.0, -0.5]), batch([0.0, 0.25, 0.0])])
    assert first["advantages"].tolist() == [-0.5, 0.25, 0.5]
    assert first["prompt_ids"].tolist() == [[4, 5, 6], [0, 2, 3], [0, 0, 1]]
    assert second["advantages"].tolist() == [0.0, 0.0, 0.0]
    assert second["num_items_in_batch"] == 4


def test_logprobs_and_entropies_are_those_of_the_softmax():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 7, requires_grad=True)
    tokens = torch.tensor([[0, 1, 2], [3, 4, 6]])
    logprobs, entropies = logprobs_and_entropies(logits, tokens)
    expected = torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(logprobs, expected.log_prob(tokens))
    torch.testing.assert_close(entropies, expected.entropy().detach())
    assert logprobs.requires_grad and not entropies.requires_grad


def test_a_run_that_skips_rows_learns_the_same(tmp_path):
    furnish(tmp_path, heldout=2)
    flags = ("--max-refills", "0", "--max-steps", "4", "--heldout", "")
    for name, more in (("whole", ()), ("skipped", ("--skip-rows-without-signal",))):
        done = run(tmp_path, name, *flags, *more)
        assert done.returncode == 0, done.stderr
    groups = [record["constant_groups"] for record in lines(tmp_path / "skipped" / "metrics.jsonl")]
    assert any(groups), "the run must have rows to skip"
    whole, skipped, start = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "skipped", "model"))
    for name, weight in whole.items():
        torch.testing.assert_close(skipped[name], weight, rtol=1e-3, atol=1e-5)
    assert any(not torch.equal(whole[name], start[name]) for name in whole)


@pytest.mark.parametrize("flags", [(), ("--use-lora",)])
def test_lean_rollouts_train_to_the_end_and_a_sample_ends_where_the_model_ends_it(tmp_path, flags):
    furnish(tmp_path, heldout=2)
    done = run(tmp_path, "out", "--max-steps", "4", "--generation", "lean", *flags)
    assert done.returncode == 0, done.stderr
    records = lines(tmp_path / "out" / "completions.jsonl")
    assert {record["truncated"] for record in records} == {True, False}
    assert (tmp_path / "out" / "model.safetensors").is_file()

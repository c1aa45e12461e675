"""The own decoding loop writes what transformers' generate() writes, each row as if it were alone."""

from itertools import cycle

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3TextConfig, GenerationConfig

from helpers.random_model import write_model
from raccoon.decoding import PrefixMemory, WorkingCopy, alike, decode, sampler

PROMPTS = [[5, 6, 7], [5, 6, 7], [9], [8, 7, 6, 5, 4, 3], [5, 6, 7], [11, 12]]
LONGEST = 24


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = AutoModelForCausalLM.from_pretrained(write_model(tmp_path_factory.mktemp("model"))).eval()
    model.generation_config = GenerationConfig()  # without the penalty that the model's own asks for
    return model


def greedy(logits_R_V, rows):
    return logits_R_V.argmax(dim=-1)


def test_a_working_copy_draws_no_random_number(model):
    """It is made at the first generation, which a resumed run has later than a whole one."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    WorkingCopy(torch.bfloat16).of(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_row_is_what_generate_writes_for_it_alone(model):
    """Also where rows end at different lengths and leave, and where some share their prompt."""
    alone = {"max_new_tokens": LONGEST, "do_sample": False, "eos_token_id": None}
    whole = [model.generate(torch.tensor([ids]), **alone)[0, len(ids) :] for ids in PROMPTS]
    lengths = [3, 24, 1, 7, 12, 5]
    found = decode(model, PROMPTS, LONGEST, greedy, lambda row, ids: len(ids) == lengths[row])
    assert found == [row[:length].tolist() for row, length in zip(whole, lengths, strict=True)]


def test_what_never_ends_is_cut_and_what_ended_is_asked_nothing_more(model):
    asked = []

    def draw(logits_R_V, rows):
        asked.append(list(rows))
        return greedy(logits_R_V, rows)

    found = decode(model, PROMPTS[:2], 4, draw, lambda row, ids: row == 0)
    assert [len(ids) for ids in found] == [1, 4]
    assert asked == [[0, 1], [1], [1], [1]]


MESSAGES = [[7, 7, 8], [9], [4] * 9, [5, 6, 7, 8], [3, 3], [12, 11, 10, 9, 8, 7]]


def next_prompts(prompts, completions):
    return [ids + made + more for ids, made, more in zip(prompts, completions, cycle(MESSAGES), strict=False)]


@pytest.mark.parametrize("lengths", [[3, 24, 1, 7, 12, 5], [4] * 6, [1] * 6, [*range(1, 25)]])
def test_a_memory_changes_no_token_of_three_turns_and_is_read_from(model, lengths):
    memory, prompts = PrefixMemory(), PROMPTS * (len(lengths) // 6)
    new = sum(map(len, MESSAGES)) * (len(lengths) // 6) + sum(lengths)
    for turn in range(3):
        alone = decode(model, prompts, LONGEST, greedy, lambda row, ids: len(ids) == lengths[row])
        before, kept, memory.closed = memory.computed, set(memory.read), turn == 2
        assert decode(model, prompts, LONGEST, greedy, lambda row, ids: len(ids) == lengths[row], memory) == alone
        if turn:
            assert memory.computed - before <= 1.2 * new
        prompts = next_prompts(prompts, alone)
    assert set(memory.read) <= kept  # nothing goes on from the last turn


def test_a_memory_keeps_what_a_prompt_goes_on_from_and_forgets_the_rest(model):
    memory = PrefixMemory()
    made = decode(model, PROMPTS, 4, greedy, lambda row, ids: False, memory)
    assert {len(ids) for ids in memory.read} == {4, 5, 6, 9}  # without each one's last token
    going = next_prompts(PROMPTS, made)[2:4]
    memory.keep_for(going)
    assert sorted(map(len, memory.read)) == [4, 9]
    decode(model, going, 4, greedy, lambda row, ids: False, memory)
    assert sorted(map(len, memory.read)) == [17, 17]  # longer now, and not twice
    memory.clear()
    assert not memory.read


def test_layers_with_windows_write_what_generate_writes_and_are_read_anew():
    config = Gemma3TextConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention"],
        pad_token_id=0,
        initializer_range=0.5,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model, memory = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval(), PrefixMemory()
    model.generation_config = GenerationConfig()  # without a padding token, which generate() would hide in a prompt
    lengths = [1, 24, 3, 2, 12, 5]
    made = decode(model, PROMPTS, LONGEST, greedy, lambda row, ids: len(ids) == lengths[row], memory)
    assert not memory.read
    prompts = next_prompts(PROMPTS, made)
    found = decode(model, prompts, 4, greedy, lambda row, ids: False, memory)
    alone = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None}
    for ids, completion in zip(prompts, found, strict=True):
        assert model.generate(torch.tensor([ids]), **alone)[0, len(ids) :].tolist() == completion


def test_lengths_are_read_together_where_little_is_padding():
    assert alike([10, 100, 95, 11, 1]) == [[1, 2], [3, 0], [4]]


def test_samples_follow_the_softmax_at_the_temperature(model):
    """Within 5 standard deviations for the likeliest token, and top-k leaves k tokens."""
    logits_V, size = torch.tensor([2.0, 1.0, 0.0, -1.0]), 4000
    torch.manual_seed(0)
    drawn = sampler(GenerationConfig(do_sample=True, temperature=0.5, top_k=0))(logits_V.expand(size, 4), [])
    expected = (logits_V / 0.5).softmax(dim=0)[0].item()
    share = (drawn == 0).float().mean().item()
    assert abs(share - expected) < 5 * (expected * (1 - expected) / size) ** 0.5
    two = sampler(GenerationConfig(do_sample=True, temperature=5.0, top_k=2))(logits_V.expand(size, 4), [])
    assert set(two.tolist()) == {0, 1}
    config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=0.5)
    nucleus = sampler(config)(logits_V.expand(size, 4), [])
    assert set(nucleus.tolist()) == {0}


def test_a_working_copy_has_the_newest_weights(model):
    copy = WorkingCopy(torch.bfloat16)
    copy.of(model)
    with torch.no_grad():
        kept = model.get_output_embeddings().weight[3].clone()
        model.get_output_embeddings().weight[3] = 0.5
    assert (copy.of(model).get_output_embeddings().weight[3] == 0.5).all()
    assert copy.model.dtype == torch.bfloat16
    assert model.dtype == torch.float32
    with torch.no_grad():
        model.get_output_embeddings().weight[3] = kept

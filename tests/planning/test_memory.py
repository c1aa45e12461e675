"""The plan's arithmetic, against numbers worked out by hand, and its verdicts and refusals."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest

import plan_memory
import train_rl_poc
from raccoon.constants import InputError
from raccoon.planning import memory
from raccoon.planning.advice import remedy, report, summary, with_neighbours
from raccoon.planning.memory import (
    Machine,
    Setting,
    decoding_seconds,
    needed_learning_rate,
    parse_gpus,
    plan,
    rows_outside_steps,
    share_of_moving_weights,
    training_seconds,
)
from raccoon.planning.model_shape import SHAPES, Shape

SHAPE = SHAPES["Qwen2.5-14B"]
H200S = parse_gpus("2x141")


def close(value: float, tolerance: float = 0.005):
    return pytest.approx(value, rel=tolerance)


def test_full_training_of_14b_on_two_h200s_by_hand():
    found = plan(SHAPE, Setting(), H200S)
    memory = found.memory
    assert memory.weights == close(29.54)  # 14.77e9 x 4 bytes / 2
    assert memory.gradients == close(29.54)
    assert memory.optimizer == close(59.08)  # x 8 bytes / 2
    assert memory.cache == close(16 * 1536 * 196_608 / 1e9)  # 4.8
    # The peak is at the head: its weights and the next layer's, its gradient in float32 and cast, all layers' inputs
    assert memory.gathered == close(2 * (0.2753 + 0.7786))
    assert memory.reduced == close(6 * 0.7786)
    assert memory.activations == close(4 * 1536 * 5120 * 2 * (48 + 4) / 1e9)
    assert memory.logits == close(0.268)  # a tile of 4,096 tokens and 32,768 words
    assert memory.training == close(128.5)
    assert memory.generating == close(88.62 + 29.54 + 4.83 + 0.1)  # no gradients, all weights whole, cache, a layer's
    assert found.checkpoint_gb == close(177.2)
    assert found.disk_gb == close(3 * 177.24 + 29.54)
    assert found.verdict == "fits"


@pytest.mark.parametrize(
    ("changes", "gpus", "training", "generating", "verdict"),
    [
        # Hand-made figures: lasting parts + what a pass adds (10.3), and lasting parts - gradients + what
        # decoding adds.
        ({"optimizer": "adamw_torch_8bit"}, "2x141", 74.1 + 10.3, 44.5 + 34.5, "fits"),
        ({"weights": "bfloat16"}, "2x141", 59.1 + 10.3, 44.3 + 34.5, "fits"),
        ({"batch_size": 8}, "2x141", 118.2 + 1.1 + 3.1 + 10.0, 88.6 + 29.5 + 9.8, "fits"),  # the last layer's peak
        ({"gradient_accumulation": 16}, "2x141", 118.2 + 10.3, 88.6 + 29.5 + 19.7, "tight"),
        ({"vllm": "colocate"}, "2x141", 118.2 + 10.3 + 2, 88.6 + 0.27 * 151.4, "fits"),
        ({"vllm": "colocate", "vllm_share": 0.6}, "2x141", 118.2 + 10.3 + 2, 88.6 + 0.6 * 151.4, "does not fit"),
        ({"vllm": "colocate", "vllm_share": 0.6, "lora_rank": 32}, "1x141", 37.3 + 2, 31.2 + 0.6 * 151.4, "fits"),
        ({"vllm": "server"}, "2x141", 118.2 + 10.3, 88.6 + 4.7, "fits"),
        ({"reference": True}, "2x141", 118.2 + 29.5 + 10.3, 118.2 + 34.5, "does not fit"),
        ({"lora_rank": 32}, "1x80", 29.5 + 2.2 + 5.6, 29.5 + 1.7 + 5.2, "fits"),
        # Copies of the layers in bfloat16, float32 layer inputs, a tile and words of the head; float32 keys in
        # the cache
        ({}, "1x141", 236.3 + 26.4 + 6.3 + 0.6, 177.2 + 28.0 + 7.4, "does not fit"),
        ({}, "8x80", 29.5 + 10.3, 22.2 + 34.5, "fits"),
    ],
)
def test_other_settings_by_hand(changes, gpus, training, generating, verdict):
    found = plan(SHAPE, replace(Setting(), **changes), parse_gpus(gpus))
    assert found.memory.training == close(training, 0.01)
    assert found.memory.generating == close(generating, 0.01)
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({}, 51),  # 35 more than in a step need 0.308 GB each, up to 134.1 of 140.8 usable GB
        ({"completion": 4096}, 20),  # up to the peak of the update, which is higher
        ({"lora_rank": 32}, 128),
        ({"batch_size": 16, "gradient_accumulation": 16}, 256),
    ],
)
def test_checks_outside_of_steps_sample_what_fits_into_the_peak(changes, rows):
    found = plan(SHAPES["Qwen2.5-14B"], Setting(**changes), H200S)
    assert rows_outside_steps(found) == rows


@pytest.mark.parametrize(("share", "verdict"), [(0.1, "does not fit"), (0.21, "does not fit"), (0.22, "fits")])
def test_a_share_without_room_for_one_sequence_does_not_fit(share, verdict):
    """vLLM holds 29.54 GB of weights, a workspace of 3 and a sequence's cache of 0.30: 21.7 % of 151.4 GB."""
    found = plan(SHAPE, Setting(vllm="colocate", vllm_share=share), H200S)
    assert (found.least_share, found.verdict) == (0.22, verdict)
    assert plan(SHAPE, Setting(vllm_share=share), H200S).verdict == "fits"  # no vLLM
    assert ("it needs at least 0.22" in report("Qwen2.5-14B", found.setting, H200S, 32)) == (share < 0.22)


def test_without_a_known_card_vllm_has_a_cache_for_every_sequence():
    for share in (0.1, 0.6):
        found = plan(SHAPE, Setting(vllm="colocate", vllm_share=share), Machine(2, 0.0))
        assert found.memory.generating == close(88.6 + 29.54 + 3 + 4.83)
        assert found.verdict == "unknown"


def test_replicas_hold_what_they_have_reduced_beside_the_gradients():
    """FSDP2 keeps each reduced gradient to the end of a pass: a second share of them from the second pass on."""
    found = plan(SHAPE, Setting(), Machine(4, 151.4, replicas=2)).memory
    assert found.weights == close(29.54)  # of two shards, not four
    assert found.training == close(118.16 + 29.54 + 6 * 0.7786)
    assert plan(SHAPE, Setting(gradient_accumulation=1), Machine(4, 151.4, replicas=2)).memory.training < 130


def test_a_model_on_the_cpu_by_hand():
    """float32 without checkpoints: 135M, whose plan was once its weights, gradients and moments alone."""
    shape = Shape(30, 576, 1536, 9, 3, 64, 49152, True)
    found = plan(shape, Setting(batch_size=4, gradient_accumulation=1, prompt=250, completion=96), Machine(0, 25.0))
    memory = found.memory
    assert memory.weights + memory.gradients + memory.optimizer == close(0.1345 * 16)
    assert memory.activations == close(4 * 346 * 4 * 30 * (10 * 576 + 2 * 192 + 4 * 1536) / 1e9)
    assert memory.logits == close(8.25 * 4 * 4 * 345 * 32768 / 1e9)
    assert memory.training == close(2.152 + 2.04 + 1.49 + 0.113 + 0.5)
    assert found.verdict == "fits"
    whole = plan(shape, replace(found.setting, whole_logits=True), found.machine).memory
    assert whole.logits == close(5 * 4 * 4 * 96 * 49152 / 1e9)
    assert plan(shape, Setting(batch_size=64, gradient_accumulation=1), Machine(0, 25.0)).verdict == "does not fit"


def test_a_tied_head_of_many_words_on_the_cpu():
    """Gemma 3 270M: its table is most of its weights, and a pass ends with three tensors of its size."""
    shape = Shape(18, 640, 2048, 4, 1, 256, 262144, True, normed_heads=True, norms=4, window=512, windowed=15)
    assert shape.parameters == 268_098_176
    memory = plan(
        shape, Setting(batch_size=2, gradient_accumulation=2, prompt=200, completion=24), Machine(0, 25)
    ).memory
    assert memory.reduced == close(3 * 4 * 262144 * 640 / 1e9)
    kept = 10 * 640 + 6 * 1024 + 4 * 256 + 4 * 2048
    assert memory.training == close(268_098_176 * 16 / 1e9 + 2.013 + 2 * 224 * 4 * 18 * kept / 1e9 + 0.5)


def test_floors_by_hand():
    decoding = 27.98e9 / 4.3e12 + 16 * 1024 * 196_608 / 4.3e12  # weights without the embedding, and half the cache
    assert decoding_seconds(SHAPE, 16, 1024) == close(decoding)
    assert decoding * 1000 == close(7.26)
    body, head, attention = 2 * 13.213e9 * 1536, 2 * 0.7786e9 * 1024, 2 * 1536**2 * 5120 * 48
    down = 2 * 48 * 5120 * 13824 * 1536  # is not computed again
    assert training_seconds(SHAPE, 16, 512, 1024) == close(16 * (4 * body - down + 4.5 * attention + 4 * head) / 7.9e14)
    lora = 3 * body + 4 * 2 * 137_625_600 * 1536 + 4.5 * attention + 3 * head
    assert training_seconds(SHAPE, 16, 512, 1024, 32) == close(16 * lora / 7.9e14)
    found = plan(SHAPE, Setting(), H200S)
    assert found.step_seconds == close(11.06)
    assert found.hours == close(500 * 11.06 / 3600)
    server = plan(SHAPE, Setting(vllm="server"), H200S)  # one card reads the weights once for twice the sequences
    more = 16 * 1024 * 1024 * 196_608 / 4.3e12 + 16 * SHAPE.pass_operations(512, 0)[0] / 7.9e14
    assert server.step_seconds - found.step_seconds == close(more)


def test_the_likely_time_is_a_guess_of_eager_decoding():
    found = plan(SHAPE, Setting(), H200S)
    assert found.likely_seconds == close(found.step_seconds + 1024 * (48 * 0.9e-3 - 7.26e-3))
    words = "; by a guess of transformers' decoding more likely 48 s a step and 6.6 h in all"
    assert words in report("Qwen2.5-14B", Setting(), H200S, 32) and words in summary(found)
    server = plan(SHAPE, Setting(vllm="colocate"), H200S)
    assert server.likely_seconds == server.step_seconds and "likely" not in summary(server)


def test_the_guesses_behind_fits_are_printed():
    text = report("Qwen2.5-14B", Setting(), H200S, 32)
    for guess in ("3 GB and 5% of each GPU", "vLLM takes 3 GB beside weights and cache and 2 GB asleep", "be 5% wrong"):
        assert guess in text
    assert "guesses" in summary(plan(SHAPE, Setting(), H200S))
    assert "guess" not in report("Qwen2.5-0.5B", Setting(), Machine(0, 25.0), 32)


def test_disk_counts_the_checkpoints_that_lie_there_at_once():
    one = plan(SHAPE, Setting(max_steps=50, save_steps=50), H200S)
    assert one.disk_gb == close(177.2 + 29.5)
    lora = plan(SHAPE, Setting(lora_rank=32), H200S)
    assert lora.checkpoint_gb == close(137_625_600 * 12 / 1e9)


def test_verdicts_keep_the_plans_error_apart():
    usable = plan(SHAPE, Setting(), H200S).memory.peak
    reserved, free = memory.RESERVED_GB, 1 - memory.FRAGMENTED
    for factor, verdict in ((0.99, "does not fit"), (1.01, "tight"), (1.06, "fits")):
        assert plan(SHAPE, Setting(), Machine(2, (usable * factor + reserved) / free)).verdict == verdict
    assert plan(SHAPE, Setting(), Machine(2, 0.0)).verdict == "unknown"


@pytest.mark.parametrize(
    ("gpus", "words"),
    [
        ("1x141", "USE_LORA, LORA_RANK 32 or 2 such GPUs"),
        ("2x80", "USE_LORA, LORA_RANK 32 or 8 such GPUs"),  # 4 lack 1 GB while generating
        ("2x120", "OPTIMIZER adamw_torch_8bit or 4 such GPUs"),
        ("1x8", "no setting here; use a smaller model, or larger GPUs"),
    ],
)
def test_the_nearest_setting_that_fits_is_named(gpus, words):
    planned = plan(SHAPE, Setting(), parse_gpus(gpus))
    assert planned.verdict == "does not fit"
    assert remedy(planned, 32) == words


def test_neighbours_keep_the_batch_of_a_step():
    for other in with_neighbours(Setting(), 32).values():
        assert other.sequences == Setting().sequences
    assert len(with_neighbours(Setting(lora_rank=8), 32)) == len(
        set(with_neighbours(Setting(lora_rank=8), 32).values())
    )


@pytest.mark.parametrize("text", ["2", "x80", "0x80", "2x0", "two x 80", "2x-1", ""])
def test_gpus_that_cannot_be_meant_are_refused(text):
    with pytest.raises(InputError, match="give a value like 2x141 or 1x80"):
        parse_gpus(text)


def test_the_plans_own_constants_are_trainings():
    for name in (
        "BATCH_SIZE",
        "GRADIENT_ACCUMULATION",
        "MAX_PROMPT_LENGTH",
        "MAX_COMPLETION_LENGTH",
        "MAX_STEPS",
        "SAVE_STEPS",
        "SAVE_TOTAL_LIMIT",
        "LORA_RANK",
        "REPLICAS",
        "VLLM_MEMORY_SHARE",
    ):
        assert getattr(plan_memory, name) == getattr(train_rl_poc, name), name
    assert train_rl_poc.planned_setting() == Setting()


def test_a_plan_counts_whole_conversations(monkeypatch):
    """The cache and a pass hold the messages too, but only answers are decoded token by token."""
    monkeypatch.setattr(train_rl_poc, "MAX_TURNS", 3)
    monkeypatch.setattr(train_rl_poc, "MAX_FEEDBACK", 500)
    setting = train_rl_poc.planned_setting()
    assert (setting.completion, setting.sampled) == (3 * 1024 + setting.feedback, 3 * 1024)
    assert 2 * 500 < setting.feedback <= 2 * 564
    long = replace(setting, feedback=0)
    ours, other = plan(SHAPE, setting, H200S), plan(SHAPE, long, H200S)
    assert ours.memory == other.memory and ours.memory.cache > 3 * plan(SHAPE, Setting(), H200S).memory.cache / 2
    assert ours.step_seconds < other.step_seconds and ours.likely_seconds < other.likely_seconds


def test_the_share_of_weights_that_bfloat16_moves_is_that_of_torch():
    torch = pytest.importorskip("torch")
    weights = torch.randn(200_000, generator=torch.Generator().manual_seed(0)) * 0.02
    rounded = weights.bfloat16()
    for rate in (1e-6, 5e-6, 3e-5, 2e-4):
        moved = ((rounded + torch.tensor(rate, dtype=torch.bfloat16)) != rounded).float().mean().item()
        assert share_of_moving_weights(rate) == pytest.approx(moved, abs=0.05)
    assert share_of_moving_weights(5e-6) == close(0.078)


def test_the_needed_learning_rate_is_the_least_power_of_two():
    rate = needed_learning_rate(0.5)
    assert share_of_moving_weights(rate) >= 0.5 > share_of_moving_weights(rate / 2)
    assert math.log2(rate).is_integer()


def test_report_and_command_agree():
    done = subprocess.run(
        [sys.executable, plan_memory.__file__, "Qwen2.5-14B", "--gpus", "2x141"],
        capture_output=True,
        text=True,
        check=True,
    )
    text = report("Qwen2.5-14B", Setting(), H200S, 32)
    assert text in done.stdout
    assert "| as set | 29.5 | 29.5 | 59.1 |" in text
    assert "the setting does not fit; what fits: " in report("Qwen2.5-14B", Setting(), parse_gpus("1x80"), 32)

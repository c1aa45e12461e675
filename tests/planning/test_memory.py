"""The plan's arithmetic, against numbers worked out by hand, and its verdicts and refusals."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest

import plan_memory
import train_rl_poc
from raccoon.constants import InputError, constants
from raccoon.planning import memory
from raccoon.planning.memory import (
    Machine,
    Setting,
    decoding_seconds,
    needed_learning_rate,
    parse_gpus,
    plan,
    remedy,
    report,
    settings,
    share_of_moving_weights,
    training_seconds,
)
from raccoon.planning.model_shape import SHAPES
from raccoon.recipe.settings import planned_setting

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
    assert memory.gathered == close(2 * (2 * 0.2753 + 2 * 0.7786))  # two layers, embedding, head; bfloat16
    inputs, working = 4 * 1536 * 5120 * 2 * 48 / 1e9, 4 * 1536 * 2 * (10 * 5120 + 2 * 1024 + 4 * 13824) / 1e9
    assert memory.activations == close(inputs + 2 * working)
    assert memory.logits == close(0.268 + 6 * 0.7786)  # a tile, and the head's gradient in float32 and bfloat16
    assert memory.training == close(133.0)
    assert memory.generating == close(88.62 + 29.54 + 4.83 + 1.02)  # gradients freed, all weights whole, cache, prefill
    assert found.checkpoint_gb == close(177.2)
    assert found.disk_gb == close(3 * 177.24 + 29.54)
    assert found.verdict == "fits"


@pytest.mark.parametrize(("changes", "gpus", "training", "generating", "verdict"), [
    # Hand-made figures: lasting parts + what a pass adds (14.9), and lasting parts - gradients + what decoding adds.
    ({"optimizer": "adamw_torch_8bit"}, "2x141", 74.1 + 14.9, 44.5 + 35.4, "fits"),
    ({"weights": "bfloat16"}, "2x141", 59.1 + 14.9, 44.3 + 35.4, "fits"),
    ({"gradient_accumulation": 16}, "2x141", 118.2 + 14.9, 88.6 + 29.5 + 19.3 + 4.1, "does not fit"),
    ({"vllm": True}, "2x141", 118.2 + 14.9 + 2, 88.6 + 29.5 + 4.8 + 3 + 4.7, "tight"),
    ({"reference": True}, "2x141", 118.2 + 29.5 + 14.9, 118.2 + 35.4, "does not fit"),
    ({"lora_rank": 32}, "1x80", 29.5 + 2.2 + 6.0, 29.5 + 1.7 + 5.8, "fits"),
    ({}, "1x141", 236.3 + 29.5 + 10.6, 177.2 + 29.5 + 5.8, "does not fit"),
    ({}, "8x80", 29.5 + 14.9, 22.2 + 35.4, "fits"),
])
def test_other_settings_by_hand(changes, gpus, training, generating, verdict):
    found = plan(SHAPE, replace(Setting(), **changes), parse_gpus(gpus))
    assert found.memory.training == close(training, 0.01)
    assert found.memory.generating == close(generating, 0.01)
    assert found.verdict == verdict


def test_floors_by_hand():
    decoding = 27.98e9 / 4.3e12 + 16 * 1024 * 196_608 / 4.3e12  # weights without the embedding, and half the cache
    assert decoding_seconds(SHAPE, 16, 1024) == close(decoding)
    assert decoding * 1000 == close(7.26)
    body, head, attention = 2 * 13.213e9 * 1536, 2 * 0.7786e9 * 1024, 2 * 1536**2 * 5120 * 48
    assert training_seconds(SHAPE, 16, 512, 1024) == close(16 * (4 * (body + attention) + 3 * head) / 7.9e14)
    found = plan(SHAPE, Setting(), H200S)
    assert found.step_seconds == close(11.2)
    assert found.hours == close(500 * 11.2 / 3600)


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


@pytest.mark.parametrize(("gpus", "words"), [
    ("1x141", "USE_LORA, LORA_RANK 32 or 2 such GPUs"),
    ("2x80", "USE_LORA, LORA_RANK 32 or 8 such GPUs"),  # 4 lack 1 GB while generating
    ("2x120", "OPTIMIZER adamw_torch_8bit or 4 such GPUs"),
    ("1x8", "no setting here does; take a smaller model, or larger GPUs"),
])
def test_the_nearest_setting_that_fits_is_named(gpus, words):
    planned = plan(SHAPE, Setting(), parse_gpus(gpus))
    assert planned.verdict == "does not fit"
    assert remedy(planned, 32) == words


def test_neighbours_keep_the_batch_of_a_step():
    for other in settings(Setting(), 32).values():
        assert other.sequences == Setting().sequences
    assert len(settings(Setting(lora_rank=8), 32)) == len(set(settings(Setting(lora_rank=8), 32).values()))


@pytest.mark.parametrize("text", ["2", "x80", "0x80", "2x0", "two x 80", "2x-1", ""])
def test_gpus_that_cannot_be_meant_are_refused(text):
    with pytest.raises(InputError, match="give something like 2x141 or 1x80"):
        parse_gpus(text)


def test_the_plans_own_constants_are_trainings():
    for name in ("BATCH_SIZE", "GRADIENT_ACCUMULATION", "MAX_PROMPT_LENGTH", "MAX_COMPLETION_LENGTH", "MAX_STEPS",
                 "SAVE_STEPS", "SAVE_TOTAL_LIMIT", "LORA_RANK"):
        assert getattr(plan_memory, name) == getattr(train_rl_poc, name), name
    assert planned_setting(constants(vars(train_rl_poc))) == Setting()


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
    done = subprocess.run([sys.executable, plan_memory.__file__, "Qwen2.5-14B", "--gpus", "2x141"], capture_output=True,
                          text=True, check=True)
    text = report("Qwen2.5-14B", Setting(), H200S, 32)
    assert text in done.stdout
    assert "| as set | 29.5 | 29.5 | 59.1 |" in text
    assert "as set it does not fit; what does: " in report("Qwen2.5-14B", Setting(), parse_gpus("1x80"), 32)

"""The training script's constants in TRL's words."""

import pytest

import train_rl_poc
from raccoon.constants import InputError, Settings, constants
from raccoon.recipe import preparation
from raccoon.recipe.settings import CHOICES, check_constants, grpo_config, reward_table


@pytest.mark.parametrize(("wanted", "given"), [(0, 0), (1, 0), (2, 2), (5, 5)])
def test_a_warm_up_of_one_step_is_no_step_at_a_rate_of_zero(wanted, given, tmp_path):
    pytest.importorskip("trl")
    settings = vars(constants(vars(train_rl_poc))) | {"WARMUP_STEPS": wanted, "OUTPUT_DIR": str(tmp_path)}
    assert grpo_config(Settings(**settings), gpus=0).warmup_steps == given


def test_prompts_are_not_shared_on_a_gpu(tmp_path, monkeypatch):
    for name in ("check_model", "check_gpus"):
        monkeypatch.setattr(preparation, name, lambda *_: None)
    settings = vars(constants(vars(train_rl_poc))) | {"SHARE_PROMPTS": True, "OUTPUT_DIR": str(tmp_path / "out")}
    with pytest.raises(InputError, match="leave SHARE_PROMPTS out"):
        preparation.prepare(Settings(**settings), 1, 1, "")


@pytest.mark.parametrize("allowed", [False, True])
def test_the_reward_knows_whether_shared_tests_are_allowed(allowed):
    settings = Settings(**vars(constants(vars(train_rl_poc))) | {"ALLOW_SHARED_TESTS": allowed})
    assert reward_table(settings).allow_shared_tests is allowed


def check(processes: int = 1, **changes) -> None:
    check_constants(Settings(**vars(constants(vars(train_rl_poc))) | changes), processes)


@pytest.mark.parametrize("cap", [0.28, 0.0, -1.0, 0.999, float("nan")])
def test_a_cap_of_the_ratio_that_scales_every_update_is_refused(cap):
    """With LOSS_TYPE cispo, TRL cuts the ratio itself at EPSILON_HIGH, and in the first iteration all ratios are 1."""
    with pytest.raises(InputError, match="EPSILON_HIGH .* give at least 1"):
        check(LOSS_TYPE="cispo", EPSILON_HIGH=cap)


def test_a_cap_of_at_least_one_and_a_clip_range_are_accepted():
    for cap in (1.0, 5.0):
        check(LOSS_TYPE="cispo", EPSILON_HIGH=cap)
    for loss in set(CHOICES["LOSS_TYPE"]) - {"cispo"}:
        check(LOSS_TYPE=loss)


def test_refills_need_whole_groups_in_each_process():
    """Four completions a step are a group, but each of two processes has only half of it."""
    half = {"BATCH_SIZE": 1, "GRADIENT_ACCUMULATION": 2, "processes": 2}
    with pytest.raises(InputError, match="= 2 completions a step.* within each process.* fits is 2"):
        check(MAX_REFILLS=1, **half)
    check(MAX_REFILLS=0, **half)

"""The training script's constants in TRL's words."""

import pytest

import train_rl_poc
from raccoon.constants import Settings, constants
from raccoon.recipe.settings import grpo_config


@pytest.mark.parametrize(("wanted", "given"), [(0, 0), (1, 0), (2, 2), (5, 5)])
def test_a_warm_up_of_one_step_is_no_step_at_a_rate_of_zero(wanted, given, tmp_path):
    pytest.importorskip("trl")
    settings = vars(constants(vars(train_rl_poc))) | {"WARMUP_STEPS": wanted, "OUTPUT_DIR": str(tmp_path)}
    assert grpo_config(Settings(**settings), gpus=0).warmup_steps == given

"""The training script's constants as sections and as TRL's arguments."""

import pytest

import train_rl_poc
from raccoon.constants import InputError
from raccoon.training.sections import Training, grpo_config

MODULE = """
from transformers import TrainerCallback

class Watch(TrainerCallback): pass
def watch(): return Watch()
def nothing(): return 1
"""


@pytest.fixture
def sections(monkeypatch, tmp_path):
    """The sections with some constants changed."""

    def made(processes=1, gpus=0, **changes) -> Training:
        for name, value in {"OUTPUT_DIR": str(tmp_path / "out"), **changes}.items():
            assert hasattr(train_rl_poc, name)
            monkeypatch.setattr(train_rl_poc, name, value)
        return train_rl_poc.training_sections(processes, gpus)

    return made


@pytest.mark.parametrize(("wanted", "given"), [(0, 0), (1, 0), (2, 2), (5, 5)])
def test_a_warm_up_of_one_step_is_no_step_at_a_rate_of_zero(wanted, given, sections):
    pytest.importorskip("trl")
    assert grpo_config(sections(WARMUP_STEPS=wanted), 0.0, None).warmup_steps == given


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 1800),
        ({"REWARD": "judge", "JUDGE_MODEL": "m"}, 2700),
        ({"REWARD": "both", "JUDGE_MODEL": "m", "JUDGE_BATCH_TIMEOUT": 3000.0, "MAX_REFILLS": 2}, 10_800),
    ],
)
def test_the_processes_wait_longer_than_a_judge_may_take(sections, changes, seconds):
    """Else NCCL ends the run while one process still has its completions judged."""
    pytest.importorskip("trl")
    run = sections(**changes)
    waiting = train_rl_poc.build_recipe(1, 0).source.judging_seconds(run.refills)
    assert grpo_config(run, waiting, None).ddp_timeout == seconds


@pytest.mark.parametrize("allowed", [False, True])
def test_the_reward_knows_whether_shared_tests_are_allowed(allowed, monkeypatch):
    monkeypatch.setattr(train_rl_poc, "ALLOW_SHARED_TESTS", allowed)
    recipe = train_rl_poc.build_recipe(1, 0)
    assert recipe.table.allow_shared_tests is recipe.tasks.allow_shared is allowed


def test_benchmark_tasks_turns_the_sets_off_and_an_empty_name_is_none(monkeypatch):
    monkeypatch.setattr(train_rl_poc, "TRAIN_FILES", ["own.jsonl"])
    for sets, wanted in ((["", "mbpp"], True), (["mbpp"], False)):
        monkeypatch.setattr(train_rl_poc, "TRAINING_SETS", sets)
        monkeypatch.setattr(train_rl_poc, "BENCHMARK_TASKS", wanted)
        assert train_rl_poc.build_recipe(1, 0).tasks.sets == (["mbpp"] if wanted else [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"REWARD": "judge"}, "JUDGE_MODEL is empty"),
        ({"CODE_EXTRACTION_METHOD": "llm"}, "EXTRACTION_MODEL is empty"),
        ({"REWARD_WEIGHTS": [1.0]}, "REWARD_WEIGHTS is"),
        ({"REWARD_WEIGHTS": [0.0, 0.0]}, "REWARD_WEIGHTS is"),
        ({"VLLM_MEMORY_SHARE": 1.0}, "VLLM_MEMORY_SHARE is 1.0"),
        ({"VLLM_MODE": "beside"}, "no VLLM_MODE 'beside'; choose from colocate, server"),
        ({"HELDOUT_EVERY": 0}, "HELDOUT_EVERY is 0"),
        ({"JUDGE_CONCURRENCY": 0}, "JUDGE_CONCURRENCY is 0"),
        ({"LEARNING_RATE": float("nan")}, "LEARNING_RATE is nan"),
        *[
            ({"LOSS_TYPE": "cispo", "EPSILON_HIGH": cap}, "EPSILON_HIGH .* give at least 1")
            for cap in (0.28, 0.0, -1.0)
        ],
        ({"LOSS_TYPE": "cispo", "EPSILON_HIGH": float("nan")}, "EPSILON_HIGH .* give at least 1"),
    ],
)
def test_values_that_cannot_work_are_refused_by_their_constants(sections, changes, words):
    """With LOSS_TYPE cispo, TRL cuts the ratio itself at EPSILON_HIGH, and in the first iteration all ratios are 1."""
    with pytest.raises(InputError, match=words):
        sections(**changes)
        train_rl_poc.build_recipe(1, 0)


def test_a_cap_of_at_least_one_and_a_clip_range_are_accepted(sections):
    for cap in (1.0, 5.0):
        sections(LOSS_TYPE="cispo", EPSILON_HIGH=cap)
    for loss in ("grpo", "dr_grpo", "dapo", "bnpo", "sapo", "luspo", "vespo"):
        sections(LOSS_TYPE=loss, EPSILON_HIGH=0.28)


def test_refills_need_whole_groups_in_each_process(sections):
    """Four completions a step are a group, but each of two processes has only half of it."""
    half = {"BATCH_SIZE": 1, "GRADIENT_ACCUMULATION": 2}
    with pytest.raises(InputError, match="= 2 completions a step.* within each process.* fits is 2"):
        sections(2, MAX_REFILLS=1, **half)
    sections(2, MAX_REFILLS=0, **half)


def test_trackers_are_those_of_transformers_and_several_at_once(sections, monkeypatch):
    table = pytest.importorskip("transformers.integrations.integration_utils")
    for name in table.INTEGRATION_TO_CALLBACK:
        monkeypatch.setitem(table.INTEGRATION_TO_CALLBACK, name, lambda: None)
    every = [*table.INTEGRATION_TO_CALLBACK]
    run = sections(REPORT_TO=every)
    run.check_additions()
    assert len(every) > 10 and grpo_config(run, 0.0, None).report_to == every
    assert grpo_config(sections(REPORT_TO=["none"]), 0.0, None).report_to == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"REPORT_TO": ["paper"]}, "no REPORT_TO 'paper'; choose from none, .*mlflow"),
        ({"REPORT_TO": ["none", "clearml"]}, "REPORT_TO clearml cannot be used: .*pip install clearml"),
        ({"CALLBACKS": ["nowhere:Watch"]}, "CALLBACKS nowhere:Watch is not found: No module"),
        ({"CALLBACKS": ["added_here:Gone"]}, "CALLBACKS added_here:Gone is not found"),
        ({"CALLBACKS": ["gone/watch.py:Watch"]}, "CALLBACKS gone/watch.py:Watch is not found: .*No such file"),
        ({"CALLBACKS": ["textwrap:fill"]}, "CALLBACKS textwrap:fill needs arguments"),
        ({"CALLBACKS": ["added_here"]}, "CALLBACKS 'added_here' names no callback"),
        ({"CALLBACKS": ["added_here:__name__"]}, "CALLBACKS 'added_here:__name__' names no callback"),
    ],
)
def test_a_tracker_or_callback_that_cannot_be_used_is_refused(sections, monkeypatch, tmp_path, changes, words):
    table = pytest.importorskip("transformers.integrations.integration_utils")
    monkeypatch.setattr(table, "is_clearml_available", lambda: False)
    (tmp_path / "added_here.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=words):
        sections(**changes).check_additions()


def test_added_callbacks_are_made_by_a_class_or_a_function(monkeypatch, tmp_path):
    callbacks = pytest.importorskip("raccoon.training.callbacks")
    (tmp_path / "made_here.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    made = callbacks.added_callbacks(["made_here:Watch", "made_here:watch", f"{tmp_path}/made_here.py:Watch"])
    assert [type(each).__name__ for each in made] == ["Watch"] * 3
    with pytest.raises(InputError, match="CALLBACKS made_here:nothing makes a int"):
        callbacks.added_callbacks(["made_here:nothing"])

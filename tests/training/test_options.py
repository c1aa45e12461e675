"""Each of GRPO_OPTIONS does in our trainer what it does in plain TRL, and what cannot work is refused by name."""

from functools import cache
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

import train_rl_poc  # noqa: E402
from helpers.reward_doubles import TABLE  # noqa: E402
from helpers.training_runs import make_model  # noqa: E402
from raccoon.constants import InputError  # noqa: E402
from raccoon.options import GRPO, LORA  # noqa: E402
from raccoon.records import Verdict  # noqa: E402
from raccoon.rewards.execution import Chat, ExecutionReward, RewardTable  # noqa: E402
from raccoon.runs.checkpoints import changed_constants  # noqa: E402
from raccoon.runs.log import Rollout, RunLog  # noqa: E402
from raccoon.tasks.task import Task  # noqa: E402
from raccoon.training.batches import copy_rows, leave_out_passed, mean_scaled_advantages, rows  # noqa: E402
from raccoon.training.callbacks import MemoryProbe  # noqa: E402
from raccoon.training.policy import load_chat_tokenizer, load_policy, recomputation  # noqa: E402
from raccoon.training.trainer import CodeTrainer  # noqa: E402

LIMIT, GROUP = 4, 4
TASKS = [Task(f"t/{i}", f"task {i}", "assert f(1) == 2\n", "f") for i in range(4)]
# Two tasks a step; the first has a signal, the second has none, so that "rows" leaves its rows out
REWARDS = [1.0, -0.5, 0.2, -0.5, 0.2, 0.2, 0.2, 0.2]
COMPLETIONS = [[4, 2], [5, 4, 6, 2], [6, 6, 2], [5, 6, 4, 4], [4, 4, 2], [5, 2], [6, 5, 4, 2], [4, 5, 6, 6]]
SEQUENCE = {"importance_sampling_level": "sequence"}
ADAPTIVE = {"use_adaptive_entropy": True, "entropy_target": 3.0, "entropy_coef": 0.3}
ENGINE = {"vllm_importance_sampling_clip_max": 1.3}

# (loss, options of GRPOConfig, the savings that may go with them). Each row is compared with plain TRL, and with a run
# without the options.
BOTH, PROMPTS = ("rows", "prompts"), ("prompts",)
LEVERS = [
    ("grpo", SEQUENCE, PROMPTS),
    ("dapo", {"delta": 1.05, "epsilon": 0.05}, BOTH),
    ("sapo", {"sapo_temperature_neg": 3.0, "sapo_temperature_pos": 2.0}, PROMPTS),
    ("vespo", {"vespo_k_pos": 9.0, "vespo_lambda_pos": 1.0, "vespo_k_neg": 1.0, "vespo_lambda_neg": 9.0}, BOTH),
    ("dapo", {"top_entropy_quantile": 0.3}, PROMPTS),
    ("dapo", {"entropy_coef": 0.5}, PROMPTS),
    ("dapo", {**ADAPTIVE, "entropy_coef_min": 0.2, "entropy_coef_max": 0.9, "entropy_coef_delta": 0.5}, PROMPTS),
    ("dapo", {"off_policy_mask_threshold": 1e-6}, BOTH),
    ("dapo", {"beta": 0.5, "use_bias_correction_kl": False}, PROMPTS),
    ("dapo", {**ENGINE, "vllm_importance_sampling_mode": "token_mask"}, BOTH),
    ("dapo", {**ENGINE, "vllm_importance_sampling_mode": "sequence_truncate"}, BOTH),
    ("dapo", {**ENGINE, "vllm_importance_sampling_mode": "sequence_mask"}, BOTH),
    ("vespo", {"vllm_importance_sampling_mode": "token_truncate", "vllm_importance_sampling_clip_min": 0.99}, BOTH),
]
NAMES = [" ".join([loss, *options]) for loss, options, _ in LEVERS]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    make_model(folder / "model")
    return folder / "model"


class Scripted(ExecutionReward):
    """Pays what REWARDS says, whatever the completion."""

    def score(self, completion_ids, task, **_):
        verdict = Verdict("PASS", "pass", 1, 1)
        self.scored += [
            Rollout(fields["task_id"], "c", "c", verdict, reward, {"correctness": reward}, len(ids), ids[-1] != 2)
            for fields, reward, ids in zip(task, REWARDS, completion_ids, strict=True)
        ]
        return REWARDS


def arguments(folder, loss, options):
    from trl import GRPOConfig

    base = dict(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        loss_type=loss,
        num_generations=GROUP,
        per_device_train_batch_size=2 * GROUP,
        max_steps=2,
        num_iterations=2,  # the second step is off-policy, so that ratios count
        max_completion_length=LIMIT,
        learning_rate=0.05,
        beta=0.0,
        scale_rewards="none",
        max_grad_norm=1e9,
        save_strategy="no",
        shuffle_dataset=False,
        logging_steps=1,
        disable_tqdm=True,
        report_to="none",
        seed=3,
    )
    return GRPOConfig(**base | options, **recomputation(GRPOConfig, False))


def sampled(options):
    """COMPLETIONS, and as an engine that finds some tokens likelier than the policy does, their log-probabilities."""
    if not any(name.startswith("vllm") for name in options):
        return COMPLETIONS, None
    generator = torch.Generator().manual_seed(1)
    return COMPLETIONS, [(-2 + torch.rand(len(ids), generator=generator)).tolist() for ids in COMPLETIONS]


def learnt(trainer, options) -> dict:
    """The weights after two steps on one generation."""
    trainer.use_vllm = any(name.startswith("vllm") for name in options)
    trainer.train()
    return {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}


@cache
def by_plain_trl(model, loss, given=()):
    from trl import GRPOTrainer

    options = dict(given)

    class Plain(GRPOTrainer):
        def _generate_single_turn(self, *args, **kwargs):
            return sampled(options)

    tokenizer = load_chat_tokenizer(str(model))
    trainer = Plain(
        model=load_policy(str(model), tokenizer, "float32"),
        args=arguments(model, loss, options),
        processing_class=tokenizer,
        reward_funcs=[lambda **_: REWARDS],
        train_dataset=rows(TASKS),
    )
    return learnt(trainer, options)


def ours(model, folder, loss, options, savings=()):
    tokenizer = load_chat_tokenizer(str(model))
    policy = load_policy(str(model), tokenizer, "float32")
    trainer = CodeTrainer(
        model=policy,
        args=arguments(folder, loss, options),
        processing_class=tokenizer,
        reward=Scripted(RewardTable(**TABLE), None, Chat(tokenizer, policy.generation_config.eos_token_id)),
        train_dataset=rows(TASKS),
        run_log=RunLog(folder),
        savings=savings,
        callbacks=[MemoryProbe(2, LIMIT, 0.0, {}, then_end=False)],  # it must leave no trace
    )
    trainer.sample_completions = lambda *_, **__: sampled(options)
    return trainer


@pytest.mark.parametrize(("loss", "options", "savings"), LEVERS, ids=NAMES)
def test_an_option_does_what_it_does_in_plain_trl(model, tmp_path, loss, options, savings):
    """On the same completions, with savings in the way, and after a pass that only measures memory."""
    wanted = by_plain_trl(model, loss, tuple(options.items()))
    without = by_plain_trl(
        model, loss, tuple((name, value) for name, value in options.items() if name in ("beta", "epsilon"))
    )
    found = learnt(ours(model, tmp_path, loss, options, savings), options)
    assert max((wanted[name] - without[name]).abs().max() for name in wanted) > 1e-3, "the option must matter here"
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-3, atol=1e-4, msg=name)


def test_every_option_that_passes_is_compared():
    assert set(GRPO.limits) <= {name for _, options, _ in LEVERS for name in options}


@pytest.fixture
def sections(monkeypatch, tmp_path):
    """The sections with some constants changed."""

    def made(**changes):
        for name, value in {"OUTPUT_DIR": str(tmp_path / "out"), **changes}.items():
            monkeypatch.setattr(train_rl_poc, name, value)
        return train_rl_poc.build_recipe(1, 0).training

    return made


ADAPTERS = {"USE_LORA": True, "LEARNING_RATE": 4e-5}


@pytest.mark.parametrize(
    ("options", "others", "words"),
    [
        ({"entropy_coeff": 0.1}, {}, r"GRPO_OPTIONS cannot have 'entropy_coeff'; did you mean entropy_coef\?"),
        ({"epsilonhigh": 0.1}, {}, r"did you mean epsilon_high\? Its constant is EPSILON_HIGH"),
        ({"torch_compile": True}, {}, "cannot have 'torch_compile'; choose from importance_sampling_level, delta"),
        ({"temperature": 1.0}, {}, "has temperature: set TEMPERATURE instead"),
        ({"optim": "sgd"}, {}, "has optim: set OPTIMIZER instead"),
        ({"steps_per_generation": 4}, {}, "one generation a step; set GRADIENT_ACCUMULATION"),
        ({"min_p": 0.1}, {}, "biases the importance ratios"),
        ({"sync_ref_model": True}, {"BETA": 0.1}, "does not hold the reference model"),
        (["entropy_coef"], {}, "give names and values"),
        ({"entropy_coef": "0.1"}, {}, "has entropy_coef '0.1'; give a number"),
        ({"entropy_coef": True}, {}, "has entropy_coef True; give a number"),
        ({"entropy_coef": float("nan")}, {}, "has entropy_coef nan; give a number"),
        ({"use_adaptive_entropy": 1}, {}, "give True or False"),
        ({"importance_sampling_level": "word"}, {}, "give 'token' or 'sequence'"),
        ({"delta": 1.0}, {}, "at 1 and below it stops every update"),
        ({"delta": 4.0}, {"LOSS_TYPE": "sapo"}, "delta, which needs a LOSS_TYPE from grpo, dr_grpo"),
        ({"sapo_temperature_neg": 1.1}, {}, "needs LOSS_TYPE sapo"),
        ({"vespo_k_neg": 1.1}, {}, "needs LOSS_TYPE vespo"),
        (SEQUENCE, {"LOSS_TYPE": "vespo"}, "needs another LOSS_TYPE than vespo"),
        ({"entropy_target": 1.0}, {}, "needs use_adaptive_entropy true"),
        (
            {"entropy_coef_min": 1.0, "use_adaptive_entropy": True},
            {},
            "below entropy_coef_max, and they are 1.0 and 1.0",
        ),
        *[
            ({name: value}, {"SAVINGS": ["rows"]}, f"{name}, which needs SAVINGS without rows")
            for name, value in (("top_entropy_quantile", 0.2), ("entropy_coef", 0.1), ("use_adaptive_entropy", True))
        ],
        ({"use_bias_correction_kl": False}, {}, "needs BETA above 0"),
        ({"vllm_importance_sampling_mode": "token_mask"}, {}, "needs GENERATION vllm"),
        (
            {"vllm_importance_sampling_mode": "sequence_mask"},
            {"GENERATION": "vllm", "LOSS_TYPE": "vespo"},
            "needs token_truncate or token_mask with LOSS_TYPE vespo",
        ),
        ({"vllm_importance_sampling_clip_min": 2.0}, {"GENERATION": "vllm"}, "a value below VLLM_RATIO_CAP 2.0"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(sections, options, others, words):
    with pytest.raises(InputError, match=words):
        sections(GRPO_OPTIONS=options, **others)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"LORA_OPTIONS": {"use_dorra": True}}, r"LORA_OPTIONS cannot have 'use_dorra'; did you mean use_dora\?"),
        ({"LORA_OPTIONS": {"r": 8}}, "has r: set LORA_RANK instead"),
        ({"LORA_OPTIONS": {"modules_to_save": ["embed_tokens"]}}, "get the merged weights of linear layers alone"),
        ({"LORA_OPTIONS": {"init_lora_weights": "pissa"}}, "give True or 'gaussian'"),
        ({"LORA_OPTIONS": {"use_dora": True}, "USE_LORA": False}, "this run trains all weights: add USE_LORA"),
        ({"LEARNING_RATE": 5e-6}, "LEARNING_RATE 5e-06 .*: with USE_LORA give at least 1e-05, like 5e-05"),
        ({"MASK_TRUNCATED": "all"}, "MASK_TRUNCATED is 'all'; give false, true or passed"),
        ({"SCALE_REWARDS": "mean"}, "SCALE_REWARDS mean needs 0 for every answer that does not pass"),
    ],
)
def test_other_levers_that_cannot_work_are_refused(sections, changes, words):
    with pytest.raises(InputError, match=words):
        sections(**ADAPTERS | changes)


BINARY = {"SCALE_REWARDS": "mean", "REWARD_FAIL": 0.0, "PARTIAL_CREDIT": "off", "BONUS_ONLY_WITH_PASS": True}


@pytest.mark.parametrize(
    "change",
    [
        {"REWARD_FAIL": -0.5},
        {"PARTIAL_CREDIT": "flat"},
        {"PARTIAL_CREDIT": "fraction"},
        {"BONUS_ONLY_WITH_PASS": False},
        {"REWARD_MIN": 0.1},
        {"REWARD": "judge", "JUDGE_MODEL": "m"},
    ],
)
def test_a_mean_of_rewards_is_a_share_of_passes(sections, change):
    """Else a little style, or a test passed by chance, would count as much as a PASS where all others fail."""
    sections(**BINARY)
    with pytest.raises(InputError, match="SCALE_REWARDS mean needs 0"):
        sections(**BINARY | change)


@pytest.mark.parametrize(
    ("library", "options", "words"),
    [
        (GRPO, {"top_entropy_quantile": None}, "top_entropy_quantile None; GRPOConfig takes float"),
        (GRPO, {"of_tomorrow": 1}, "has of_tomorrow, which the installed GRPOConfig does not know"),
        (LORA, {"use_dora": "yes"}, "use_dora 'yes'; LoraConfig takes bool"),
        (LORA, {"exclude_modules": ["a", 1]}, "exclude_modules"),
    ],
)
def test_the_librarys_own_types_are_asked(library, options, words):
    from peft import LoraConfig
    from trl import GRPOConfig

    config = GRPOConfig if library is GRPO else LoraConfig
    known = {"delta": 2, "entropy_coef": 1} if library is GRPO else {"exclude_modules": ["a"], "rank_pattern": {"a": 1}}
    library.check_types(known, config)
    with pytest.raises(InputError, match=words):
        library.check_types(options, config)


def test_a_run_of_a_version_without_options_does_not_go_on_with_some():
    now = {"SEED": 1, "GRPO_OPTIONS": {"delta": 4.0}, "LORA_OPTIONS": {}}
    assert changed_constants({"SEED": 1}, now) == ["GRPO_OPTIONS {} -> {'delta': 4.0}"]
    assert changed_constants(now, now) == []


def test_what_is_hardly_meant_is_said(sections):
    said = sections(GRPO_OPTIONS={**SEQUENCE, "delta": 4.0}).lines(5, 5, 9.0)
    assert [line[:34] for line in said if line.startswith(("options", "warning"))] == [
        "options  importance_sampling_level",
        "warning: importance_sampling_level",
        "warning: delta: does nothing with ",
    ]
    assert not any(line.startswith(("options", "warning")) for line in sections(GRPO_OPTIONS={}).lines(5, 5, 9.0))


def graded(reward, status="PASS", truncated=False):
    return Rollout("t", "c", "c", Verdict(status, "", 1, 1), reward, {}, 3, truncated)


def test_advantages_of_a_mean_are_those_of_the_likelihood():
    """N/K - 1 for each of K right completions of N, and -1 for the others; nothing if none is right."""
    rewards = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, None, 0.0, 0.0]
    groups = torch.tensor([float("nan") if reward is None else reward for reward in rewards]).view(-1, 4)
    centred = (groups - groups.nanmean(dim=1, keepdim=True)).nan_to_num(0.0).flatten()  # as TRL has it
    one = SimpleNamespace(gather=lambda tensor: tensor, process_index=0)
    found = mean_scaled_advantages(centred, list(map(graded, rewards)), 4, one)
    third = 1 / 3
    wanted = [3, -1, -1, -1, third, third, third, -1, 0, 0, 0, 0, 2, 0, -1, -1]
    assert found.tolist() == pytest.approx(wanted)


def test_a_group_may_lie_on_two_processes():
    whole = torch.tensor([1.0, 0.0, 0.0, 0.0])
    second = SimpleNamespace(gather=lambda own: whole, process_index=1)
    found = mean_scaled_advantages(whole[2:] - 0.25, [graded(0.0), graded(0.0)], 4, second)
    assert found.tolist() == pytest.approx([-1, -1])


def test_only_what_was_cut_and_passes_leaves_the_loss():
    batch = {"completion_mask": torch.ones(4, 3, dtype=torch.long), "num_items_in_batch": torch.tensor(12)}
    cut = [graded(-0.5, "PASS", True), graded(-0.5, "FAIL", True), graded(1.0, "PASS"), graded(0.2, "PARTIAL")]
    leave_out_passed(batch, cut, gather=lambda tensor: tensor)
    assert batch["completion_mask"].tolist() == [[0] * 3, [1] * 3, [1] * 3, [1] * 3]
    assert batch["num_items_in_batch"] == 9


def test_trl_sees_neither_of_our_own_values(model, tmp_path):
    """Its advantages are centred, and it masks nothing; then ours divide by 0.05, and what was cut leaves the loss."""
    trainer = ours(model, tmp_path, "dapo", {"scale_rewards": "mean", "mask_truncated_completions": "passed"})
    trainer.model.train()
    batch, _ = trainer.graded_batch([row for row in rows(TASKS[:2]) for _ in range(GROUP)])
    assert batch["advantages"].tolist() == pytest.approx([19, -11, 3, -11, 0, 0, 0, 0], rel=1e-3)
    assert batch["completion_mask"].sum(dim=1).tolist() == [2, 4, 3, 0, 3, 2, 4, 0]
    assert batch["num_items_in_batch"] == 18


def test_padding_has_no_ratio():
    """VESPO multiplies the ratios of all columns: a 0 would take a row out of the loss."""
    batch = {"importance_sampling_ratio": torch.full((1, 1), 2.0)}
    copy_rows(batch, {"importance_sampling_ratio": torch.full((1, 3), 3.0)}, [], pad_id=0)
    assert batch["importance_sampling_ratio"].tolist() == [[2.0, 1.0, 1.0]]

"""The arithmetic of refills (rows moved between batches, advantages of a swapped batch), and a checkpoint's order."""

from collections import Counter
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from raccoon.records import Verdict  # noqa: E402
from raccoon.runs.checkpoints import checkpoint_fault, write_sizes  # noqa: E402
from raccoon.runs.log import Rollout  # noqa: E402
from raccoon.tasks.task import Task  # noqa: E402
from raccoon.training import sampling  # noqa: E402
from raccoon.training.batches import batch_scaled_advantages, constant_groups, copy_rows  # noqa: E402
from raccoon.training.sampling import Sampler  # noqa: E402
from raccoon.training.trainer import CodeTrainer  # noqa: E402


def rollout(reward: float | None) -> Rollout:
    verdict = Verdict("INFRA" if reward is None else "PASS", "pass", 1, 1, 0.1, "separate")
    parts = {} if reward is None else {"correctness": reward}
    return Rollout("t", "c", "c", verdict, reward, parts, 3, False)


def test_rows_are_copied_to_the_wider_batch_with_padding_on_the_right_side():
    output = {
        "prompt_ids": torch.tensor([[1, 2], [3, 4]]),
        "completion_ids": torch.tensor([[5], [6]]),
        "completion_mask": torch.tensor([[1], [1]]),
        "advantages": torch.tensor([0.5, -0.5]),
        "num_items_in_batch": torch.tensor(2),
    }
    spare = {
        "prompt_ids": torch.tensor([[7, 8, 9]]),
        "completion_ids": torch.tensor([[10, 11]]),
        "completion_mask": torch.tensor([[1, 1]]),
        "advantages": torch.tensor([0.25]),
        "num_items_in_batch": torch.tensor(2),
    }
    copy_rows(output, spare, [(1, 0)], pad_id=99)
    assert output["prompt_ids"].tolist() == [[99, 1, 2], [7, 8, 9]]
    assert output["completion_ids"].tolist() == [[5, 99], [10, 11]]
    assert output["completion_mask"].tolist() == [[1, 0], [1, 1]]
    assert output["advantages"].tolist() == [0.5, 0.25]


def test_no_row_to_copy_leaves_the_values():
    output = {"prompt_ids": torch.tensor([[1, 2]]), "advantages": torch.tensor([0.5])}
    copy_rows(output, {"prompt_ids": torch.tensor([[7]]), "advantages": torch.tensor([0.1])}, [], pad_id=0)
    assert output["prompt_ids"].tolist() == [[1, 2]]
    assert output["advantages"].tolist() == [0.5]


def test_constant_groups_are_numbered():
    rewards = [1.0, 1.0, 1.0, 0.2, None, None, -0.5, None]
    assert constant_groups([rollout(reward) for reward in rewards], 2) == [0, 2, 3]


def test_batch_scaled_advantages_leave_infra_out():
    trainer = SimpleNamespace(
        num_generations=2, args=SimpleNamespace(device="cpu"), accelerator=SimpleNamespace(gather=lambda tensor: tensor)
    )
    rollouts = [rollout(1.0), rollout(0.0), rollout(1.0), rollout(None)]
    advantages = batch_scaled_advantages(trainer, rollouts)
    spread = (2 / 9) ** 0.5 * (3 / 2) ** 0.5 + 1e-4  # of 1, 0 and 1, with Bessel's correction
    assert advantages.tolist() == pytest.approx([0.5 / spread, -0.5 / spread, 0.0, 0.0])


@pytest.mark.parametrize(("use_vllm", "calls"), [(False, [3, 2]), (True, [5])])
def test_outside_of_steps_as_many_completions_are_sampled_together_as_fit(use_vllm, calls, monkeypatch):
    """A held-out check in batches of a step takes several times as long. vLLM makes batches itself."""
    seen = []

    def complete(prompt_ids, *_):
        seen.append(len(prompt_ids))
        return prompt_ids, None

    monkeypatch.setattr(sampling, "at_temperature", lambda *_: nullcontext())
    monkeypatch.setattr(sampling, "gather_object", list)
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(num_processes=1, process_index=0),
        args=SimpleNamespace(seed=0),
        use_vllm=use_vllm,
        prompt_token_ids=lambda texts: [[1]] * len(texts),
        conversations=None,
        reward=SimpleNamespace(evaluate=lambda tasks, ids: [task.task_id for task in tasks]),
    )
    tasks = [Task(f"t{number}", "p", "") for number in range(5)]
    sampler = SimpleNamespace(trainer=trainer, together=3, complete=complete, gathered=nullcontext)
    assert Sampler.sample(sampler, tasks, 0.0) == ["t0", "t1", "t2", "t3", "t4"]
    assert seen == calls


def test_older_checkpoints_go_only_once_the_new_one_is_whole(tmp_path, monkeypatch):
    older, newer = tmp_path / "checkpoint-4", tmp_path / "checkpoint-8"
    for checkpoint in (older, newer):  # the newer one was found damaged, and is written again
        checkpoint.mkdir()
        write_sizes(checkpoint, 1)

    def save(self, model, trial) -> None:
        assert checkpoint_fault(newer)
        (newer / "model").write_text("weights")

    def wait() -> None:
        assert checkpoint_fault(newer) and not checkpoint_fault(older)
        (newer / "rng_state_1.pth").write_text("of another process")

    monkeypatch.setattr(CodeTrainer, "trl_checkpoint", save)
    trainer = CodeTrainer.__new__(CodeTrainer)
    trainer.args, trainer.kept_checkpoints = SimpleNamespace(output_dir=str(tmp_path)), 1
    trainer.state = SimpleNamespace(global_step=8, best_global_step=None)
    trainer.accelerator = SimpleNamespace(is_main_process=True, num_processes=2, wait_for_everyone=wait)
    trainer.seconds = Counter()
    trainer._save_checkpoint(None, None)
    assert not older.exists()
    assert checkpoint_fault(newer) == ""
    (newer / "rng_state_1.pth").unlink()
    assert checkpoint_fault(newer) == "rng_state_1.pth is missing"

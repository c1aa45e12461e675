"""Plain TRL with this project's reward: GRPO on a task file, without train_rl_poc.py.

PYTHONPATH=scripts python examples/trl_grpo.py MODEL tasks.jsonl OUTPUT_DIR [--max-steps 100]
"""

import argparse
from functools import partial

from datasets import Dataset
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from raccoon.rewards.code_reward import code_reward
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import read_task_file

COLUMNS = ("test", "entry_point", "context", "solution", "kind")  # what code_reward() takes by name


def train(model: str, tasks: str, output_dir: str, **options) -> GRPOTrainer:
    """A trainer after its last step. `options` are GRPOConfig's."""
    dataset = Dataset.from_list(
        [
            {"prompt": messages(task), **{name: getattr(task, name) for name in COLUMNS}}
            for task in read_task_file(tasks)
        ]
    )
    tokenizer = AutoTokenizer.from_pretrained(model)
    trainer = GRPOTrainer(
        model,
        # Without end_ids, code that passes would be rewarded even if its completion was cut.
        reward_funcs=partial(code_reward, end_ids=[tokenizer.eos_token_id]),
        args=GRPOConfig(output_dir, report_to="none", **options),
        train_dataset=dataset,
        processing_class=tokenizer,
    )
    trainer.train()
    return trainer


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("model", "tasks", "output_dir"):
        parser.add_argument(name)
    parser.add_argument("--max-steps", type=int, default=100)
    train(**vars(parser.parse_args()))

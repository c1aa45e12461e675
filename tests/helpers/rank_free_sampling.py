"""The training script, but each completion's random numbers follow from its step, prompt and place in its group.

The script samples with a generator for each process, so that one process and two draw different completions.
Here they draw the same, and whatever then differs between the two runs is not the sampling's doing.
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import train_rl_poc
from raccoon.constants import override_constants, run_main


def sample_by_place() -> None:
    """Gives CodeTrainer a sampling that does not know its process."""
    import torch

    from raccoon.training.trainer import CodeTrainer

    generate = CodeTrainer._generate_single_turn

    def by_place(self, prompt_ids, *others):
        seen, completions = Counter(), []
        for ids in prompt_ids:
            place = seen[tuple(ids)] % self.num_generations
            seen[tuple(ids)] += 1
            with torch.random.fork_rng():
                torch.manual_seed(hash((self.state.global_step, *ids, place)) % 2**32)
                completions += generate(self, [ids], *others)[0]
        return completions, None

    CodeTrainer._generate_single_turn = by_place


def run(*arguments) -> None:
    sample_by_place()
    original(*arguments)


original, train_rl_poc.run = train_rl_poc.run, run

if __name__ == "__main__":
    override_constants(vars(train_rl_poc))
    run_main(train_rl_poc.main)

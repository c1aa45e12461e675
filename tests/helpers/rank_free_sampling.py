"""The training script, but each completion's random numbers follow from its step, prompt and place in its group.

The script samples with a generator for each process, so that one process and two draw different completions.
Here they draw the same, and whatever then differs between the two runs is not the sampling's doing.
"""

import sys
from collections import Counter
from pathlib import Path
from zlib import crc32

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import train_rl_poc
from raccoon.constants import override_constants, run_main


def sample_by_place() -> None:
    """Gives the trainer a sampling that does not know its process."""
    import torch

    from raccoon.training.sampling import Conversations, Sampler

    complete, answer, asked = Sampler.complete, Conversations.answer, []

    def by_place(self, prompt_ids, *others):
        seen, completions = Counter(), []
        for number, ids in enumerate(prompt_ids):
            key = (*ids, *asked[number : number + 1])
            place = seen[key] % self.trainer.num_generations
            seen[key] += 1
            with torch.random.fork_rng():
                torch.manual_seed(crc32(repr((self.trainer.state.global_step, key, place)).encode()))
                completions += complete(self, [ids], *others)[0]
        return completions, None

    def of_tasks(self, going, spare):
        asked[:] = [each.task.task_id for each in going]  # in a second turn, groups are no longer whole
        answer(self, going, spare)

    Sampler.complete, Conversations.answer = by_place, of_tasks


def run(*arguments) -> None:
    sample_by_place()
    original(*arguments)


original, train_rl_poc.run = train_rl_poc.run, run

if __name__ == "__main__":
    override_constants(vars(train_rl_poc))
    run_main(train_rl_poc.main)

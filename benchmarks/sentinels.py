"""How long the sentinels take for a step, after many steps of history. It needs no model and no GPU.

    python benchmarks/sentinels.py [STEPS]    # 5,000 by default

It prints the CPU time of a step, as the mean and the largest of the last 200 steps, and that of replaying the whole
run, which a resumed run and diagnose_run.py do once. Held-out scores every tenth step make it the worst case.
"""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from raccoon.runs.sentinels import Sentinels

TIMED = 200  # steps at the end


def row(step: int, draw: random.Random) -> dict:
    """A line of metrics.jsonl with all that this project and TRL log, from a run in which little happens."""
    rate, constant = draw.gauss(0.4, 0.05), draw.uniform(0.2, 0.4)
    line = {
        "step": step,
        "pass_rate": rate,
        "reward": rate + draw.gauss(0.1, 0.02),
        "statuses": {"PASS": 26, "PARTIAL": 10, "FAIL": 28},
        "kinds": {"pass": 26, "wrong": 30, "exception": 8},
        "constant_groups": constant,
        "partial_groups": 0.1,
        "mixed_groups": 0.9 - constant,
        "completions": 64,
        "seconds": {"generate": draw.gauss(3, 0.2), "reward": 0.5, "update": 2.0},
        "pass_by_turn": [rate - 0.1, rate],
        "learning_rate": 1e-5,
        "weights_changed": 0.9,
    }
    positive = "reward_std advantage_std truncated tokens_mean repetition entropy grad_norm update_ratio kl turns_mean"
    line |= {name: abs(draw.gauss(0.03, 0.003)) for name in [*positive.split(), "clip_ratio/region_mean", "repaired"]}
    return line | ({"eval_reward": rate} if step % 10 == 0 else {})


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    draw, sentinels, found = random.Random(0), Sentinels(), 0
    rows = [row(number, draw) for number in range(1, steps + 1)]
    taken = []
    for each in rows:
        started = time.process_time()
        found += len(sentinels.see(each))
        taken.append(time.process_time() - started)
    last = taken[-TIMED:]
    print(f"{steps} steps: {1000 * sum(last) / len(last):.2f} ms CPU a step at the end, {1000 * max(last):.2f} at most")
    print(f"replay of all steps: {sum(taken):.1f} s; {found} findings")


if __name__ == "__main__":
    main()

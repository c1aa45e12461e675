"""Does feedback beat sampling twice? Compares the second answer of a conversation with a second independent sample.

Both arms begin with the same first answer, and both know whether its visible tests pass: only where they do not is
there a second answer. In the arm "repair" the model reads the feedback first, in the arm "resample" it answers the
plain prompt once more. So the difference is what the feedback is worth, for about the same number of sampled tokens.

    python scripts/evaluate_models.py --models M --benchmarks T --modes sampled --num-samples 4 --turns 2 --output-dir A
    python scripts/evaluate_models.py --models M --benchmarks T --modes sampled --num-samples 8 --output-dir B
    python benchmarks/repair_or_resample.py A/M/T.sampled.jsonl B/M/T.sampled.jsonl --tokenizer M

Inputs:  the records of an evaluation with two turns, which also give the first answers, and those of one turn with
         twice as many samples of each task, of which the second half are the second samples. The first half are the
         first answers again where both evaluations sampled alike; so they do not count.
Output:  a Markdown table: pass@1 of each arm, how many second answers, their mean tokens, and the paired test.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from raccoon.constants import InputError, run_main  # noqa: E402
from raccoon.statistics import compare, mean  # noqa: E402

Rows = dict[tuple[str, int], dict[str, Any]]  # by task_id and sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("turns", help="records of the evaluation with two turns")
    parser.add_argument("samples", help="records of the evaluation with one turn")
    parser.add_argument("--tokenizer", required=True, help="folder of the model, to count tokens")
    options = parser.parse_args()
    talks, samples = read(options.turns), read(options.samples)
    number = 1 + max(sample for _, sample in talks)
    check_complete(talks, samples, number)
    first = {key: talk["turns"][0] for key, talk in talks.items()}
    second = {key: talk for key, talk in talks.items() if len(talk["turns"]) > 1}
    again = {(task, sample): samples[task, sample + number] for task, sample in second}
    arms = {"first answer": first, "resample": first | again, "repair": talks}
    passed = {name: by_task(rows) for name, rows in arms.items()}
    tokens = {"resample": sampled_tokens(again, options.tokenizer), "repair": sampled_tokens(second, options.tokenizer)}
    print("| arm | pass@1 | second answers | tokens of a second answer |\n|---|---|---|---|")
    for name, rows in passed.items():
        count = len(second) if name in tokens else 0
        rate = mean([mean(outcomes) for outcomes in rows.values()])
        print(f"| {name} | {100 * rate:.1f} % | {count} of {len(talks)} | {tokens.get(name, 0):.0f} |")
    for name in ("first answer", "resample"):
        found = compare(passed[name], passed["repair"])
        low, high = found.interval
        print(
            f"\nrepair against {name}: {100 * found.difference:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}], "
            f"{len(found.gained)} tasks gained, {len(found.lost)} lost of {found.n}, p = {found.p:.2g}"
        )


def read(path: str) -> Rows:
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return {(row["task_id"], row["sample"]): row for row in rows if row["verdict"]["status"] != "INFRA"}


def check_complete(talks: Rows, samples: Rows, number: int) -> None:
    """Raises InputError if a file lacks what the comparison needs."""
    if not all("turns" in talk for talk in talks.values()):
        raise InputError("the first file has no turns: give that of an evaluation with --turns 2")
    for task, sample in talks:
        if (task, sample + number) not in samples:
            raise InputError(
                f"the second file lacks sample {sample + number} of {task}: give --num-samples {2 * number}"
            )


def by_task(rows: Rows) -> dict[str, list[bool]]:
    """Whether each sample of a task passes."""
    found: dict[str, list[bool]] = {}
    for (task, _), row in rows.items():
        found.setdefault(task, []).append(row["verdict"]["status"] == "PASS")
    return found


def sampled_tokens(rows: Rows, tokenizer: str) -> float:
    """The mean number of tokens of the last answers."""
    from transformers import AutoTokenizer

    encode = AutoTokenizer.from_pretrained(tokenizer)
    return mean([len(encode(row["completion"])["input_ids"]) for row in rows.values()]) if rows else 0.0


if __name__ == "__main__":
    run_main(main)

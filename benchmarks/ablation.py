"""Trains one SFT model with one setting after another, and compares the results on tasks that none was trained on.

Each arm changes the base setting in one point; the base is that of `demo.sh --real`, with shorter steps. All arms train
on the same tasks: those on which samples of the SFT model disagree. The same command goes on where a stopped one ended.

    python benchmarks/ablation.py --folder ./real                                # base and all arms, two seeds
    python benchmarks/ablation.py --folder ./real --arms base GSPO --seeds 3 4
    python benchmarks/ablation.py --folder ./real --together GSPO entropy        # one more arm, of several levers

Inputs:  FOLDER/sft_model, train_tasks.jsonl and heldout_tasks.jsonl, as `demo.sh --real` leaves them.
Outputs: FOLDER/ablation with a model for each arm and seed, and the evaluation; on stdout a Markdown table with pass@1
         and pass@k on the held-out tasks, the paired tests against the SFT model and against the base of the same
         seed, p after Holm's correction over the whole column, and CPU minutes of training. On a CPU.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))
from raccoon.constants import run_main  # noqa: E402
from raccoon.statistics import compare, holm, mean, pass_at_k  # noqa: E402

Setting = dict[str, list[str] | None]  # flags of train_rl_poc.py with their values; None takes a flag of the base away
BASE: Setting = {
    "--partial-credit": ["off"],
    "--bonus-only-with-pass": [],
    "--quality-bonus": ["0"],
    "--batch-size": ["8"],
    "--num-generations": ["8"],
    "--temperature": ["0.8"],
    "--learning-rate": ["4e-5"],
    "--lr-scheduler": ["linear"],
    "--warmup-steps": ["2"],
    "--adam-beta2": ["0.98"],
    "--max-completion-length": ["128"],
    "--savings": ["generation", "rows", "prompts", "bfloat16"],
    "--sandbox-timeout": ["3"],
    "--training-sets": [""],
    "--heldout": [""],
    "--save-steps": ["1000"],
}
ARMS: dict[str, Setting] = {
    "base": {},
    "shipped reward": {"--partial-credit": None, "--bonus-only-with-pass": None, "--quality-bonus": None},
    "all tasks": {},  # also those on which the samples agree
    "GSPO": {"--grpo-options": ['{"importance_sampling_level": "sequence"}']},
    "entropy": {"--grpo-options": ['{"entropy_coef": 0.003}']},
    "uncertain tokens": {"--grpo-options": ['{"top_entropy_quantile": 0.2}']},
    "MaxRL": {"--scale-rewards": ["mean"], "--reward-fail": ["0"]},
    "cut passes masked": {"--mask-truncated": ["passed"]},
    "group deviation": {"--scale-rewards": ["group"]},
    "double rate": {"--learning-rate": ["8e-5"]},
    "hotter": {"--temperature": ["1.0"]},
    "two iterations": {"--num-iterations": ["2"]},
    "refills": {"--max-refills": ["2"]},
    "LoRA": {"--use-lora": [], "--learning-rate": ["4e-4"]},
}
EVALUATION = ["--modes", "sampled", "--max-completion-length", "192", "--timeout", "3", "--engine", "lean"]
EVALUATION += ["--dtype", "bfloat16"]
Passed = dict[str, list[bool]]  # task_id -> whether each sample passes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--together", nargs="+", choices=ARMS, default=[], help="levers of one more arm")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--passes", type=int, default=12, help="forward and backward passes of 8 completions a step")
    parser.add_argument("--samples", type=int, default=4, help="of each held-out task")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    arms = {name: ARMS[name] for name in options.arms}
    if options.together:
        arms[" + ".join(options.together)] = {
            flag: values for name in options.together for flag, values in ARMS[name].items()
        }
    ablation = Ablation(options)
    ablation.choose_tasks()
    names = {(arm, seed): f"{arm.replace(' ', '_')}_{seed}" for seed in options.seeds for arm in arms}
    passed = {"SFT": ablation.evaluate(options.folder / "sft_model")}
    for (arm, seed), name in names.items():
        ablation.train(name, arm == "all tasks", seed, arms[arm])
        passed[name] = ablation.evaluate(ablation.place / name)
        print(f"{name}: {rate(passed[name]):.2f} %, SFT {rate(passed['SFT']):.2f} %", file=sys.stderr)
    print_table(names, passed, ablation)


class Ablation:
    """The trainings and evaluations of one folder; what is there already is not made again."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.place = options.folder / "ablation"
        self.mixed = self.place / "mixed_tasks.jsonl"
        self.place.mkdir(exist_ok=True)

    def run(self, script: str, *arguments: object) -> None:
        command = [sys.executable, str(SCRIPTS / script), "--cpu-threads", str(self.options.threads)]
        subprocess.run([*command, *map(str, arguments)], check=True, stdout=sys.stderr)

    def sample(self, model: Path, tasks: Path, samples: int, folder: str) -> list[dict]:
        """The records of a model's samples."""
        records = self.place / folder / model.name / f"{tasks.stem}.sampled.jsonl"
        if not records.with_suffix(".done").exists():
            where = ["--models", model, "--benchmarks", tasks, "--output-dir", self.place / folder]
            self.run("evaluate_models.py", *EVALUATION, *where, "--num-samples", samples)
            records.with_suffix(".done").touch()
        return [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]

    def choose_tasks(self) -> None:
        """Writes the training tasks on which 8 samples of the SFT model disagree."""
        tasks = self.options.folder / "train_tasks.jsonl"
        if self.mixed.exists():
            return
        passed = by_task(self.sample(self.options.folder / "sft_model", tasks, 8, "profile"))
        lines = tasks.read_text(encoding="utf-8").splitlines(keepends=True)
        chosen = [line for line in lines if len(set(passed.get(json.loads(line)["task_id"], []))) == 2]
        self.mixed.write_text("".join(chosen), encoding="utf-8")

    def train(self, name: str, all_tasks: bool, seed: int, changes: Setting) -> None:
        folder = self.place / name
        if (folder / "minutes.json").exists():
            return
        tasks = self.options.folder / "train_tasks.jsonl" if all_tasks else self.mixed
        setting = BASE | changes
        flags = [text for flag, values in setting.items() if values is not None for text in [flag, *values]]
        before = cpu_seconds()
        self.run(
            "train_rl_poc.py", *flags, "--model-path", self.options.folder / "sft_model", "--output-dir", folder,
            "--train-files", tasks, "--seed", seed, "--max-steps", self.options.steps,
            "--gradient-accumulation", self.options.passes, "--skip-failing-tasks",
        )  # fmt: skip
        (folder / "minutes.json").write_text(json.dumps((cpu_seconds() - before) / 60))

    def evaluate(self, model: Path) -> Passed:
        tasks = self.options.folder / "heldout_tasks.jsonl"
        return by_task(self.sample(model, tasks, self.options.samples, "evaluation"))

    def minutes(self, name: str) -> float:
        """CPU minutes of a training."""
        return json.loads((self.place / name / "minutes.json").read_text())


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def by_task(records: Sequence[dict]) -> Passed:
    found: Passed = {}
    for record in records:
        found.setdefault(record["task_id"], []).append(record["outcome"] == "pass")
    return found


def rate(passed: Passed) -> float:
    return 100 * mean([mean(samples) for samples in passed.values()])


def print_table(names: dict[tuple[str, int], str], passed: dict[str, Passed], ablation: Ablation) -> None:
    rows = {}
    for (arm, seed), name in names.items():
        base = passed.get(names.get(("base", seed), ""))
        against = [passed["SFT"], base if base and arm != "base" else None]
        rows[arm, seed] = [compare(each, passed[name]) if each else None for each in against]
    corrected: list[dict] = []
    for column in range(2):
        found = {key: row[column].p for key, row in rows.items() if row[column]}
        corrected.append(dict(zip(found, holm(list(found.values())), strict=True)))
    samples = ablation.options.samples
    print(
        f"| arm | seed | pass@1 | pass@{samples} | against SFT | p | Holm | against base | p | Holm | CPU minutes |\n"
        + "|---" * 11
        + "|"
    )
    start = [f"| SFT | - | {rate(passed['SFT']):.1f} | {most(passed['SFT'], samples):.1f}", *["-"] * 7]
    print(" | ".join(start), "|")
    for (arm, seed), differences in rows.items():
        outcomes = passed[names[arm, seed]]
        cells = [arm, str(seed), f"{rate(outcomes):.1f}", f"{most(outcomes, samples):.1f}"]
        for found, holms in zip(differences, corrected, strict=True):
            if found is None:
                cells += ["-"] * 3
            else:
                cells += [f"{100 * found.difference:+.1f}", f"{found.p:.2g}", f"{holms[arm, seed]:.2g}"]
        print("|", " | ".join([*cells, f"{ablation.minutes(names[arm, seed]):.0f}"]), "|")


def most(passed: Passed, samples: int) -> float:
    """pass@samples in per cent."""
    return 100 * mean([pass_at_k(len(each), sum(each), samples) for each in passed.values()])


if __name__ == "__main__":
    run_main(main)

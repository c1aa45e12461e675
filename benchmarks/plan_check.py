"""Compares the planner's gigabytes and operations with torch's counts and, on the CPU, with the memory of a process.

The GPU rows run the training code on fake tensors of the true shape (benchmarks/fake_training.py). Nothing is
allocated, no GPU is needed, and no figure is measured on a GPU. The CPU rows train small models with real tensors.

    python benchmarks/plan_check.py                               # all rows; some minutes
    python benchmarks/plan_check.py --rows "14B, as set"          # only these
    python benchmarks/plan_check.py --no-cpu

The row of 8-bit moments needs torchao. Inputs: scripts/raccoon/planning. Outputs: Markdown tables on stdout; and OUTPUT
(JSON) with the same figures and the parts of each peak.
"""

import json
import multiprocessing
import os
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from raccoon.constants import InputError, override_constants, run_main
from raccoon.planning.memory import BF16, GB, VLLM_ASLEEP_GB, VLLM_WORKSPACE_GB, Machine, Setting, plan, step_parts
from raccoon.planning.model_shape import SHAPES, Shape
from raccoon.progress import progress_bar

ROWS = []  # names of rows; [] is all
CPU = True  # also the CPU rows
OUTPUT = "plan_check.json"
THREADS = 2  # of the CPU rows

QWEN14 = "Qwen2.5-14B"
ASSUMED = {
    "decoding": "every token reads the cache and all weights except the embedding, at 4.3 TB/s",
    "prefill": "all prompts' operations at 790 TFLOP/s",
    "passes": "the operations above at 790 TFLOP/s; nothing for the exchange between GPUs",
    "update": "weights, gradients and moments read and written once at 4.3 TB/s",
}


@dataclass(frozen=True)
class Row:
    """One configuration to plan and count; 0 GPUs means a process on the CPU."""

    name: str
    shape: Shape
    gpus: int = 2
    setting: Setting = field(default_factory=Setting)
    replicas: int = 1


@dataclass(frozen=True)
class Result:
    """GB of a process and operations of a pass, planned and counted; `measured` is resident memory on the CPU."""

    name: str
    gpus: int
    planned: dict[str, float]
    counted: dict[str, float]
    parts: dict[str, float]  # of the counted training peak
    measured: float = 0.0


def gpu_rows() -> list[Row]:
    as_set = Setting()
    batches = [
        (
            f"14B, BATCH_SIZE {size}, GRADIENT_ACCUMULATION {16 // size}",
            replace(as_set, batch_size=size, gradient_accumulation=16 // size),
        )
        for size in (1, 8)
    ]
    lora = replace(as_set, lora_rank=32)
    return [
        Row("14B, as set", SHAPES[QWEN14]),
        *(Row(name, SHAPES[QWEN14], 2, setting) for name, setting in batches),
        Row("14B, OPTIMIZER adamw_torch_8bit", SHAPES[QWEN14], 2, replace(as_set, optimizer="adamw_torch_8bit")),
        Row("14B, colocated vLLM", SHAPES[QWEN14], 2, replace(as_set, vllm="colocate")),
        Row("14B, USE_LORA", SHAPES[QWEN14], 1, lora),
        *(Row("14B, as set", SHAPES[QWEN14], gpus) for gpus in (1, 4, 8)),
        Row("14B, REPLICAS 2", SHAPES[QWEN14], 4, replicas=2),
        Row("7B, as set", SHAPES["Qwen2.5-7B"]),
        Row("32B, as set", SHAPES["Qwen2.5-32B"], 8),
        *(Row("1.5B, as set", SHAPES["Qwen2.5-1.5B"], gpus) for gpus in (1, 2)),
    ]


def cpu_rows() -> list[Row]:
    """Small models whose pass takes seconds. The first has the shape of SmolLM2-135M."""
    small = Shape(30, 576, 1536, 9, 3, 64, 49152, True)
    short = Setting(batch_size=4, gradient_accumulation=1, prompt=64, completion=64)
    return [
        Row("135M, 4 x 128 tokens", small, 0, short),
        Row("135M, 4 x 128 tokens, USE_LORA", small, 0, replace(short, lora_rank=16)),
        Row(
            "12M, 16 x 200 tokens",
            Shape(4, 256, 512, 4, 2, 64, 32000, True),
            0,
            replace(short, batch_size=16, prompt=100, completion=100),
        ),
        Row(
            "6M, 64 x 110 tokens, 2,000 words",
            Shape(6, 256, 768, 8, 4, 32, 2000, True),
            0,
            replace(short, batch_size=64, prompt=60, completion=50),
        ),
    ]


def check(row: Row) -> Result:
    """One row, planned and counted. Call it in a new process."""
    import fake_training

    shape, setting = row.shape, row.setting
    found = plan(shape, setting, Machine(row.gpus, 0.0, row.replicas)).memory
    accelerator = fake_training.start_processes(row.gpus, row.replicas, gpu=row.gpus > 0)
    training = fake_training.Training(shape, setting, accelerator, gpu=row.gpus > 0)
    operations = training.prepare()
    training.step()
    peaks = training.count.peaks
    counted = {"training": max(peaks["training"].total, peaks["updating"].total) / GB + found.process}
    if setting.vllm:
        push(training)
        training.count.stage = "lasting"
        training.count.change(0, "weights")
        counted["training"] += VLLM_ASLEEP_GB
        pushing = peaks["generating"].total / GB, peaks["lasting"].total / GB + found.cache
        counted["generating"] = max(pushing) + VLLM_WORKSPACE_GB + BF16 * shape.parameters / GB  # planned: vLLM's own
    else:
        training.generate()
        counted["generating"] = peaks["generating"].total / GB + found.process
    planned = {"training": found.training, "generating": found.generating}
    if row.gpus:
        counted["operations"] = operations
        planned["operations"] = setting.batch_size * shape.training_operations(
            setting.prompt, setting.completion, setting.lora_rank
        )
    parts = {name: size / GB for name, size in peaks["training"].parts.items() if size}
    return Result(row.name, row.gpus, planned, counted, parts)


def push(training: Any) -> None:
    """Gathers and casts every weight, one after the other, as on the way to vLLM."""
    import torch

    count = training.count
    with training.mode, count, torch.no_grad():
        count.stage = "generating"
        for weight in training.model.parameters():
            weight.full_tensor().bfloat16()


def measure(row: Row) -> float:
    """The resident memory of a process that makes two real steps and generates. Call it in a new process."""
    import fake_training
    import torch

    torch.set_num_threads(THREADS)
    training = fake_training.Training(
        row.shape, row.setting, fake_training.start_processes(1, gpu=False), gpu=False, fake=False
    )
    training.prepare()
    training.step()
    training.generate()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB


def alone(work: Any, row: Row) -> Any:
    """Calls `work` in a new process, for its own process group and peak. The libraries are loaded before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(work, row).result()


def difference(planned: float, counted: float) -> str:
    return f"{planned / counted - 1:+.1%}"


def gpu_table(results: list[Result]) -> str:
    header = [
        "row",
        "GPUs",
        "training, planned",
        "training, counted",
        "differ",
        "generating, planned",
        "generating, counted",
        "differ by",
        "PFLOP planned",
        "PFLOP counted",
        "apart",
    ]  # names that differ
    rows = []
    for one in results:
        cells = [one.name, str(one.gpus)]
        for name, unit, digits in (("training", 1, 1), ("generating", 1, 1), ("operations", 1e15, 4)):
            planned, counted = one.planned[name] / unit, one.counted[name] / unit
            cells += [f"{planned:.{digits}f}", f"{counted:.{digits}f}", difference(planned, counted)]
        rows.append(cells)
    return markdown(header, rows)


def parts_table(result: Result, row: Row) -> str:
    """The training peak of a row by its parts. Gradients in reduction count with the head, where TRL makes them."""
    found = plan(row.shape, row.setting, Machine(row.gpus, 0.0, row.replicas)).memory
    planned = {**asdict(found), "reduced, logits": found.reduced + found.logits}
    counted = {**result.parts, "reduced, logits": result.parts.get("head", 0) + result.parts.get("reduced", 0)}
    names = ("weights", "gradients", "optimizer", "gathered", "reduced, logits", "activations")
    return markdown(
        ["part", "planned", "counted"],
        [[name, f"{planned[name]:.2f}", f"{counted.get(name, 0):.2f}"] for name in names],
    )


def cpu_table(results: list[Result]) -> str:
    rows = [
        [
            one.name,
            f"{one.planned['training']:.2f}",
            f"{one.counted['training']:.2f}",
            f"{one.measured:.2f}",
            difference(one.planned["training"], one.counted["training"]),
            difference(one.planned["training"], one.measured),
        ]
        for one in results
    ]
    return markdown(["row", "planned", "counted", "measured", "planned to counted", "planned to measured"], rows)


def seconds_table() -> str:
    found = step_parts(SHAPES[QWEN14], Setting(), Machine(2, 0.0))
    return markdown(
        ["part of a step", "s", "what is assumed"],
        [[name, f"{seconds:.2f}", ASSUMED[name]] for name, seconds in found.items()],
    )


def markdown(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ["---"] * len(header), *rows])


def chosen(rows: list[Row]) -> list[Row]:
    """The chosen rows, without those whose library is missing."""
    found = [row for row in rows if not ROWS or row.name in ROWS]
    missing = [row.name for row in found if row.setting.optimizer == "adamw_torch_8bit" and not find_spec("torchao")]
    if missing:
        print(f"torchao is not installed, so these rows are left out: {', '.join(missing)}", file=sys.stderr)
    return [row for row in found if row.name not in missing]


def main() -> None:
    names = [row.name for row in gpu_rows() + cpu_rows()]
    unknown = [name for name in ROWS if name not in names]
    if unknown:
        raise InputError(f"unknown row {unknown[0]!r}; choose from {', '.join(dict.fromkeys(names))}")
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
    import fake_training  # noqa: F401, imported once for all rows

    rows, small = chosen(gpu_rows()), chosen(cpu_rows()) if CPU else []
    results, measured = [], []
    for row in progress_bar(iterable=rows + small, desc="rows"):
        found = alone(check, row)
        kept = results if row.gpus else measured
        kept.append(found if row.gpus else replace(found, measured=alone(measure, row)))
        whole = [asdict(one) for one in results + measured]  # after each row, so that a stopped check keeps its results
        Path(OUTPUT).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    if results:
        print(
            f"GB of 1e9 bytes a GPU, PFLOP a pass; differences of the plan to the count\n\n{gpu_table(results)}\n\n"
            f"the training peak of {results[0].name!r}, by its parts\n\n{parts_table(results[0], rows[0])}\n\n"
            f"the least seconds of a step, 14B as set on two H200s\n\n{seconds_table()}\n"
        )
    if measured:
        print(f"GB of a process on the CPU\n\n{cpu_table(measured)}\n")
    print(f"written: {OUTPUT}")


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)

"""Speed of generation: one engine against another, with several numbers of completions at once.

Both engines get the same prompts in the same process, one after the other in every round. Evaluation uses greedy
decoding, rollouts use sampling. It measures this machine under its present load; compare only ratios within one run.

    bash scripts/vllm_environment.sh && python scripts/demo_model.py
    .venv-vllm/bin/python benchmarks/generation_speed.py
    .venv-vllm/bin/python benchmarks/generation_speed.py --model ./my-sft-model --rows 8 32 --rounds 1
    python benchmarks/generation_speed.py --compared transformers lean --samples 8 --rows 64     # without vLLM

Inputs: a model folder and a task file. Outputs: a Markdown table on stdout.
"""

import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from raccoon.constants import InputError, override_constants, run_main
from raccoon.evaluation.engines import ENGINES, Decoding, Slot, load_engine
from raccoon.gpus import visible_gpus
from raccoon.model_files import check_model_folder
from raccoon.tasks.task import read_task_file
from raccoon.vllm_engine import check_vllm, prepare_vllm

MODEL = "./demo/sft_model"
TASKS = "./demo/heldout_tasks.jsonl"
COMPARED = ["transformers", "vllm"]  # two engines; the ratio is that of the second to the first
ROWS = [8, 64, 256]  # completions at once
SAMPLES: int = 1  # of each task in mode sampled; a group of GRPO has several
MAX_COMPLETION_LENGTH = 110
DTYPE = "auto"  # of the weights; "auto" is the checkpoint's own
ROUNDS = 3  # of each measurement; their median counts
CPU_THREADS = 1


def main() -> None:
    unknown = [name for name in COMPARED if name not in ENGINES]
    if unknown or len(COMPARED) != 2:
        raise InputError(f"COMPARED is {COMPARED}: give two of {', '.join(ENGINES)}")
    check_model_folder(Path(MODEL))
    os.environ.setdefault("OMP_NUM_THREADS", str(CPU_THREADS))
    if "vllm" in COMPARED:
        check_vllm(visible_gpus())
        prepare_vllm()
    tasks = read_task_file(TASKS)
    if max(ROWS) > len(tasks):
        raise InputError(f"ROWS {max(ROWS)} is more than the {len(tasks)} tasks of {TASKS}: give a smaller number")
    decodings = [Decoding(mode, MAX_COMPLETION_LENGTH, dtype=DTYPE) for mode in ("greedy", "sampled")]
    engines = {name: load_engine(Path(MODEL), Decoding(engine=name, dtype=DTYPE)) for name in COMPARED}
    first, second = (name.replace("vllm", "vLLM") for name in COMPARED)
    print(
        f"| mode | at once | {first}, tokens a second | {second}, tokens a second | ratio | same completions |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    for decoding in decodings:
        samples = SAMPLES if decoding.sampled else 1
        for rows in ROWS:
            requests = [Slot(task, sample) for task in tasks[: -(-rows // samples)] for sample in range(samples)]
            print(compare(engines, decoding, requests[:rows]), flush=True)


def compare(engines: dict, decoding: Decoding, requests: list[Slot]) -> str:
    """A row of the table: each engine's median of the rounds, after one round that does not count."""
    speeds: dict[str, list[float]] = {name: [] for name in engines}
    texts = {}
    for measured in [False] + [True] * ROUNDS:
        for name, engine in engines.items():
            engine.decoding = decoding
            limit_tokens(engine, decoding)
            started = time.perf_counter()
            completions = engine.generate(requests)
            seconds = time.perf_counter() - started
            texts[name] = [completion.text for completion in completions]
            if measured:
                speeds[name].append(tokens(engine, completions) / seconds)
    first, second = (statistics.median(speeds[name]) for name in COMPARED)
    same = sum(map(str.__eq__, *(texts[name] for name in COMPARED)))
    agreement = "-" if decoding.sampled else f"{same} of {len(requests)}"
    return f"| {decoding.mode} | {len(requests)} | {first:,.0f} | {second:,.0f} | {second / first:.2f} | {agreement} |"


def limit_tokens(engine: object, decoding: Decoding) -> None:
    """Sets the limit of tokens on an engine whose model holds it, as in transformers."""
    if hasattr(engine.model, "generation_config"):
        engine.model.generation_config.max_new_tokens = decoding.max_tokens


def tokens(engine: object, completions: list) -> int:
    """The number of tokens of all completions, including the end token of each complete one."""
    ids = engine.tokenizer([completion.text for completion in completions], add_special_tokens=False)["input_ids"]
    return sum(map(len, ids)) + sum(not completion.truncated for completion in completions)


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)

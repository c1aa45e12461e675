"""Speed of an update's passes on a CPU: each completion in a row of its own, against each prompt computed once.

It takes the first groups of a finished run and makes a forward and a backward pass of each in both ways, in turns. The
log-probabilities of both ways are compared too. It measures this machine under its present load; compare only ratios
within one run.

    python benchmarks/update_speed.py                                       # after scripts/demo.sh
    python benchmarks/update_speed.py --run-dir ./real/rl_model --model ./real/sft_model --bfloat16 --cpu-threads 2

Inputs: a model folder, and a run's folder with tasks.jsonl and completions.jsonl. Outputs: a Markdown table on stdout.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from raccoon.constants import InputError, override_constants, run_main
from raccoon.model_files import load_tokenizer
from raccoon.runs.log import COMPLETIONS_LOG, RunLog
from raccoon.tasks.prompts import messages
from raccoon.tasks.task import read_task_file

RUN_DIR = "./demo/rl_model"
MODEL = "./demo/sft_model"
GROUPS = 8  # of the run, from its first step on
BFLOAT16 = False  # compute in bfloat16 over float32 weights, as SAVINGS bfloat16 does
CPU_THREADS = 1


def main() -> None:
    groups = read_groups()
    os.environ.setdefault("OMP_NUM_THREADS", str(CPU_THREADS))
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    batches = [batch(group) for group in groups]
    seconds, tokens, furthest = {"apart": 0.0, "together": 0.0}, {"apart": 0, "together": 0}, 0.0
    for number, (ids, kept, width) in enumerate([batches[0], *batches]):  # the first pass of each does not count
        found = {}
        for way in seconds:
            started = time.perf_counter()
            found[way], computed = run_pass(model, ids, kept, width, way == "together")
            if number:
                seconds[way] += time.perf_counter() - started
                tokens[way] += computed
        furthest = max(furthest, float((found["apart"] - found["together"]).abs().max()))
    print("| way | tokens computed | seconds a group |\n| --- | --- | --- |")
    for way in seconds:
        print(f"| {way} | {tokens[way]:,} | {seconds[way] / len(batches):.3g} |")
    ratio = seconds["together"] / seconds["apart"]
    print(
        f"\nratio {ratio:.2f} over {len(batches)} groups; the log-probabilities of a token differ by at most "
        f"{furthest:.2g}"
    )


def read_groups() -> list[tuple[list[int], list[list[int]]]]:
    """The prompt's and the completions' token ids of the run's first groups."""
    tasks = {task.task_id: task for task in read_task_file(Path(RUN_DIR) / "tasks.jsonl")}
    tokenizer = load_tokenizer(MODEL)
    groups: dict[tuple[int, int], list[dict]] = {}
    for record in RunLog(RUN_DIR).read(COMPLETIONS_LOG):
        if record["used"] and (len(groups) < GROUPS or (record["step"], record["group"]) in groups):
            groups.setdefault((record["step"], record["group"]), []).append(record)
    if not groups:
        raise InputError(f"RUN_DIR {RUN_DIR} has no completions; give the folder of a run that made a step")
    return [
        (
            tokenizer.apply_chat_template(
                messages(tasks[group[0]["task_id"]]), add_generation_prompt=True, return_dict=False
            ),
            [
                tokenizer.encode(record["completion"], add_special_tokens=False) + [tokenizer.eos_token_id]
                for record in group
            ],
        )
        for group in groups.values()
    ]


def batch(group: tuple[list[int], list[list[int]]]) -> tuple[Any, Any, int]:
    """The ids and the mask (B, T) of a group, and the width of its completions."""
    import torch

    prompt, completions = group
    width = max(map(len, completions))
    rows = [prompt + ids + [0] * (width - len(ids)) for ids in completions]
    kept = [[1] * (len(prompt) + len(ids)) + [0] * (width - len(ids)) for ids in completions]
    return torch.tensor(rows), torch.tensor(kept), width


def run_pass(model: Any, ids: Any, kept: Any, width: int, together: bool) -> tuple[Any, int]:
    """The log-probabilities (B, C) of a forward and a backward pass, 0 at padding, and the tokens computed."""
    import torch

    from raccoon.training.batches import separate_logprobs, shared_logprobs

    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
        logprobs, _ = (shared_logprobs if together else separate_logprobs)(model, ids, kept, width, temperature=1.0)
    logprobs = logprobs * kept[:, -width:]
    logprobs.sum().backward()
    computed = int(kept[0, :-width].sum() + kept[:, -width:].sum()) if together else ids.numel()
    return logprobs.detach(), computed


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)

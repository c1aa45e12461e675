"""Plans a training run before anything is allocated: gigabytes a GPU, seconds a step, disk, and what would fit.

It is arithmetic on the model's config.json, not a measurement. The measured peak of a run is in its metrics.jsonl. The
training script prints the same plan at its start; with --plan it prints only the plan.

    python scripts/plan_memory.py Qwen2.5-14B --gpus 2x141
    python scripts/plan_memory.py ./my-sft-model Qwen2.5-1.5B      # on the GPUs of this machine

Inputs: model folders, hub ids, or Qwen2.5-0.5B, -1.5B, -7B, -14B, -32B, which need no network; GPUS. Output: a
Markdown table for each model on stdout, with a row for each setting. GB are 1e9 bytes.
"""

from dataclasses import replace

from raccoon.constants import override_constants, run_main
from raccoon.planning.advice import report
from raccoon.planning.memory import Setting, find_machine

# What is planned; the training script plans with its own constants
MODELS = ["Qwen2.5-14B"]  # folders, hub ids, or names from the table in planning/model_shape.py
GPUS = ""  # number x memory in GiB, as vendors print it, like 2x141 or 1x80; "": the GPUs of this machine
REPLICAS = 1  # copies of the model, each sharded over its part of the GPUs
BATCH_SIZE = 4  # completions in one forward and backward pass of a GPU
GRADIENT_ACCUMULATION = 4  # passes a step
MAX_PROMPT_LENGTH = 512  # tokens
MAX_COMPLETION_LENGTH = 1024  # tokens
MAX_STEPS = 500  # optimizer steps
SAVE_STEPS = 50  # steps between checkpoints
SAVE_TOTAL_LIMIT = 2  # checkpoints to keep: the newest, the best, then older ones
LORA_RANK = 32  # for the rows with USE_LORA
VLLM_MEMORY_SHARE = 0.27  # of each GPU, for the rows with a colocated vLLM


def main() -> None:
    machine = replace(find_machine(GPUS), replicas=REPLICAS)
    setting = Setting(
        batch_size=BATCH_SIZE,
        gradient_accumulation=GRADIENT_ACCUMULATION,
        prompt=MAX_PROMPT_LENGTH,
        completion=MAX_COMPLETION_LENGTH,
        max_steps=MAX_STEPS,
        save_steps=SAVE_STEPS,
        save_total_limit=SAVE_TOTAL_LIMIT,
        vllm_share=VLLM_MEMORY_SHARE,
    )
    print("\n\n".join(report(name, setting, machine, LORA_RANK) for name in MODELS))


if __name__ == "__main__":
    override_constants(globals(), positional="MODELS")
    run_main(main)

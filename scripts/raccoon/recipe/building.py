"""Builds the trainer, and uses a profile to choose the tasks that it trains on."""

from typing import Any

from raccoon.constants import InputError, Settings
from raccoon.planning.memory import rows_outside_steps
from raccoon.recipe.preparation import Machines
from raccoon.recipe.reward_source import Servers, completion_reward
from raccoon.recipe.settings import grpo_config
from raccoon.runs.log import RunLog
from raccoon.runs.profile import constant_share, partial_warning, profile_table
from raccoon.runs.stop import StopSignal
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import Task


def build_trainer(
    settings: Settings,
    tasks: list[Task],
    heldout: list[Task],
    tokenizer: Any,
    sandbox: Sandbox,
    servers: Servers,
    stop: StopSignal,
    machines: Machines,
) -> Any:
    """The trainer with its callbacks. The memory probe comes before the held-out control, which takes minutes."""
    from peft import LoraConfig

    from raccoon.training.callbacks import HeldoutControl, StepClock, StopBetweenSteps, WeightWatch
    from raccoon.training.policy import FenceStop, ignored_settings, load_policy, prompt_end
    from raccoon.training.trainer import CodeTrainer

    args = grpo_config(settings, machines.gpus)  # joins the processes: with FSDP2 only the first reads the weights
    frozen = "bfloat16" if machines.gpus else "float32"
    model = load_policy(settings.MODEL_PATH, tokenizer, frozen if settings.USE_LORA else settings.MASTER_WEIGHTS)
    if settings.GENERATION == "vllm":  # by itself it knows only the end tokens of the checkpoint's generation_config
        args.generation_kwargs = {"stop_token_ids": model.generation_config.eos_token_id}
    control = HeldoutControl(heldout, settings.HELDOUT_EVERY, settings.HELDOUT_TEMPERATURE, settings.HELDOUT_PATIENCE)
    lora = LoraConfig(
        r=settings.LORA_RANK,
        lora_alpha=settings.LORA_ALPHA,
        target_modules=settings.LORA_TARGETS,
        task_type="CAUSAL_LM",
    )
    used = {"temperature": settings.TEMPERATURE, "top_p": settings.TOP_P, "top_k": settings.TOP_K}
    ignored = ignored_settings(model.generation_config, used)
    if ignored:
        print(
            f"ignored  {ignored} in the generation_config.json of {settings.MODEL_PATH}: only this script's "
            "constants decide how a run samples",
            flush=True,
        )
    callbacks = [StepClock(), WeightWatch(), StopBetweenSteps(stop, settings.NUM_ITERATIONS)]
    probe = memory_probe(settings, machines)
    return CodeTrainer(
        model=model,
        args=args,
        processing_class=tokenizer,
        peft_config=lora if settings.USE_LORA else None,
        callbacks=[*callbacks, *probe, *([control] if heldout else [])],
        reward=completion_reward(
            settings,
            sandbox,
            servers,
            tokenizer,
            model.generation_config.eos_token_id,
            prompt_end(tokenizer, settings.ENABLE_THINKING),
        ),
        tasks=tasks,
        max_refills=settings.MAX_REFILLS,
        run_log=RunLog(settings.OUTPUT_DIR),
        fence_stop=FenceStop(tokenizer) if settings.STOP_AT_FENCE else None,
        lean=settings.GENERATION == "lean",
        skip_rows=settings.SKIP_ROWS_WITHOUT_SIGNAL,
        share_prompts=settings.SHARE_PROMPTS,
        kept_checkpoints=settings.SAVE_TOTAL_LIMIT,
        sample_rows=rows_outside_steps(machines.planned) if machines.planned else 0,
    )


def worth_training_on(settings: Settings, trainer: Any, tasks: list[Task]) -> list[Task]:
    """The tasks whose PROFILE_SAMPLES completions differ in correctness; all tasks if PROFILE_SAMPLES is 0."""
    if not settings.PROFILE_SAMPLES:
        return tasks
    profile = trainer.profile(tasks, settings.PROFILE_SAMPLES, settings.TEMPERATURE)
    useful = [record for record in profile if len(set(record["correctness"])) > 1]
    share = constant_share(useful, settings.NUM_GENERATIONS) if useful else 1.0
    print(f"profile  tasks by pass rate in {settings.PROFILE_SAMPLES} samples:\n{profile_table(profile)}")
    print(
        f"         {len(useful)} of {len(profile)} tasks are trained on; expected constant groups: {share:.0%}, "
        f"with all tasks {constant_share(profile, settings.NUM_GENERATIONS):.0%}",
        flush=True,
    )
    warning = partial_warning(useful)
    print(warning, end="\n" if warning else "", flush=True)
    if share > settings.MAX_CONSTANT_SHARE:
        raise InputError(
            f"the profile predicts {share:.0%} constant groups, over MAX_CONSTANT_SHARE "
            f"{settings.MAX_CONSTANT_SHARE:.0%}; give other tasks, or raise TEMPERATURE or "
            "NUM_GENERATIONS"
        )
    ids = {record["task_id"] for record in useful}
    return [task for task in tasks if task.task_id in ids]


def memory_probe(settings: Settings, machines: Machines) -> list:
    """The callback that makes a pass at full length before the first step; [] if none is wanted."""
    if not settings.DRY_RUN and not (settings.PROBE_LONGEST and machines.gpus):
        return []
    from raccoon.training.memory_probe import MemoryProbe

    found = machines.planned
    planned = {"training": found.memory.training, "generating": found.memory.generating} if found else {}
    if found and machines.gpus:
        planned |= found.floors
    return [
        MemoryProbe(
            settings.MAX_PROMPT_LENGTH,
            settings.MAX_COMPLETION_LENGTH,
            found.memory.optimizer if found else 0.0,
            planned,
            settings.DRY_RUN,
        )
    ]

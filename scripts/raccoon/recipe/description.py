"""What a run prints at its start: model, tasks, step, reward, plan and sandbox, in numbers."""

from raccoon.constants import Settings
from raccoon.planning.advice import summary
from raccoon.planning.memory import Plan
from raccoon.recipe.preparation import Machines
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.task import Task


def describe(
    settings: Settings, tasks: list[Task], lengths: list[int], heldout: list[Task], sandbox: Sandbox, machines: Machines
) -> None:
    """Prints what the run will do, in numbers."""
    completions = settings.BATCH_SIZE * settings.GRADIENT_ACCUMULATION * machines.processes
    prompts, kept = completions // settings.NUM_GENERATIONS, [n for n in lengths if n <= settings.MAX_PROMPT_LENGTH]
    prompt_tokens = sum(kept) / len(kept)
    device = "GPU, bfloat16" if machines.gpus else "CPU, float32"
    trained = "LoRA" if settings.USE_LORA else "all weights"
    print(f"model    {settings.MODEL_PATH}, {trained}, {machines.processes} process(es), {device}")
    print(f"tasks    {len(tasks)} to train on, {len(heldout)} held out")
    tokens = completions * (prompt_tokens + settings.MAX_COMPLETION_LENGTH)
    print(
        f"step     {prompts} prompts x {settings.NUM_GENERATIONS} = {completions} completions; at most "
        f"{tokens:,.0f} tokens, {prompt_tokens:.0f} a prompt and {settings.MAX_COMPLETION_LENGTH} a completion"
    )
    passes = prompts * settings.MAX_STEPS / settings.NUM_ITERATIONS / len(tasks)
    print(f"run      {settings.MAX_STEPS} steps, {passes:.1f} passes over the tasks")
    beside = "only with a PASS" if settings.BONUS_ONLY_WITH_PASS else "with any verdict"
    print(
        f"reward   PASS {settings.REWARD_PASS:+g}, PARTIAL {settings.REWARD_PARTIAL:+g} ({settings.PARTIAL_CREDIT}), "
        f"FAIL {settings.REWARD_FAIL:+g}, bonuses {settings.QUALITY_BONUS:+g} {beside}; "
        f"scaled by {settings.SCALE_REWARDS}"
    )
    if settings.REWARD != "execution":
        weights = settings.REWARD_WEIGHTS if settings.REWARD == "both" else (0, 1)
        print(
            f"judge    {settings.REWARD}, {settings.JUDGE_MODEL} at {settings.JUDGE_BASE_URL}; weights of "
            f"execution and judge {' and '.join(f'{weight:g}' for weight in weights)}"
        )
    print(plan_lines(settings, machines.planned))
    print(f"sandbox  {sandbox.walls}")
    print(f"output   {settings.OUTPUT_DIR}")
    print(
        "lines    pass: the share of completions that pass every test; constant groups: the share of groups that\n"
        "         teach nothing about correctness; truncated: completions cut at the limit; left: time to the end",
        flush=True,
    )


def plan_lines(settings: Settings, planned: Plan | None) -> str:
    """The short form of the plan."""
    unknown = f"none: plan_memory.py does not know the architecture of {settings.MODEL_PATH}"
    text = summary(planned) if planned else unknown
    return "plan     " + text.replace("\n", "\n         ")

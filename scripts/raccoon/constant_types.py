"""The types and ranges of the scripts' constants, and whether values have them.

A constant whose line has an annotation is of that type. The others are listed here, because a value that was edited
no longer says what it was. A name has the same type in each script.
"""

import ast
import builtins
import datetime
import difflib
import math
import re
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

NAMES: dict[Any, str] = {
    bool: """
        ALLOW_SHARED_TESTS ALLOW_UNCHECKED ALLOW_UNFIT ALLOW_WEAK_SANDBOX BENCHMARK_TASKS BONUS_ONLY_WITH_PASS
        CPU_BFLOAT16 DRY_RUN ENABLE_THINKING LAST_ANSWER_ONLY LORA_MERGE ONLY_REPAIRS PAGE PAY_CONSTANT_ANSWERS PLAN
        PROBE_LONGEST PUBLIC RESUME SKIP_FAILING_TASKS STRENGTHEN USE_LORA
    """,
    int: """
        BATCH BATCH_SIZE BROKEN_RETRIES BUCKET BYTES_A_WEIGHT CONCURRENCY CPU_THREADS DISK_BYTES_A_WEIGHT EPOCHS
        FRESH_INPUTS GRADIENT_ACCUMULATION HELDOUT_EVERY HELDOUT_PATIENCE HELDOUT_TASKS HIDDEN_SIZE
        INTERMEDIATE_SIZE JUDGE_CONCURRENCY LIBRARY_MEMORY_MB LIMIT LINE_WIDTH LONGEST_NAME LORA_ALPHA LORA_RANK
        MAX_COMPLETION_LENGTH MAX_FEEDBACK MAX_LENGTH MAX_LINE MAX_NEW_TESTS MAX_POSITIONS MAX_PROGRAMS
        MAX_PROMPT_LENGTH MAX_REFILLS
        MAX_RESPONSE MAX_RETRIES MAX_STEPS MAX_TOKENS MAX_TURNS MEMORY_MB MUTANTS NOTE_BYTES NUM_GENERATIONS
        NUM_HEADS NUM_HELDOUT_TASKS NUM_ITERATIONS NUM_KV_HEADS NUM_LAYERS NUM_SAMPLES NUM_TRAIN_TASKS
        PASSES_PER_STEP PERIODS PROCESSES PROFILE_SAMPLES REPEAT REPLICAS SANDBOX_MEMORY_MB SANDBOX_WORKERS
        SAVE_STEPS SAVE_TOTAL_LIMIT SEED TOP_K TURNS VOCAB_SIZE WARMUP_STEPS WORKERS WORST_TASKS
    """,
    float: """
        ADAM_BETA2 BETA EPSILON EPSILON_HIGH FINAL_LR_SHARE HELDOUT_SHARE HELDOUT_TEMPERATURE JUDGE_BATCH_TIMEOUT
        JUDGE_TIMEOUT LEARNING_RATE MAX_CONSTANT_SHARE MAX_GRAD_NORM MAX_PAGE_MB MAX_SIMILARITY MIN_MUTANTS_KILLED
        MIN_PASS_RATE PRICE_INPUT PRICE_OUTPUT QUALITY_BONUS REQUEST_TIMEOUT REWARD_FAIL REWARD_MAX REWARD_MIN
        REWARD_PARTIAL REWARD_PASS SANDBOX_TIMEOUT SLOW_TIMEOUT TEMPERATURE TIMEOUT TOP_P TURN_DISCOUNT
        VLLM_MEMORY_SHARE VLLM_RATIO_CAP WARMUP_SHARE WEIGHT_DECAY
    """,
    str: """
        ACCEPT_TERMS AT_ONCE BACKEND BASE_URL BENCHMARK CARD_FILE CHAT_TEMPLATE CODE_EXTRACTION_METHOD DATA_DIR DATE
        DTYPE ENGINE EVAL_RESULTS EXTRACTION_BASE_URL EXTRACTION_KEY_ENV EXTRACTION_MODEL FAIL_ON FROM_RUN GENERATION
        GGUF GPUS HELDOUT INIT_FROM INJECTIONS INPUT_TASKS JUDGE_BASE_URL JUDGE_KEY_ENV JUDGE_MODEL KEY_ENV LORA_TARGETS
        LOSSES_FILE LOSS_TYPE LR_SCHEDULER MASTER_WEIGHTS MODE MODEL MODEL_CUTOFF MODEL_PATH OPTIMIZER OUTPUT
        OUTPUT_DIR PARTIAL_CREDIT PIECES PLAN_GPUS PROBE PROFILE PROMPT_STYLE PUSH_TO_HUB REPORT_FILE REWARD
        RUN_DIR SCALE_REWARDS SOURCE TASK TASKS TEST TWO_RUNS_FILE UNKNOWN VLLM_MODE VLLM_SERVER_URL
    """,
    list[int]: "PASS_AT",
    list[float]: "REWARD_WEIGHTS",
    list[str]: """
        BENCHMARKS CALLBACKS DEFAULT_MODELS KEEP_UNSEEN MODELS MODES REPORTED_BENCHMARKS REPORT_TO SAMPLES SAVINGS
        TASK_SETS TRAINING_SETS TRAIN_FILES TRAJECTORIES
    """,
}
TYPES = {name: kind for kind, names in NAMES.items() for name in names.split()}
# Lowest and highest value, of constants whose range no other room checks
RANGES: dict[tuple[float, float], str] = {
    (0, math.inf): """
        BETA EPSILON EPSILON_HIGH HELDOUT_PATIENCE HELDOUT_TEMPERATURE LIMIT MAX_REFILLS MAX_RETRIES PROFILE_SAMPLES
        SANDBOX_WORKERS TEMPERATURE TOP_K WARMUP_STEPS WEIGHT_DECAY WORKERS WORST_TASKS
    """,
    (1, math.inf): "CPU_THREADS LORA_ALPHA LORA_RANK MAX_LINE MAX_RESPONSE PERIODS SAVE_TOTAL_LIMIT",
    (0, 1): "MAX_CONSTANT_SHARE MAX_SIMILARITY MIN_MUTANTS_KILLED MIN_PASS_RATE WARMUP_SHARE",
    (1e-6, 1): "TOP_P",
    (0, 0.999999): "ADAM_BETA2",
    (0, 2**32 - 1): "SEED",  # what numpy takes
}
RANGE_OF = {name: limits for limits, names in RANGES.items() for name in names.split()}
DATES = ("DATE", "MODEL_CUTOFF")
SECRET = re.compile(r"(^|_)(API_KEY|TOKEN|SECRET|PASSWORD)(_|$)")
WORDS = {
    bool: "True or False",
    int: "a whole number, like 4, without quotes",
    float: "a number, like 0.5 or 5e-6, without quotes",
    str: 'text in quotes, like "name"',
    list[int]: "a list of whole numbers, like [1, 10]",
    list[float]: "a list of numbers, like [1.0, 0.5]",
    list[str]: 'a list of texts, like ["name"]',
}


def file_fault(namespace: dict) -> str:
    """What is wrong with the constants in a script's file, in one line; "" if nothing is.

    A value of another type, in DEMO too, or a constant that is used and set nowhere. Whole numbers become floats in
    `namespace` where the type is float, because a flag is read by the type of the value that it replaces.
    """
    path = Path(namespace["__file__"])
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if fault := unset_name(tree, namespace, path.name):
        return fault
    hints = declared_types(tree, namespace)
    own = {name: namespace[name] for name in hints if name in namespace}
    for values, where in ((own, path.name), (namespace.get("DEMO", {}), f"DEMO of {path.name}")):
        if fault := values_fault(values, hints, where):
            return fault
    namespace.update(own)
    return ""


def saved_fault(values: dict[str, Any], namespace: dict, where: str) -> str:
    """The same for constants that a run has saved."""
    tree = ast.parse(Path(namespace["__file__"]).read_text(encoding="utf-8"))
    return values_fault(values, declared_types(tree, namespace), where)


def values_fault(values: dict[str, Any], hints: dict[str, Any], where: str) -> str:
    for name, value in values.items():
        if name not in hints:
            return f"{where} has {name}, which is no constant of the script{nearest(name, hints)}"
        if not fits_type(value, hints[name]):
            shown = "***" if SECRET.search(name) else repr(value)
            return f"{name} in {where} is {shown}; give {in_words(hints[name])}"
        values[name] = as_type(value, hints[name])
    return ""


def range_fault(values: dict[str, Any]) -> str:
    """What is wrong with the size of the constants' numbers, or with a date, in one line; "" if nothing is."""
    for name, value in values.items():
        if name in DATES and value and not is_date(value):
            return f"{name} is {value!r}; give a date like 2024-09-30"
        low, high = RANGE_OF.get(name, (-math.inf, math.inf))
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, float) and not math.isfinite(each):
                return f"{name} is {value}; give a finite number"
            if isinstance(each, int | float) and not low <= each <= high:
                return f"{name} is {value}; give a value from {low:g}" + (
                    f" to {high:.10g}" if high < math.inf else " on"
                )
    return ""


def is_date(text: str) -> bool:
    """Whether a text is a day, as YYYY-MM-DD."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def unset_name(tree: ast.Module, namespace: dict, file: str) -> str:
    """The fault of a constant that the file uses and nothing sets; "" if there is none."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id.isupper()]
    used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    known = {*namespace, *dir(builtins), *(node.id for node in names if isinstance(node.ctx, ast.Store))}
    known |= {each.asname or each.name for each in ast.walk(tree) if isinstance(each, ast.alias)}  # imported anywhere
    for name in sorted(used - known):
        unused = [node.id for node in names if node.id not in used]
        return f"{file} uses {name}, and no line sets it: restore the line{nearest(name, unused)}"
    return ""


def declared_types(tree: ast.Module, namespace: dict) -> dict[str, Any]:
    """The type of each constant that a file sets: its annotation, else its row above, else Any."""
    found: dict[str, Any] = {}
    for node in tree.body:
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            name, annotation = getattr(target, "id", ""), getattr(node, "annotation", None)
            if name.isupper() and annotation:
                written = types.SimpleNamespace(__annotations__={name: ast.unparse(annotation)})
                found[name] = get_type_hints(written, namespace)[name]
            elif name.isupper():
                found[name] = TYPES.get(name, Any)
    return found


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a message about a name that does not exist: one that is like it, or nothing."""
    close = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {close[0]}?" if close else ""


def fits_type(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type. A whole number is a float as well, a truth value is no number."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(fits_type(value, each) for each in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is list:
        return isinstance(value, list) and all(fits_type(each, get_args(hint)[0]) for each in value)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return hint is Any or isinstance(value, origin or hint)


def in_words(hint: Any) -> str:
    """What to write for a value of a type."""
    return WORDS.get(hint) or f"a value of type {getattr(hint, '__name__', hint) if not get_args(hint) else hint}"


def as_type(value: Any, hint: Any) -> Any:
    """The value, with whole numbers as floats where the type wants floats: a flag is read by the type of the value."""
    if hint == list[float]:
        return [float(each) for each in value]
    return float(value) if hint is float else value

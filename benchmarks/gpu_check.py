"""Checks on one GPU what the project only computes: speed, memory beside the plan, and that a run resumes.

It has never run on a GPU so far. It needs no network: models have the true shapes and random weights, or zeros where
only memory counts. Each step runs in a process of its own, with a limit of its own. A step that fails or takes too long
becomes a line with its fault, and the others go on. The limits are for one H200, and together 8 minutes.

    python benchmarks/gpu_check.py                             # all steps, the most useful first
    python benchmarks/gpu_check.py --steps head lora --limits lora=300
    python benchmarks/gpu_check.py --tiny                      # toys on the CPU, to test that every step runs

Outputs: OUTPUT (JSON lines), one line for each step as soon as it ends, and at last the table; the same Markdown table
on stdout. A folder beside OUTPUT holds the models and checkpoints of a step until it ends: 20 GB are enough.
"""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from raccoon.constants import InputError, override_constants, run_main
from raccoon.gpus import query_gpus, visible_gpus
from raccoon.launch import FSDP_CONFIG, GRACE
from raccoon.planning import memory as planner
from raccoon.planning.memory import GB, Machine, Memory, Setting, plan
from raccoon.planning.model_shape import SHAPES, Shape
from raccoon.runs.checkpoints import SIZES_FILE

STEPS = []  # names of steps to make; [] is all
LIMITS = []  # other limits of steps in seconds, like lora=300
OUTPUT = "gpu_check.jsonl"  # lines are appended
TINY = False  # toys on the CPU
DEVICE = "cuda"
STEP = ""  # make only this step, in this process; the check starts its processes with it

# The passes and the decoding
BATCH_SIZE = 4  # sequences of a training pass
PROMPT = 512  # tokens
COMPLETION = 1024  # tokens
ROWS = [16, 64]  # sequences decoded together
NEW_TOKENS = [8, 72]  # decoded in a short and a long run; their difference contains no prefill
FEW_TOKENS = [2, 6]  # the same where each token gathers all weights
COPY_MB = 8192  # size of the copied tensor
MATRIX = 8192  # rows and columns of the multiplied matrices
RUN_TOKENS = 128  # longest prompt and completion of the real run

# The longest that each step may take, in order. What a step leaves of its seconds goes to the next ones.
SECONDS = {
    "versions": 40,
    "speed": 20,
    "passes": 45,
    "half_fsdp2": 65,
    "head": 25,
    "unsharded": 45,
    "lean": 35,
    "half": 60,
    "run": 70,
    "lora": 75,
}
TINY_SECONDS = 300
TINY_VALUES = {
    "DEVICE": "cpu",
    "PROMPT": 8,
    "COMPLETION": 8,
    "ROWS": [2, 4],
    "NEW_TOKENS": [2, 6],
    "COPY_MB": 16,
    "MATRIX": 256,
    "RUN_TOKENS": 8,
}
TINY_SHAPE = Shape(2, 32, 64, 4, 2, 8, 128, False, True)
MODELS: dict[str, Shape] = {
    "14B": SHAPES["Qwen2.5-14B"],
    "0.5B": SHAPES["Qwen2.5-0.5B"],
    "half": replace(SHAPES["Qwen2.5-14B"], layers=21),
}  # as many weights as one of two GPUs has of the 14B model

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
NO_GPU = "needs a GPU"
LOG = "train.log"  # of the training script
GRACE_SECONDS = 10  # from SIGTERM to SIGKILL
STOPS = {signal.SIGTERM, signal.SIGINT}
LAUNCHER_SECONDS = 3  # the same for what accelerate launch starts; less, so that it can still do it
SHARDED = [
    "-m",
    "accelerate.commands.launch",
    "--config_file",
    str(FSDP_CONFIG),
    "--num_processes",
    "1",
    "--main_process_port",
    "0",
]


def report(what: str, measured: float | str, planned: float | None = None, bound: str = "near") -> None:
    """Prints a row at once, so that a step which fails later keeps it; `bound` is one of near, least, most, rival."""
    print(json.dumps({"what": what, "measured": measured, "planned": planned, "bound": bound}), flush=True)


def cells(what: str, measured: float | str, planned: float | None, bound: str) -> list[str]:
    """A row's cells: what, measured, planned, ratio, verdict."""
    shown, beside = (value if isinstance(value, str) else f"{value:.4g}" for value in (measured, planned or 0.0))
    if planned is None or isinstance(measured, str):
        return [what, shown, "" if planned is None else beside, "", ""]
    ratio = measured / planned if planned else 1 + measured
    verdict = {
        "near": ("outside 5 %", "inside 5 %")[abs(ratio - 1) <= planner.PLAN_ERROR],
        "least": ("under the floor", "at least")[ratio >= 1],
        "most": ("above", "at most")[ratio <= 1],
        "rival": "",
    }[bound]
    return [what, shown, beside, f"{ratio:.3f}" if planned else "", verdict]


def check_versions() -> None:
    import torch

    names = ("torch", "transformers", "trl", "accelerate", "peft", "datasets")
    report("versions", ", ".join(f"{name} {version(name)}" for name in names))
    report("Python, CUDA", f"{platform.python_version()}, {torch.version.cuda}")
    cards = [f"{card.name}, {card.memory_gb:.1f} GB, driver {card.driver}" for card in query_gpus()]
    report("card", "; ".join(cards) or "none")
    from raccoon.training.library_internals import PRIVATE_NAMES, is_there  # imports what a version may lack

    gone = [f"{module}.{owner}.{name}" for module, owner, name, _ in PRIVATE_NAMES if not is_there(module, owner, name)]
    report("private names that are missing", ", ".join(gone) or "none")


def check_speed() -> None:
    import torch
    from gpu_speed import timed

    source = torch.empty(COPY_MB * 2**20, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    copying = timed(lambda: target.copy_(source), 10, DEVICE)
    report("TB/s of a copy, read and written", 2 * source.nbytes / copying / 1e12, planner.BANDWIDTH / 1e12)
    left, right = (torch.randn(MATRIX, MATRIX, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    product = timed(lambda: left @ right, 50, DEVICE)
    report("TFLOP/s of a bfloat16 product", 2 * MATRIX**3 / product / 1e12, planner.OPERATIONS / 1e12)


def check_head() -> None:
    """TRL's fused head on as many tokens as a pass has, against float32 logits of the same bfloat16 numbers."""
    import torch
    from trl.kernels import ChunkedLogProbFunction

    torch.manual_seed(0)
    shape, count = shape_of("14B"), BATCH_SIZE * COMPLETION
    hidden = torch.randn(count, shape.hidden, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
    weight = torch.randn(shape.vocab, shape.hidden, device=DEVICE, dtype=torch.bfloat16)
    weight = (weight * shape.hidden**-0.5).requires_grad_()  # logits of deviation 1
    targets = torch.randint(shape.vocab, (count,), device=DEVICE)
    before = start_peak()
    logprobs, entropies, *_ = ChunkedLogProbFunction.apply(
        hidden, weight, None, targets, 1.0, planner.TILE_WORDS, None, 1.0, ("entropy",)
    )
    (logprobs.sum() + 0.01 * entropies.sum()).backward()
    moment = planner.whole_moments(replace(shape, layers=0), replace(setting(), prompt=0))[0]
    report("GB beside the head's weights, a forward and a backward pass", peak_gb(before), moment.total)
    worst, highest = {"log-probability": 0.0, "entropy": 0.0}, 0.0
    with torch.no_grad():
        for start in range(0, count, 512):
            rows = slice(start, start + 512)
            plain = hidden[rows].float() @ weight.float().T
            highest, plain = max(highest, plain.abs().max().item()), plain.log_softmax(-1)
            exact = {
                "log-probability": (logprobs[rows], plain.gather(-1, targets[rows, None])[:, 0]),
                "entropy": (entropies[rows], -(plain.exp() * plain).sum(-1)),
            }
            for name, (found, right) in exact.items():
                worst[name] = max(worst[name], (found - right).abs().max().item())
    for name, error in worst.items():  # bfloat16 rounds a logit by at most 2**-9 of it, a log-probability has two
        report(f"largest error of a token's {name}", error, highest * 2**-8, "most")


def check_passes() -> None:
    """The 14B model in bfloat16: a forward and backward pass beside earlier passes' gradients, and decoding."""
    import torch
    from gpu_speed import generate_ms, padded_mask, random_prompts, timed
    from gpu_stand_ins import new_model
    from trl.trainer.utils import add_fused_lm_head

    from raccoon.training.policy import recompute_layers

    shape, model = shape_of("14B"), new_model(shape_of("14B"), "bfloat16", DEVICE)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    recompute_layers(model.train())
    ids = torch.randint(shape.vocab, (BATCH_SIZE, PROMPT + COMPLETION), device=DEVICE)
    labels = ids.where(torch.arange(ids.shape[1], device=DEVICE) >= PROMPT, -100)
    inputs = {"input_ids": ids, "attention_mask": padded_mask(ids), "labels": labels}
    start_peak()
    seconds = timed(lambda: model(**inputs, fused_lm_head=True).loss.backward(), 2, DEVICE)
    memory = planned_memory("14B", weights="bfloat16")
    report("s a pass, bfloat16", seconds, planner.training_seconds(shape, BATCH_SIZE, PROMPT, COMPLETION), "least")
    report("GB of it, without moments", peak_gb(), memory.training - memory.optimizer)
    model.zero_grad(set_to_none=True)
    model.eval()
    for rows in ROWS:
        found, _ = generate_ms(model, random_prompts(model, rows, PROMPT), NEW_TOKENS)
        report(f"ms a token of {rows} sequences", found, least_ms(shape, rows), "least")


def check_unsharded() -> None:
    """Decoding with FSDP2's float32 shards, gathered once, beside a bfloat16 model of the same weights."""
    import torch
    from gpu_speed import generate_ms, random_prompts
    from gpu_stand_ins import new_model
    from torch.distributed import HashStore, destroy_process_group, init_process_group
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

    from raccoon.decoding import WorkingCopy
    from raccoon.training.sharding import unsharded

    shape, model = shape_of("14B"), new_model(shape_of("14B"), "float32", DEVICE).eval()
    prompts, floor = random_prompts(model, ROWS[0], PROMPT), least_ms(shape, ROWS[0])
    plain = WorkingCopy(torch.bfloat16).of(model)
    plain_ms, tokens = generate_ms(plain, prompts, NEW_TOKENS)
    report(f"ms a token of {ROWS[0]} sequences, plain bfloat16 model", plain_ms, floor, "least")
    del plain
    init_process_group("nccl" if DEVICE == "cuda" else "gloo", store=HashStore(), rank=0, world_size=1)
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for unit in (*model.model.layers, model):
        fully_shard(unit, mp_policy=policy)
    register_fsdp_forward_method(model, "generate")
    with unsharded(model):
        held_ms, found = generate_ms(model, prompts, NEW_TOKENS)
    report("the same inside unsharded(), beside the plain model", held_ms, plain_ms, "rival")
    report("tokens that differ from the plain model's", int((found != tokens).sum()), 0, "most")
    gathering_ms, _ = generate_ms(model, prompts, FEW_TOKENS)
    report("the same without unsharded(), beside the plain model", gathering_ms, plain_ms, "rival")
    destroy_process_group()


def check_lean() -> None:
    """The lean loop beside generate(), and a decoding step in a CUDA graph, with the 14B model in bfloat16."""
    from gpu_speed import difference_ms, generate_ms, graph_ms, random_prompts
    from gpu_stand_ins import new_model
    from transformers import GenerationConfig

    from raccoon.decoding import decode, sampler

    model = new_model(shape_of("14B"), "bfloat16", DEVICE).eval()
    prompts = random_prompts(model, ROWS[0], PROMPT)
    plain_ms, _ = generate_ms(model, prompts, NEW_TOKENS)
    report(f"ms a token of {ROWS[0]} sequences, generate()", plain_ms, least_ms(shape_of("14B"), ROWS[0]), "least")
    ids, draw = [prompts[0, 1:].tolist(), *prompts[1:].tolist()], sampler(GenerationConfig(do_sample=False))
    lean_ms = difference_ms(lambda count: decode(model, ids, count, draw, lambda *_: False), NEW_TOKENS, DEVICE)
    report("the same in the lean loop, beside generate()", lean_ms, plain_ms, "rival")
    step_ms = graph_ms(model, prompts, NEW_TOKENS[1]) or NO_GPU
    report("the same with a static cache in a CUDA graph, beside generate()", step_ms, plain_ms, "rival")


def check_run() -> None:
    """A real run of the 0.5B model: two steps, a checkpoint, and two more after a resume."""
    from gpu_stand_ins import new_model

    new_model(shape_of("0.5B"), "bfloat16", DEVICE).save_pretrained("model")
    tokens = str(RUN_TOKENS)
    flags = [
        "--save-steps",
        "2",
        "--save-total-limit",
        "1",
        "--max-prompt-length",
        tokens,
        "--max-completion-length",
        tokens,
    ]
    folder, seen = Path("out/checkpoint-2"), {}
    process = start_training(["--max-steps", "2", *flags], [])
    while process.poll() is None:  # the folder appears when writing begins, SIZES_FILE when it ends
        seen |= {path: time.perf_counter() for path in {folder, folder / SIZES_FILE} - set(seen) if path.exists()}
        time.sleep(0.005)
    check_end(process.returncode)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / GB
    report("GB of a checkpoint", size, plan(shape_of("0.5B"), setting(), Machine(1, 0.0)).checkpoint_gb)
    report("GB/s of writing it", size / (seen[folder / SIZES_FILE] - seen[folder]))
    check_end(start_training(["--max-steps", "4", *flags], []).wait())
    records = [json.loads(line) for line in Path("out/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    report("steps made, with a resume after 2", len(records), 4)
    first, resumed = (max(record["peak_memory_gb"] for record in part) for part in (records[:2], records[2:]))
    report("GB of the resumed run, beside the first", resumed, first)


def shape_of(name: str) -> Shape:
    """A row of MODELS; the toy with TINY."""
    return TINY_SHAPE if TINY else MODELS[name]


def start_peak() -> float:
    """Starts a new measurement of the GPU's peak memory, and returns the GB held now."""
    import torch

    if TINY:
        return 0.0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated() / GB


def peak_gb(before: float = 0.0) -> float | str:
    """The GPU's peak memory since start_peak(), above the GB held then."""
    import torch

    return NO_GPU if TINY else torch.cuda.max_memory_allocated() / GB - before


def least_ms(shape: Shape, rows: int) -> float:
    return 1000 * planner.decoding_seconds(shape, rows, PROMPT + sum(NEW_TOKENS) / 2)


def start_training(flags: list[str], launcher: list[str]) -> subprocess.Popen:
    """Starts the training script on the model in ./model; its output goes to LOG."""
    from gpu_stand_ins import write_tasks, write_tokenizer

    write_tokenizer("model")
    write_tasks("tasks.jsonl")
    command = [
        sys.executable,
        *launcher,
        str(SCRIPTS / "train_rl_poc.py"),
        "--model-path",
        "model",
        "--output-dir",
        "out",
        "--training-sets",
        "",
        "--train-files",
        "tasks.jsonl",
        "--heldout",
        "",
        "--processes",
        "1",
        "--batch-size",
        str(BATCH_SIZE),
        "--allow-unfit",
        "--allow-weak-sandbox",
        *flags,
    ]
    with open(LOG, "w", encoding="utf-8") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def check_end(code: int) -> str:
    """What the training script printed; raises RuntimeError if it failed."""
    text = Path(LOG).read_text(encoding="utf-8")
    if code:
        raise RuntimeError(f"train_rl_poc.py ended with {code}: {' / '.join(text.splitlines()[-3:])}")
    return text


def dry_run(name: str, memory: Memory, launcher: list[str], *flags: str) -> None:
    """The peaks that the training script's dry run measures. On a CPU the launcher's process is not sharded."""
    from gpu_stand_ins import write_zeros

    write_zeros(shape_of(name), "model")
    lengths = ["--max-prompt-length", str(PROMPT), "--max-completion-length", str(COMPLETION)]
    text = check_end(start_training(["--dry-run", *lengths, *flags], launcher).wait())
    peaks = dict(re.findall(r"^check +\| GB a \w+, (\w+) \| (\S+) \|", text, re.M))
    for part in ("training", "generating"):
        found = float(peaks[part])
        report(f"GB while {part}", NO_GPU if TINY else found, getattr(memory, part))


def setting(**changes: Any) -> Setting:
    return Setting(batch_size=BATCH_SIZE, prompt=PROMPT, completion=COMPLETION, **changes)


def planned_memory(name: str, **changes: Any) -> Memory:
    """The plan on one GPU without FSDP2."""
    return plan(shape_of(name), setting(**changes), Machine(1, 0.0)).memory


def sharded_memory(name: str) -> Memory:
    """The plan of FSDP2 with a single process: the moments of a sharded pass beside the lasting parts of one GPU."""
    shape, cache = shape_of(name), planner.cache_gb(shape_of(name), setting())
    peak = planner.largest(planner.sharded_moments(shape, setting(), Machine(1, 0.0)))
    engine = planner.BF16 * shape.parameters / GB + planner.decoding_gb(shape, setting(), cache)
    return replace(planned_memory(name), **vars(peak), engine=engine, cache=cache)


def run_step(name: str, seconds: float, folder: str) -> dict[str, Any]:
    """Makes a step in a process of its own; its rows so far, and its fault if it failed or took too long."""
    started, fault = time.monotonic(), ""
    environment = {
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        "HF_HUB_OFFLINE": "1",
        **os.environ,
        GRACE: str(LAUNCHER_SECONDS),
    }
    if TINY:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = None
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # within Popen() they would leave a step that nobody ends
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).resolve()), "--step", name, *sys.argv[1:]],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code, fault = 0, f"stopped after {seconds:.3g} s, its limit"
        finally:
            if process:
                end_group(process)
        output.seek(0)
        errors.seek(0)
        rows = [json.loads(line) for line in output if line.startswith("{")]
        if code:
            fault = f"ended with {code}: {(errors.read().strip().splitlines() or ['no message'])[-1]}"
    return {"step": name, "seconds": round(time.monotonic() - started, 1), "fault": fault, "rows": rows}


def end_group(process: subprocess.Popen) -> None:
    """Ends what is left of a step. SIGTERM first, because only a launcher can reach its processes' own groups."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        last = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < last:
            process.poll()
            os.killpg(process.pid, 0)  # raises when no process is left
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def markdown(lines: list[dict[str, Any]]) -> str:
    rows = [["step", "what", "measured", "planned", "ratio", "verdict"], ["---"] * 6]
    for line in lines:
        rows += [[line["step"], *cells(**row)] for row in line["rows"]]
        if line["fault"]:
            rows.append([line["step"], "fault", line["fault"].replace("|", "/"), "", "", ""])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def limits() -> dict[str, float]:
    """The seconds of each chosen step, in the order of SECONDS. Raises InputError for a bad STEPS or LIMITS."""
    for name in [*STEPS, *(text.partition("=")[0] for text in LIMITS)]:
        if name not in SECONDS:
            raise InputError(f"unknown step {name!r}; choose from {', '.join(SECONDS)}")
    bad = [text for text in LIMITS if not re.fullmatch(r"\w+=\d+(\.\d+)?", text)]
    if bad:
        raise InputError(f"LIMITS has {bad[0]!r}; give a step and seconds, like lora=300")
    other = {name: float(seconds) for name, _, seconds in (text.partition("=") for text in LIMITS)}
    return {
        name: other.get(name, TINY_SECONDS if TINY else seconds)
        for name, seconds in SECONDS.items()
        if not STEPS or name in STEPS
    }


WORK = {
    "versions": check_versions,
    "speed": check_speed,
    "passes": check_passes,
    "head": check_head,
    "unsharded": check_unsharded,
    "lean": check_lean,
    "run": check_run,
    "half_fsdp2": lambda: dry_run("half", sharded_memory("half"), SHARDED),
    "half": lambda: dry_run("half", planned_memory("half"), []),
    "lora": lambda: dry_run("14B", planned_memory("14B", lora_rank=32), [], "--use-lora", "--learning-rate", "5e-5"),
}


def main() -> None:
    if TINY:
        globals().update(TINY_VALUES)
    if STEP:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        WORK[STEP]()
        return
    chosen = limits()
    if not TINY and not visible_gpus():
        raise InputError("no GPU is visible: look with nvidia-smi -L, or run with --tiny")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # ends the step, too
    lines, deadline, output = [], time.monotonic(), Path(OUTPUT).resolve()
    with open(output, "a", encoding="utf-8") as file:
        for name, seconds in chosen.items():
            deadline += seconds
            with tempfile.TemporaryDirectory(dir=output.parent) as folder:
                lines.append(run_step(name, deadline - time.monotonic(), folder))
            print(json.dumps(lines[-1]), file=file, flush=True)
            print(f"{name}: {lines[-1]['fault'] or 'measured'}", file=sys.stderr)
        table = markdown(lines)
        print(json.dumps({"table": table}), file=file)
    print(f"{table}\n\nwritten: {OUTPUT}")


if __name__ == "__main__":
    override_constants(globals())
    run_main(main)

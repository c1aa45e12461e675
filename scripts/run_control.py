"""What watches a training run: its log files, stop signals, checkpoints, held-out control and sentinels.

It is not the trainer (code_trainer.py): everything here works on files and plain numbers, without torch,
so that it can be read and tested without a model.

Files, all in the run's OUTPUT_DIR:
    metrics.jsonl      a line a step
    completions.jsonl  a line a completion, with its verdict, reward parts and advantage
    profile.jsonl      a line a task: how the model does on it before training (where that is asked for)
    heldout.jsonl      a line a check on tasks that are not trained on
    STOPPED.json       why and where a run stopped before its last step; gone when it goes on
"""

import fcntl
import json
import math
import os
import pickle
import re
import signal
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from code_tasks import InputError, check_writable
from eval_statistics import mcnemar_exact, wilson_interval

METRICS_LOG = "metrics.jsonl"
COMPLETIONS_LOG = "completions.jsonl"
HELDOUT_LOG = "heldout.jsonl"
PROFILE_LOG = "profile.jsonl"
STOPPED_FILE = "STOPPED.json"
CONFIG_FILE = "config.json"

# Sentinels
PATIENCE = 3  # bad steps in a row before a run is stopped: one may be chance
FEW_WEIGHTS_CHANGED = 0.05  # share a step; below it most updates round away, as with bfloat16 master weights
LARGE_UPDATE = 0.05  # norm of an update over that of the weights; 0.001 is usual
ENTROPY_COLLAPSE = 0.1  # of the entropy of the first steps; below it the members of a group hardly differ
MANY_TIMEOUTS = 0.5  # share of completions; above it the reward measures the machine's load
MANY_OPEN_THOUGHTS = 0.5  # share of completions; they have no answer to learn from
NO_SIGNAL = 0.9  # share of constant groups; above it nearly every completion is made for nothing
SIGNIFICANT = 0.05  # p value below which a fall on the held-out tasks is no chance

ZIP_END_BYTES = 22  # the record that ends an archive without a comment


class RunError(Exception):
    """A run that cannot go on through no fault of its input; the message says what to do."""


class StopSignal:
    """Turns the first SIGTERM or SIGINT into a note that the trainer reads between two steps.

    A second signal has its default effect: it ends the process at once. `number` is that of the first, or 0.
    """

    def __init__(self) -> None:
        self.number = 0

    @property
    def name(self) -> str:
        return signal.Signals(self.number).name if self.number else ""

    def install(self) -> "StopSignal":
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: Any) -> None:
        self.number = number
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        os.write(2, f"\n{self.name}: finishing the step and saving; a second signal ends at once\n".encode())


@dataclass(frozen=True)
class Rollout:
    """One completion and what became of it.

    `verdict` is a sandbox.Verdict. `reward` is None, and `reward_parts` empty, where a score that it needs is
    missing: the verdict is INFRA, or a judge gave none.
    """

    task_id: str
    completion: str
    code: str
    verdict: Any
    reward: float | None
    reward_parts: Mapping[str, float]
    tokens: int
    truncated: bool
    advantage: float = 0.0
    judgement: Any = None  # a judge_rubric.Judgement, where a judge was asked
    used: bool = True  # False: its group taught nothing and gave its place in the update to another
    thinking: str = "none"  # a think block: "closed" before the answer, or "open" to the end

    @property
    def status(self) -> str:
        """The verdict's status, but FAIL for a truncated completion that passes by chance."""
        return "FAIL" if self.truncated and self.verdict.status != "INFRA" else self.verdict.status

    @property
    def kind(self) -> str:
        """What became of it: the verdict's kind, but "truncated" where it was cut, whatever was in it."""
        return "truncated" if self.truncated and self.verdict.status != "INFRA" else self.verdict.kind

    def record(self) -> dict:
        """The rollout's line: the verdict without its seconds, which differ from run to run."""
        verdict = {name: value for name, value in self.verdict.as_dict().items() if name != "seconds"}
        return {**asdict(self), "verdict": verdict}


class RunLog:
    """The run's JSON-lines files; every line bears its step, so that a resume can cut what comes after."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def append(self, name: str, records: Iterable[dict]) -> None:
        """Adds a line a record and hands them to the kernel, so that a killed process loses none.

        Raises RunError where the disk takes no more.
        """
        text = "".join(json.dumps(finite(record)) + "\n" for record in records)
        try:
            with open(self.folder / name, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise RunError(f"{self.folder / name} could not be written ({error.strerror}): free some space, "
                           "and the same command goes on from the newest whole checkpoint") from error

    def read(self, name: str, until: int) -> list[dict]:
        """The records of a file up to and with step `until`."""
        path = self.folder / name
        return [json.loads(line) for line in whole_lines(path, until)] if path.exists() else []

    def keep_until(self, step: int) -> None:
        """Drops what was logged after `step`: a resumed run makes those steps, and their lines, again."""
        for path in (self.folder / name for name in (METRICS_LOG, COMPLETIONS_LOG, HELDOUT_LOG)):
            if path.exists():
                kept = path.with_name(path.name + ".tmp")
                with open(kept, "w", encoding="utf-8") as file:
                    file.writelines(whole_lines(path, step))
                os.replace(kept, path)

    def write_constants(self, values: Mapping[str, Any]) -> None:
        """Writes the run's constants into config.json, beside what a saved model has put there."""
        path = self.folder / CONFIG_FILE
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.write_json(CONFIG_FILE, {**before, **values})

    def write_stopped(self, reason: str, step: int) -> None:
        """Leaves the mark of a run that ended before its last step."""
        self.write_json(STOPPED_FILE, {"reason": reason, "step": step})

    def write_json(self, name: str, value: dict) -> None:
        """Writes a file that appears whole or not at all."""
        partial = self.folder / (name + ".tmp")
        partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, self.folder / name)


def whole_lines(path: Path, until: int) -> Iterator[str]:
    """The lines up to and with step `until`; a last line that a killed process left half written is none."""
    with open(path, encoding="utf-8") as file:
        yield from (line for line in file if line.endswith("\n") and json.loads(line)["step"] <= until)


def finite(value: Any) -> Any:
    """The value with NaN and infinities as None, because JSON has neither."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_folder(folder: str, values: Mapping[str, Any], free: Iterable[str], resume: bool) -> None:
    """Refuses an OUTPUT_DIR that holds something else than this run's own earlier part.

    `values` are the run's constants; those named in `free` may differ from the earlier part's.
    """
    directory, here = Path(folder).resolve(), Path.cwd().resolve()
    if directory == here or directory in here.parents:
        raise InputError(f"OUTPUT_DIR {folder} holds the current folder; give a folder of the run's own")
    check_writable("OUTPUT_DIR", folder)
    config = directory / CONFIG_FILE
    if not config.exists():
        return
    before = {name: value for name, value in json.loads(config.read_text()).items() if name.isupper()}
    if not before:
        raise InputError(f"OUTPUT_DIR {folder} holds a model that this script did not train; give another")
    if not resume:
        raise InputError(f"OUTPUT_DIR {folder} holds a run already; give another, or leave out --no-resume")
    changed = [f"{name} {before[name]!r} -> {value!r}" for name, value in values.items()
               if name not in free and name in before and before[name] != value]
    if changed:
        raise InputError(f"OUTPUT_DIR {folder} holds a run with other constants ({', '.join(changed)}); "
                         "give another folder, or the same constants")


def hold_folder(folder: str) -> None:
    """Keeps other runs out of a folder until this process ends, however it ends; raises InputError where one is in it.

    A file system without such locks holds nothing.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)  # never closed: the lock goes with the process
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"OUTPUT_DIR {folder} is in use by another run; wait for its end, or give another") from None
    except OSError:
        os.close(handle)


def resume_point(folder: str, processes: int) -> Path | None:
    """The checkpoint to go on from, None for a new run; what was logged after it is cut off."""
    checkpoint, broken = newest_complete_checkpoint(folder, processes)
    for line in broken:
        print(line)
    if checkpoint:
        print(f"resume   {checkpoint}", flush=True)
    if os.environ.get("RANK", "0") == "0":
        RunLog(folder).keep_until(checkpoint_step(checkpoint) if checkpoint else 0)
        (Path(folder) / STOPPED_FILE).unlink(missing_ok=True)
    return checkpoint


def newest_complete_checkpoint(folder: str | Path, processes: int) -> tuple[Path | None, list[str]]:
    """The checkpoint to resume from, and a line for each newer one that is not whole.

    A checkpoint is whole when its files, or the shards that its index names, are there and as long as their own
    headers tell, the random generators of every process are there, and so is trainer_state.json, the last to be
    written.
    """
    found = [path for path in Path(folder).glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    broken = []
    for path in sorted(found, key=checkpoint_step, reverse=True):
        fault = checkpoint_fault(path, processes)
        if not fault:
            return path, broken
        broken.append(f"{path} is not whole ({fault}): taking the one before")
    return None, broken


def checkpoint_step(path: Path) -> int:
    return int(path.name.split("-")[1])


def checkpoint_fault(path: Path, processes: int) -> str:
    """What is missing or cut short in a checkpoint, or ""."""
    try:
        state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "trainer_state.json is absent or cut short"
    if state.get("global_step") != checkpoint_step(path):
        return f"trainer_state.json is of step {state.get('global_step')}"
    ranks = [f"_{rank}" for rank in range(processes)] if processes > 1 else [""]
    generators = [f"rng_state{rank}.pth" for rank in ranks]
    wanted = [*generators, "scheduler.pt", "optimizer*", "*model*"]
    absent = [pattern for pattern in wanted if not any(path.glob(pattern))]
    if absent:
        return f"no {absent[0]} for a run of {processes} process(es)"
    for folder in sorted(file for file in path.iterdir() if file.is_dir()):
        if fault := shards_fault(folder):
            return fault
    cut = [str(file.relative_to(path)) for file in sorted(path.rglob("*")) if file.is_file() and not is_whole(file)]
    return f"{cut[0]} is cut short" if cut else ""


def shards_fault(folder: Path) -> str:
    """What is missing in a folder of shards, or "": its .metadata is written last and names every file."""
    index = folder / ".metadata"
    if not index.exists():
        return f"no {folder.name}/.metadata"
    data = index.read_bytes()
    names = sorted({name.decode() for name in re.findall(rb"__\d+_\d+\.distcp", data)})
    if not names or not data.endswith(pickle.STOP):
        return f"{folder.name}/.metadata is cut short"
    return next((f"no {folder.name}/{name}" for name in names if not (folder / name).exists()), "")


def is_whole(file: Path) -> bool:
    """False where the length of a .safetensors, .pt, .pth or .distcp file contradicts its header or trailer."""
    if file.suffix in (".pt", ".pth"):
        return zipfile.is_zipfile(file)
    if file.suffix == ".distcp":  # a row of archives: the end of the last one is the end of the file
        with open(file, "rb") as stream:
            stream.seek(-min(ZIP_END_BYTES, file.stat().st_size), os.SEEK_END)
            return stream.read().startswith(b"PK\x05\x06")
    if file.suffix != ".safetensors":
        return True
    with open(file, "rb") as stream:
        header_bytes = int.from_bytes(stream.read(8), "little")
        if not 0 < header_bytes <= file.stat().st_size - 8:
            return False
        header = json.loads(stream.read(header_bytes))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return file.stat().st_size == 8 + header_bytes + max(ends, default=0)


def completion_records(step: int, group_size: int, rollouts: list[Rollout]) -> list[dict]:
    """The lines of completions.jsonl for one step; rollouts come group by group, and groups count from 0."""
    return [{"step": step, "group": index // group_size, **rollout.record()}
            for index, rollout in enumerate(rollouts)]


def rollout_metrics(rollouts: list[Rollout], group_size: int) -> dict[str, Any]:
    """Shares and means over one step's completions; INFRA is left out of rates and rewards."""
    scored = [rollout for rollout in rollouts if rollout.reward is not None]
    executed = [rollout for rollout in rollouts if rollout.verdict.status != "INFRA"]
    asked = [rollout.judgement for rollout in rollouts if rollout.judgement and rollout.judgement.asked]
    groups = [rollouts[i : i + group_size] for i in range(0, len(rollouts), group_size)]
    return {
        "pass_rate": mean([rollout.status == "PASS" for rollout in executed]),
        "reward": mean([rollout.reward for rollout in scored]),
        "reward_parts": {
            part: mean([rollout.reward_parts[part] for rollout in scored])
            for part in (scored[0].reward_parts if scored else ())
        },
        "constant_groups": mean([is_constant(group) for group in groups]),
        "truncated": mean([rollout.truncated for rollout in rollouts]),
        "thinking": mean([rollout.thinking != "none" for rollout in rollouts]),
        "thinking_open": mean([rollout.thinking == "open" for rollout in rollouts]),
        "tokens_mean": mean([rollout.tokens for rollout in rollouts]),
        "tokens_max": max(rollout.tokens for rollout in rollouts),
        "completions": len(rollouts),
        "statuses": dict(Counter(rollout.verdict.status for rollout in rollouts)),
        "kinds": dict(Counter(rollout.kind for rollout in rollouts)),
        "judge_none": mean([judgement.score is None for judgement in asked]) if asked else None,
    }


def is_constant(group: list[Rollout]) -> bool:
    """Whether a group's members differ at most in style: nothing about correctness is learnt from it."""
    scores = {tuple(rollout.reward_parts.get(part) for part in ("correctness", "judge"))
              for rollout in group if rollout.reward is not None}
    return len(scores) < 2


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def step_line(record: Mapping[str, Any], max_steps: int) -> str:
    """One step, a line of metrics.jsonl, as a line for a terminal or a container's log."""
    def shown(name: str, form: str) -> str:
        value = record[name]
        return format(math.nan if value is None else value, form)

    seconds, parts, judged = record["seconds"], record.get("reward_parts", {}), ""
    if "judge" in parts:
        judged = "".join(f"  {part} {parts[part]:+.3f}" for part in ("correctness", "judge") if part in parts)
    if record.get("judge_none") is not None:
        judged += f"  not judged {record['judge_none']:.0%}"
    return (f"step {record['step']:>{len(str(max_steps))}}/{max_steps}"
            f"  pass {shown('pass_rate', '6.1%')}  reward {shown('reward', '+.3f')}{judged}"
            f"  constant groups {shown('constant_groups', '4.0%')}  truncated {shown('truncated', '4.0%')}"
            f"  entropy {shown('entropy', '.3f')}  seconds: generate {seconds['generate']:.2f}"
            f" reward {seconds['reward']:.2f} update {seconds['update']:.2f}")


def profile_records(rollouts: list[Rollout]) -> list[dict]:
    """What several completions of each task got before training, a line a task (profile.jsonl)."""
    scores: dict[str, list[float]] = {}
    passes: Counter = Counter()
    for rollout in rollouts:
        if rollout.reward is not None:
            scores.setdefault(rollout.task_id, []).append(rollout.reward_parts["correctness"])
            passes[rollout.task_id] += rollout.status == "PASS"
    return [{"step": 0, "task_id": task_id, "samples": len(values),
             "pass_rate": passes[task_id] / len(values), "correctness": values}
            for task_id, values in scores.items()]


def constant_share(profile: list[dict], group_size: int) -> float:
    """The share of constant groups to expect: a task's chance that its group gets one score throughout."""
    return mean([sum((count / record["samples"]) ** group_size
                     for count in Counter(record["correctness"]).values()) for record in profile])


def profile_table(profile: list[dict]) -> str:
    """How many tasks have which pass rate, as a bar for each tenth; never and always stand by themselves."""
    classes = Counter("never" if record["pass_rate"] == 0 else "always" if record["pass_rate"] == 1 else
                      f"{int(record['pass_rate'] * 10) * 10:3} %" for record in profile)
    names = ["never", *(f"{tenth:3} %" for tenth in range(0, 100, 10)), "always"]
    widest = max(classes.values(), default=1)
    return "\n".join(f"{name:>8} {classes[name]:6} {'#' * (50 * classes[name] // widest)}" for name in names)


def heldout_record(step: int, statuses: Mapping[str, str], first: Mapping[str, str]) -> dict[str, Any]:
    """One held-out check, paired task by task with the first; both map a task's id to its status.

    A task that is INFRA was not measured: it counts neither in the rate nor in the pairs.
    """
    measured = [status for status in statuses.values() if status != "INFRA"]
    passed, gained, lost = measured.count("PASS"), *changes(first, statuses)
    return {
        "step": step,
        "n": len(measured),
        "passed": passed,
        "pass_rate": passed / max(len(measured), 1),
        "interval": wilson_interval(passed, len(measured)) if measured else (0.0, 1.0),
        "gained": gained,
        "lost": lost,
        "p": mcnemar_exact(gained, lost),
        "statuses": dict(statuses),
    }


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[int, int]:
    """How many tasks pass now that did not before, and the other way round."""
    both = [(before[task] == "PASS", now[task] == "PASS") for task in now
            if "INFRA" not in (now[task], before.get(task, "INFRA"))]
    return both.count((False, True)), both.count((True, False))


def best_heldout(history: list[dict]) -> dict:
    """The check with the highest pass rate, the earliest of equals."""
    return max(history, key=lambda record: record["pass_rate"])


def heldout_line(history: list[dict]) -> str:
    """The newest held-out check as a line."""
    now = history[-1]
    low, high = now["interval"]
    line = (f"held-out after step {now['step']}: {now['passed']}/{now['n']} pass ({now['pass_rate']:.1%}, "
            f"95 % interval {low:.1%} to {high:.1%})")
    if len(history) > 1:
        line += f"; against step {history[0]['step']}: +{now['gained']} -{now['lost']}, p {now['p']:.2g}"
        line += f"; best after step {best_heldout(history)['step']}"
    return line


def gap_warning(history: list[dict], metrics: list[dict]) -> str:
    """A line where training got better since the check before, while held-out got worse than at its best."""
    best, now = best_heldout(history), history[-1]
    gained, lost = changes(best["statuses"], now["statuses"])
    if len(history) < 3 or lost <= gained or mcnemar_exact(gained, lost) >= SIGNIFICANT:
        return ""
    earlier, before = history[-3:-1]
    rise = train_rate(metrics, before, now) - train_rate(metrics, earlier, before)
    if not rise > 0:
        return ""
    return (f"warning: the training pass rate rose by {rise:.1%} while the held-out one is worse than after step "
            f"{best['step']} (+{gained} -{lost}): the run may be learning its own tasks, or a fault in their tests; "
            f"read the newest passes in {COMPLETIONS_LOG}")


def train_rate(metrics: list[dict], earlier: dict, later: dict) -> float:
    """The mean training pass rate of the steps between two held-out checks."""
    return mean([step["pass_rate"] for step in metrics
                 if earlier["step"] < step["step"] <= later["step"] and step["pass_rate"] is not None])


def checks_without_gain(history: list[dict]) -> int:
    """How many checks came after the best one."""
    return sum(record["step"] > best_heldout(history)["step"] for record in history)


@dataclass(frozen=True)
class Alarm:
    """Something that a sentinel saw; `stop` where going on is pointless."""

    message: str
    stop: bool = False


def alarms(metrics: list[dict]) -> list[Alarm]:
    """What is wrong with the newest step, in the light of those before it (lines of metrics.jsonl)."""
    return [alarm for sentinel in SENTINELS if (alarm := sentinel(metrics))]


def infra_alarm(metrics: list[dict]) -> Alarm | None:
    steps = lasting(metrics, lambda step: set(step["statuses"]) == {"INFRA"})
    if not steps:
        return None
    return Alarm("the sandbox failed on every completion, so nothing was learnt: try scripts/sandbox.py by "
                 "itself", stop=steps >= PATIENCE)


def judge_alarm(metrics: list[dict]) -> Alarm | None:
    steps = lasting(metrics, lambda step: step.get("judge_none") == 1)
    if not steps:
        return None
    return Alarm(f"the judge scored no completion, so nothing was learnt: see its errors in {COMPLETIONS_LOG}, and "
                 "whether its server runs", stop=steps >= PATIENCE)


def gradient_alarm(metrics: list[dict]) -> Alarm | None:
    steps = lasting(metrics, lambda step: step["grad_norm"] is None)
    if not steps:
        return None
    return Alarm("the gradient is not finite, so the weights were left as they are: lower LEARNING_RATE",
                 stop=steps >= PATIENCE)


def entropy_alarm(metrics: list[dict]) -> Alarm | None:
    start = mean([step["entropy"] for step in metrics[:PATIENCE] if step["entropy"] is not None])
    if lasting(metrics, lambda step: (step["entropy"] or 0.0) < ENTROPY_COLLAPSE * start) != PATIENCE:
        return None
    return Alarm(f"the entropy fell below {ENTROPY_COLLAPSE:.0%} of its start, {start:.3f}: the completions "
                 "of a prompt hardly differ; raise TEMPERATURE or lower LEARNING_RATE")


def timeout_alarm(metrics: list[dict]) -> Alarm | None:
    def many(step: dict) -> bool:
        return step["kinds"].get("timeout", 0) > MANY_TIMEOUTS * step["completions"]

    if lasting(metrics, many) != 1:
        return None
    return Alarm(f"more than {MANY_TIMEOUTS:.0%} of the completions timed out: lower SANDBOX_WORKERS or "
                 "raise SANDBOX_TIMEOUT")


def thinking_alarm(metrics: list[dict]) -> Alarm | None:
    if lasting(metrics, lambda step: step.get("thinking_open", 0) > MANY_OPEN_THOUGHTS) != 1:
        return None
    return Alarm(f"more than {MANY_OPEN_THOUGHTS:.0%} of the completions never end their thoughts: raise "
                 "MAX_COMPLETION_LENGTH, or set ENABLE_THINKING to False")


def constant_alarm(metrics: list[dict]) -> Alarm | None:
    if lasting(metrics, lambda step: step["constant_groups"] > NO_SIGNAL) != PATIENCE:
        return None
    return Alarm(f"more than {NO_SIGNAL:.0%} of the groups are constant, so hardly anything is learnt: pick "
                 "the tasks that are solved sometimes with PROFILE_SAMPLES, or raise MAX_REFILLS")


def small_update_alarm(metrics: list[dict]) -> Alarm | None:
    def still(step: dict) -> bool:
        moves = step["grad_norm"] and step["learning_rate"]
        return bool(moves) and step["weights_changed"] < FEW_WEIGHTS_CHANGED

    if lasting(metrics, still) != PATIENCE:
        return None
    return Alarm(f"a step changes only {metrics[-1]['weights_changed']:.1%} of the weights, as updates round "
                 "away: keep the weights in float32 or raise LEARNING_RATE")


def large_update_alarm(metrics: list[dict]) -> Alarm | None:
    if lasting(metrics, lambda step: step["update_ratio"] > LARGE_UPDATE) != 1:
        return None
    return Alarm(f"an update is {metrics[-1]['update_ratio']:.1%} of the weights: lower LEARNING_RATE")


SENTINELS = (infra_alarm, judge_alarm, gradient_alarm, entropy_alarm, timeout_alarm, thinking_alarm, constant_alarm,
             small_update_alarm, large_update_alarm)


def lasting(metrics: list[dict], condition: Callable[[dict], bool]) -> int:
    """For how many steps, up to the newest, a condition has held."""
    return next((count for count, step in enumerate(reversed(metrics)) if not condition(step)), len(metrics))

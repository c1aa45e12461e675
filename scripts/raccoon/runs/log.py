"""A run's logs: its files, the completions and steps that are their lines, and a step as a line for a terminal.

It works on files and plain numbers, without torch, so that it can be tested without a model. Files, in OUTPUT_DIR:
    metrics.jsonl      a line for each step
    completions.jsonl  a line for each completion, with its verdict, reward parts and advantage
    profile.jsonl      a line for each task: its results before training (only with PROFILE_SAMPLES)
    heldout.jsonl      a line for each check on tasks that are not trained on
    STOPPED.json       why and at which step a run stopped early; deleted when the run continues
    config.json        every constant, under "ended" what ended a finished run (the last step or an early stop), and
                       under "versions" those of Python and the libraries
"""

import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raccoon.constants import InputError, RunError
from raccoon.records import UNEXPECTED_SHARED, Verdict, infra_cause, named_counts
from raccoon.statistics import mean
from raccoon.store import LineFile, parse_json, versions, whole_file, write_json

METRICS_LOG = "metrics.jsonl"
COMPLETIONS_LOG = "completions.jsonl"
HELDOUT_LOG = "heldout.jsonl"
PROFILE_LOG = "profile.jsonl"
STOPPED_FILE = "STOPPED.json"
CONFIG_FILE = "config.json"
# What TRL measures, under its own names: metrics.jsonl has these beside this project's, so that other tools can read it
TRL_NAMES = (
    "reward_std", "frac_reward_zero_std", "completions/mean_length", "completions/clipped_ratio",
    "clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean", "step_time",
)  # fmt: skip
PIECE = 20  # characters; shorter pieces of code stand in a completion more than once by chance
TAIL = 500  # characters of the end of a completion, where it repeats itself if it does not end
# What the seconds of a line of metrics.jsonl are divided into, each a mean over the processes. "wait" is for the
# slowest process after the reward. Beside the step itself: "heldout" is a check after it, or before the first step;
# "checkpoint" was written before it.
STEP_PARTS = ("generate", "reward", "wait", "update")
TIMED = (*STEP_PARTS, "heldout", "checkpoint")
MOST_STEPS = 1_000_000  # of which gaps are looked for: a damaged line may hold any number
SHOWN_STEPS = 5  # by number, of those that a log lacks
RECENT_STEPS = 20  # whose mean time tells how long the rest will take


class RunLog:
    """The run's JSON-lines files. Every line holds its step, so that a resumed run can delete later lines."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def append(self, name: str, records: Iterable[dict]) -> None:
        """Appends a line for each record. Raises RunError if the file cannot be written."""
        try:
            LineFile(self.folder / name).append(map(finite, records))
        except OSError as error:
            raise RunError(
                f"{self.folder / name} could not be written ({error.strerror}): free some space, and give "
                "the same command to continue from the newest whole checkpoint"
            ) from error

    def read(self, name: str, until: float = math.inf) -> list[dict]:
        """The records of a file up to and including step `until`; [] if the file does not exist."""
        rows = LineFile(self.folder / name).rows()
        return [row for where, row in rows if step_of(row, where) <= until]

    def keep_until(self, step: int) -> None:
        """Deletes the lines logged after `step`, because a resumed run repeats those steps and logs them again."""
        for path in (self.folder / name for name in (METRICS_LOG, COMPLETIONS_LOG, HELDOUT_LOG)):
            if path.exists():
                with whole_file(path) as file:
                    file.writelines(
                        line
                        for where, line in LineFile(path).lines()
                        if step_of(parse_json(line, where), where) <= step
                    )

    def gaps(self, until: int, checked: int) -> list[str]:
        """What the logs lack of the steps up to `until`, and of the held-out checks up to `checked`, a line for each.

        A line that was cut or deleted leaves no other trace. In metrics.jsonl the number of completions drawn says how
        many lines of completions.jsonl a step has; a step without seconds of generation has none.
        """
        until, checked = min(until, MOST_STEPS), min(checked, MOST_STEPS)
        steps = {row["step"]: row for row in self.read(METRICS_LOG, until)}
        found = [f"{METRICS_LOG} lacks {named_steps(set(range(1, until + 1)) - set(steps))}"]
        if (self.folder / COMPLETIONS_LOG).is_file():
            logged = Counter(self.steps_of(COMPLETIONS_LOG))
            drawn = {step: row["completions"] for step, row in steps.items() if generated(row)}
            found += [
                f"{COMPLETIONS_LOG} lacks lines of {named_steps(step for step in drawn if logged[step] < drawn[step])}"
            ]
        config = self.read_config()
        every, last = config.get("HELDOUT_EVERY"), config.get("MAX_STEPS") if "versions" in config else None
        if (self.folder / HELDOUT_LOG).is_file() and isinstance(every, int) and every > 0:
            # The last step is checked too, unlike in version 0.2.0, whose config.json has no versions
            due = {*range(0, checked + 1, every), *([last] if isinstance(last, int) and last <= checked else [])}
            found += [f"{HELDOUT_LOG} lacks the check after {named_steps(due - {*self.steps_of(HELDOUT_LOG)})}"]
        return [line for line in found if not line.endswith(" ")]

    def steps_of(self, name: str) -> Iterator[int]:
        """The step of each line. A line that begins with it, as this project's do, is not parsed."""
        for where, line in LineFile(self.folder / name).lines():
            begins = re.match(rb'\{"step": (\d+)[,}]', line)
            yield int(begins[1]) if begins else step_of(parse_json(line, where), where)

    def write_constants(self, values: Mapping[str, Any], ended: str = "") -> None:
        """Writes the run's constants and versions into config.json, beside a saved model's keys; `ended` as there."""
        kept = {**self.read_config(), **values, "ended": ended, "versions": versions()}
        write_json(self.folder / CONFIG_FILE, kept)

    def read_config(self) -> dict[str, Any]:
        """config.json; {} if there is none, or if a run was killed while it wrote its model."""
        path = self.folder / CONFIG_FILE
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError:
            return {}

    def write_stopped(self, reason: str, step: int) -> None:
        """Marks a run that ended before its last step."""
        write_json(self.folder / STOPPED_FILE, {"reason": reason, "step": step})


def step_of(row: Mapping[str, Any], where: str) -> int:
    """The step of a line. Raises InputError, which begins with `where`, if it has none."""
    step = row.get("step")
    if not isinstance(step, int) or isinstance(step, bool):
        raise InputError(f"{where}: its step is {step!r}, not a whole number; correct or delete the line")
    return step


def generated(row: Mapping[str, Any]) -> bool:
    """Whether a line of metrics.jsonl counts completions that were drawn in its own step."""
    seconds = row.get("seconds")
    return isinstance(row.get("completions"), int) and isinstance(seconds, dict) and bool(seconds.get("generate"))


def named_steps(steps: Iterable[int]) -> str:
    """Steps in words, the first ones by number; "" for none."""
    numbers = sorted(steps)
    more = f" and {len(numbers) - SHOWN_STEPS} more" if len(numbers) > SHOWN_STEPS else ""
    shown = ", ".join(map(str, numbers[:SHOWN_STEPS]))
    return f"step{'s' * (len(numbers) > 1)} {shown}{more}" if numbers else ""


def finite(value: Any) -> Any:
    """The value with None for NaN and infinities, because JSON has neither."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(record: Mapping[str, Any], name: str) -> float:
    """A number of a logged record; NaN (every comparison with it is False) if it was not finite or is missing."""
    value = record.get(name)
    return math.nan if value is None else value


@dataclass(frozen=True)
class Turn:
    """One answer of a conversation. `feedback` is the message that followed it; "" after the last answer."""

    completion: str
    code: str
    verdict: Verdict
    tokens: int
    truncated: bool
    feedback: str = ""


@dataclass(frozen=True)
class Rollout:
    """One completion with its verdict, reward and advantage. In a run with several turns it is the last answer.

    `reward` is None, and `reward_parts` is empty, if a score that it needs is missing: the verdict is INFRA, or a judge
    gave none.
    """

    task_id: str
    completion: str
    code: str
    verdict: Verdict
    reward: float | None
    reward_parts: dict[str, float]
    tokens: int
    truncated: bool
    advantage: float | None = 0.0  # None: not finite, in a log
    judgement: Any = None  # an llm.llm_judge.Judgement, if a judge was asked
    used: bool = True  # False: another group took the place of its group in the update
    thinking: str = "none"  # a think block: "closed" before the answer, or "open" until the end
    constant: bool = False  # whether its answer ignores its arguments, like `return 2`
    given_status: str = ""  # by the given tests, if the task has new ones; `verdict` is that of all tests
    turns: tuple[Turn, ...] = ()  # every answer, also the last; () in a run with one turn

    @property
    def status(self) -> str:
        """The status that was rewarded: FAIL for a truncated completion, even one that passes by chance."""
        return "FAIL" if self.truncated else self.verdict.status

    @property
    def kind(self) -> str:
        """The verdict's kind; "truncated" for any completion that was cut."""
        return "truncated" if self.truncated else self.verdict.kind

    def record(self) -> dict:
        """The rollout as a record; its verdicts lack the seconds, which differ from run to run."""
        record = {**asdict(self), "verdict": lasting_fields(self.verdict)}
        turns = [{**asdict(turn), "verdict": lasting_fields(turn.verdict)} for turn in self.turns]
        del record["turns"]
        if not self.given_status:
            del record["given_status"]
        return record | ({"turns": turns} if turns else {})


def lasting_fields(verdict: Verdict) -> dict:
    """A verdict's fields without the seconds. Its feedback stands in the turn that it belongs to."""
    return {name: value for name, value in verdict.as_dict().items() if name not in ("seconds", "feedback")}


def completion_records(step: int, group_size: int, rollouts: list[Rollout]) -> list[dict]:
    """The lines of completions.jsonl for one step. Rollouts come group by group; groups are numbered from 0."""
    return [{"step": step, "group": index // group_size, **rollout.record()} for index, rollout in enumerate(rollouts)]


def rollout_metrics(rollouts: list[Rollout], group_size: int, turns: int = 1) -> dict[str, Any]:
    """Shares and means over one step's completions. INFRA is left out of rates and rewards.

    Pass rate and rewards are those of the groups that are trained on. Everything else also counts the completions that
    refills drew and left out: `pass_rate_drawn` is the pass rate on unselected tasks. A run with several `turns` also
    has turn_metrics().
    """
    scored = [rollout for rollout in rollouts if rollout.used and rollout.reward is not None]
    asked = [rollout.judgement for rollout in rollouts if rollout.judgement and rollout.judgement.asked]
    groups = [rollouts[i : i + group_size] for i in range(0, len(rollouts), group_size)]
    lost = [rollout for rollout in rollouts if rollout.verdict.status == "INFRA"]
    parts = scored[0].reward_parts if scored else ()
    advantages = [rollout.advantage for rollout in rollouts if rollout.used and rollout.advantage is not None]
    return {
        "pass_rate": pass_rate([rollout for rollout in rollouts if rollout.used]),
        "pass_rate_drawn": pass_rate(rollouts),
        "reward": mean([rollout.reward for rollout in scored if rollout.reward is not None]),
        "reward_parts": {part: mean([rollout.reward_parts[part] for rollout in scored]) for part in parts},
        "constant_groups": mean([is_constant(group) for group in groups]),
        "partial_groups": mean([set_apart_by(group) == "PARTIAL" for group in groups]),
        "mixed_groups": mean([set_apart_by(group) == "PASS" for group in groups]),
        "constant_answers": mean([rollout.constant for rollout in rollouts]),
        "unused_groups": dict(Counter(why_unused(group) for group in groups if not group[0].used)),
        "truncated": mean([rollout.truncated for rollout in rollouts]),
        "repetition": mean([repetition(rollout.completion) for rollout in rollouts]),
        "advantage_std": statistics.pstdev(advantages) if advantages else None,
        "thinking": mean([rollout.thinking != "none" for rollout in rollouts]),
        "thinking_open": mean([rollout.thinking == "open" for rollout in rollouts]),
        "tokens_mean": mean([rollout.tokens for rollout in rollouts]),
        "tokens_max": max(rollout.tokens for rollout in rollouts),
        "completions": len(rollouts),
        "statuses": dict(Counter(rollout.verdict.status for rollout in rollouts)),
        "kinds": dict(Counter(rollout.kind for rollout in rollouts)),
        "infra": dict(Counter(infra_cause(rollout.verdict.reason, rollout.task_id) for rollout in lost)),
        "infra_beside": sum(beside_verdicts(group) for group in groups),
        "shared_refused": sum(rollout.verdict.reason == UNEXPECTED_SHARED for rollout in rollouts),
        "judge_none": mean([judgement.score is None for judgement in asked]) if asked else None,
        **(turn_metrics(rollouts, turns) if turns > 1 else {}),
        **given_metrics(rollouts),
    }


def given_metrics(rollouts: list[Rollout]) -> dict[str, Any]:
    """With new tests, the share that passes the given ones, and which share of these PASS only they give."""
    known = [rollout for rollout in rollouts if rollout.given_status not in ("", "INFRA")]
    passed = [rollout.status == "PASS" for rollout in known if rollout.given_status == "PASS"]
    if not known:
        return {}
    return {"pass_rate_given": len(passed) / len(known), "weak_passes": 1 - mean(passed) if passed else None}


def repetition(text: str) -> float:
    """The share of the pieces at the end of a text that stand there before; white space counts as one blank."""
    tail = " ".join(text[-2 * TAIL :].split())[-TAIL:]
    pieces = [tail[place : place + PIECE] for place in range(len(tail) - PIECE + 1)]
    return 1 - len(set(pieces)) / len(pieces) if pieces else 0.0


def turn_metrics(rollouts: list[Rollout], turns: int) -> dict[str, Any]:
    """What further turns gain. `pass_by_turn` is the share solved in the first turn, in the first two, and so on.

    Its last number is the pass rate. `repaired` is the share of conversations with a second turn that pass in the end.
    """
    used = [rollout for rollout in rollouts if rollout.used]
    return {
        "pass_by_turn": [pass_rate(used, turn) for turn in range(1, turns + 1)],
        "turns_mean": mean([len(rollout.turns) for rollout in rollouts]),
        "repaired": pass_rate([rollout for rollout in rollouts if len(rollout.turns) > 1]),
        "cut_at_first": mean([rollout.turns[0].truncated for rollout in rollouts]),
    }


def pass_rate(rollouts: list[Rollout], turns: float = math.inf) -> float:
    """The share that pass, within so many turns; INFRA is left out."""
    measured = [rollout for rollout in rollouts if rollout.status != "INFRA"]
    return mean([rollout.status == "PASS" and len(rollout.turns) <= turns for rollout in measured])


def is_constant(group: list[Rollout]) -> bool:
    """Whether a group's members differ at most in style, so that it teaches nothing about correctness."""
    scored = [rollout.reward_parts for rollout in group if rollout.reward is not None]
    return len({(parts.get("correctness"), parts.get("judge")) for parts in scored}) < 2


def set_apart_by(group: list[Rollout]) -> str:
    """How the members of a group differ in correctness: "PASS" if some pass, else "PARTIAL"; "" if they do not."""
    scored = [rollout for rollout in group if rollout.reward is not None]
    if len({rollout.reward_parts.get("correctness") for rollout in scored}) < 2:
        return ""
    return "PASS" if any(rollout.status == "PASS" for rollout in scored) else "PARTIAL"


def beside_verdicts(group: list[Rollout]) -> int:
    """How many members of a group are INFRA while others have a verdict: the code then seems to decide it."""
    lost = sum(rollout.verdict.status == "INFRA" for rollout in group)
    return lost if lost < len(group) else 0


def why_unused(group: list[Rollout]) -> str:
    """Why a group is not trained on: all its scored members are alike, or enough other groups were found."""
    if not is_constant(group):
        return "not needed"
    passed = {rollout.status == "PASS" for rollout in group if rollout.reward is not None}
    return "all right" if passed == {True} else "all wrong" if passed == {False} else "other constant"


def seconds_left(metrics: Sequence[Mapping[str, Any]], max_steps: int) -> float:
    """How long the rest of the steps will take, by the newest ones; NaN if they have no times."""
    recent = [step["seconds"] for step in metrics[-RECENT_STEPS:] if step.get("seconds")]
    return (max_steps - metrics[-1]["step"]) * mean([sum(seconds.values()) for seconds in recent])


def duration(seconds: float) -> str:
    """A length of time with two units at most: 45 s, 12 min, 3 h 20 min."""
    if not seconds >= 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def step_line(record: Mapping[str, Any], max_steps: int, left: float = math.nan) -> str:
    """A line of metrics.jsonl as a line for a terminal or a log; `left` is the time to the last step, in seconds."""
    seconds, parts, judged = record.get("seconds") or {}, record.get("reward_parts") or {}, ""
    if "judge" in parts:
        judged = "".join(f"  {part} {number(parts, part):+.3f}" for part in ("correctness", "judge") if part in parts)
    if record.get("judge_none") is not None:
        judged += f"  not judged {record['judge_none']:.0%}"
    by_turn = [math.nan if share is None else share for share in record.get("pass_by_turn") or ()]
    gains = [now - before for before, now in zip([0.0, *by_turn], by_turn, strict=False)]
    solved = f"  solved {' + '.join(f'{gain:.0%}' for gain in gains)}" if gains else ""
    return (
        f"step {record['step']:>{len(str(max_steps))}}/{max_steps}"
        f"  pass {number(record, 'pass_rate'):6.1%}{solved}  reward {number(record, 'reward'):+.3f}{judged}"
        + (f"  INFRA {named_counts(record['infra'])}" if record.get("infra") else "")
        + f"  constant groups {number(record, 'constant_groups'):4.0%}  truncated {number(record, 'truncated'):4.0%}"
        f"  entropy {number(record, 'entropy'):.3f}  seconds: generate {number(seconds, 'generate'):.2f}"
        f" reward {number(seconds, 'reward'):.2f} update {number(seconds, 'update'):.2f}"
        + ("" if math.isnan(left) else f"  left {duration(left)}")
    )

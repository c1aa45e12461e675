"""Programs and verdicts as JSON lines, for sandbox.py and over HTTP; and the version of what decides a verdict."""

import collections
import dataclasses
import functools
import hashlib
import json
import math
import os
import platform
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from raccoon.constants import InputError
from raccoon.records import ISOLATIONS, MIN_FEEDBACK, STATUSES, Program, Verdict
from raccoon.sandbox.pool import MAX_TIMEOUT

TOKEN_ENV = "SANDBOX_TOKEN"  # the environment variable with the servers' token
TEXTS = ("code", "test", "entry_point", "context", "solution", "visible_tests")
MALFORMED = "infra: malformed line"
HEARTBEAT = re.compile(rb'{"judged": (\d{1,18})}\n')
DEFAULTS = {field.name: field.default for field in dataclasses.fields(Program)}
VERDICT_FIELDS = tuple(field.name for field in dataclasses.fields(Verdict))
# What decides a verdict: the judge and its processes, and the pool that starts them
JUDGE_SOURCES = ("records.py", "sandbox", "verdicts", "child", "exchange", "test_texts")


def read_lines(
    lines: Iterable[bytes], task_ids: collections.deque, longest: float = MAX_TIMEOUT
) -> Iterator[Program | Verdict]:
    """The program of each line that is not blank, whose task_id is added to `task_ids`.

    A malformed line's verdict is INFRA and names the line. `longest` is the largest timeout in seconds.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        task_ids.append("")
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("it is not a JSON object")
            task_ids[-1] = record.get("task_id", "")
            program: Program | Verdict = checked_program(record, longest)
        except (ValueError, RecursionError) as error:
            program = Verdict.of(f"{MALFORMED} {number}: {str(error)[:200]}")
        yield program


def checked_program(record: dict, longest: float = MAX_TIMEOUT) -> Program:
    """The program of one input record. Raises ValueError that names a wrong field; other fields are ignored."""
    for name in (*TEXTS, "kind"):
        value = record.get(name)
        if not isinstance(value, str) and (value is not None or name in ("code", "test")):
            raise ValueError(f"field {name!r} is {'missing' if value is None else 'not a string'}")
    timeout = record.get("timeout")
    if timeout is not None and not (type(timeout) in (int, float) and 0 < timeout <= longest):
        raise ValueError(f"field 'timeout' is {timeout!r:.40}, not a number of seconds up to {longest:g}")
    kind = record.get("kind") or "function"
    if kind not in ("function", "program"):
        raise ValueError(f"field 'kind' is {kind!r:.40}, neither 'function' nor 'program'")
    most = record.get("max_feedback") or 0
    if type(most) is not int or most and most < MIN_FEEDBACK:
        raise ValueError(f"field 'max_feedback' is {most!r:.40}, not 0 or a whole number from {MIN_FEEDBACK} on")
    early = record.get("ends_early") or False
    if type(early) is not bool:
        raise ValueError(f"field 'ends_early' is {early!r:.40}, not true or false")
    texts: dict[str, Any] = {name: record.get(name) or "" for name in TEXTS}
    task_id = str(record.get("task_id", ""))
    return Program(task_id=task_id, timeout=timeout, kind=kind, max_feedback=most, ends_early=early, **texts)


def program_line(program: Program) -> bytes:
    """The line of a program, from which read_lines() makes an equal one."""
    record = {name: value for name, value in vars(program).items() if value != DEFAULTS.get(name)}
    return json.dumps(record).encode() + b"\n"


def verdict_line(task_id: object, verdict: Verdict) -> str:
    return json.dumps({"task_id": task_id} | verdict.as_dict()) + "\n"


def read_verdict(line: bytes) -> Verdict:
    """The verdict of a line. Raises ValueError if it is none."""
    try:
        record = json.loads(line)
        verdict = Verdict(**{name: record.get(name, "") for name in VERDICT_FIELDS})
    except (RecursionError, AttributeError) as error:
        raise ValueError(f"not a verdict line: {error}") from None
    texts = verdict.reason, verdict.output, verdict.feedback
    counts = verdict.tests_passed, verdict.tests_total
    right = verdict.status in STATUSES and verdict.isolation in ISOLATIONS and {*map(type, texts)} == {str}
    right &= {*map(type, counts)} == {int} and 0 <= counts[0] <= counts[1]
    right &= type(verdict.seconds) in (int, float) and math.isfinite(verdict.seconds)
    right &= verdict.status == Verdict.of(verdict.reason).status
    if not right:
        raise ValueError(f"not a verdict line: {line[:80]!r}")
    return verdict


def heartbeat_line(judged: int) -> bytes:
    """What a busy server sends: how many programs it has judged since its start."""
    return b'{"judged": %d}\n' % judged


def judged_count(line: bytes) -> int | None:
    """The number of a heartbeat; None for another line."""
    found = HEARTBEAT.fullmatch(line)
    return int(found[1]) if found else None


def token() -> str:
    """The servers' token from the environment, "" without one. Raises InputError, which does not show it."""
    found = os.environ.get(TOKEN_ENV, "").strip()
    if not (found.isascii() and found.isprintable()):
        raise InputError(f'{TOKEN_ENV} has characters that no header can hold; export {TOKEN_ENV}="$(uuidgen)"')
    return found


@functools.cache
def judge_version() -> str:
    """A digest of the code that decides verdicts."""
    package, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for name in JUDGE_SOURCES:
        path = package / name
        for source in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{name}/{source.name}\0".encode() + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def grading_versions() -> dict[str, str]:
    """What a verdict depends on besides the program: two machines with equal versions give equal verdicts."""
    return {"python": platform.python_version(), "judge": judge_version()}

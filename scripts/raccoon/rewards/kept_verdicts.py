"""Verdicts on trusted programs, like the tasks' own solutions, kept between runs in the user's cache folder.

The same program gets the same verdict from the same Python, libraries and sandbox, so a second run need not ask again.
INFRA, timeouts and a lack of memory are asked for again: the machine may have been busy. A line has digests and a
verdict, no code. The environment variable NANO_RACCOON_CACHE names another folder; if it is empty, nothing is kept.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from raccoon.constants import InputError, RunError
from raccoon.progress import progress_bar
from raccoon.records import Program, Verdict
from raccoon.sandbox.pool import Sandbox, surroundings
from raccoon.store import AnswerCache, digest

CACHE = "NANO_RACCOON_CACHE"  # environment variable
PASSING = ("infra", "timeout", "memory")  # kinds that another run may not have


def cache_file() -> Path:
    """Where they are kept. Without a home nothing can be written there."""
    home = os.path.expanduser("~")
    folder = os.environ.get(CACHE, f"{home}/.cache/nano-raccoon-rl" if home.startswith("/") else "")
    return Path(folder or os.devnull) / "verdicts.jsonl"


def kept_verdicts(programs: Sequence[Program], sandbox: Sandbox, what: str) -> list[Verdict]:
    """The verdicts on programs, in order; `what` names the work on a line before it and on a progress bar."""
    cache, decisive = AnswerCache(cache_file()), digest([str(part) for part in surroundings()])
    limits = sandbox.walls, sandbox.timeout, sandbox.memory_mb
    keys = [digest(decisive, limits, asdict(program)) for program in programs]
    missing = {key: program for key, program in zip(keys, programs, strict=True) if key not in cache.values}
    if missing:
        known = len(programs) - len(missing)
        again = f"; {known} are known from an earlier run" if known else ""
        print(f"checking {what}: {len(missing)} programs run{again}", flush=True)
    found = {}
    quiet = os.environ.get("RANK", "0") != "0"
    with progress_bar(total=len(missing), desc="checking", unit="program", disable=quiet) as bar:
        for key, verdict in zip(missing, sandbox.stream(missing.values()), strict=True):
            found[key] = verdict
            bar.update()
            if verdict.kind not in PASSING:
                with suppress(InputError, RunError):  # it cannot be written: the next run asks again
                    cache.put(key, verdict.as_dict())
    return [found[key] if key in found else Verdict(**cache.values[key]) for key in keys]

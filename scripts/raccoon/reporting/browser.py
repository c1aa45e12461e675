"""Chooses the completions that a run's report shows, and writes them as JSON that is safe inside a page.

A model wrote these texts: the page treats them as data, never as markup. Steps are kept whole if the first and the
last fit; otherwise whole groups are left out and counted. It reads no file; logs.py does.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raccoon.reporting.logs import Group, LoggedCompletion

# Characters of a text on the page; completions.jsonl has the whole text
MAX_TEXT = 20_000  # of a completion, its code and its prompt
MAX_OUTPUT = 2_000  # of what the code printed
MAX_LINE = 300  # of a reason, a name


@dataclass(frozen=True)
class Shown:
    """The groups of the page as JSON, and which part of the run they are."""

    json: str
    steps: int
    of_steps: int
    groups: int
    of_groups: int
    shortened: int  # texts cut at their limit


def group_json(group: Group, prompts: Mapping[str, str]) -> str:
    """A group as a JSON object, without characters that could end a script element."""
    record = {
        "step": group.step,
        "group": group.number,
        "task": shorten(group.task_id, MAX_LINE),
        "prompt": shorten(prompts.get(group.task_id, ""), MAX_TEXT),
        "used": group.completions[0].used,
        "completions": [completion_record(each) for each in group.completions],
    }
    return script_safe(json.dumps(record, separators=(",", ":")))


def completion_record(completion: LoggedCompletion) -> dict:
    """What the page shows of a completion; its code only if it is not part of the completion's text."""
    verdict, code = completion.verdict, completion.code
    return {
        "text": shorten(completion.completion, MAX_TEXT),
        "code": "" if code in completion.completion else shorten(code, MAX_TEXT),
        "output": shorten(verdict.output, MAX_OUTPUT),
        "status": shorten(completion.status, MAX_LINE),
        "reason": shorten(verdict.reason, MAX_LINE),
        "tests": [verdict.tests_passed, verdict.tests_total],
        "reward": completion.reward,
        "parts": {shorten(name, MAX_LINE): value for name, value in completion.reward_parts.items()},
        "advantage": completion.advantage,
        "tokens": completion.tokens,
        "truncated": completion.truncated,
    }


def shorten(text: str, limit: int) -> str:
    """A text of at most about `limit` characters: its beginning, a note on what is missing, and its end."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"


def script_safe(text: str) -> str:
    """JSON in which no HTML parser finds a tag, a comment or an entity (OWASP, output encoding for JSON in HTML).

    json.dumps has already escaped everything outside of ASCII, including line separators and lone surrogates.
    """
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def choose_steps(sizes: Mapping[int, int], budget: int) -> list[int]:
    """Evenly spaced steps, about as many as fit into a budget of bytes. The first and the last are always among them.

    `sizes` maps each step to its bytes. The first and the last step come back even if they are too large.
    """
    steps = sorted(sizes)
    count = len(steps)
    while count > 2:
        chosen = [steps[round(place * (len(steps) - 1) / (count - 1))] for place in range(count)]
        total = sum(sizes[step] for step in chosen)
        if total <= budget:
            return chosen
        count = min(count - 1, count * budget // total)
    return sorted({*steps[:1], *steps[-1:]})


def show_groups(
    groups: Iterable[Group], prompts: Mapping[str, str], sizes: Mapping[int, int], of_groups: int, budget: int
) -> Shown:
    """The groups of the chosen steps; `sizes` and `of_groups` are of all groups, `budget` is in bytes.

    If the first and the last step alone are too large, each gets half of the budget for its first groups.
    """
    chosen = choose_steps(sizes, budget)
    room = dict.fromkeys(chosen, budget // max(len(chosen), 1)) if sum(sizes[s] for s in chosen) > budget else sizes
    used: dict[int, int] = dict.fromkeys(chosen, 0)
    texts, shortened = [], 0
    for group in groups:
        if group.step not in used:
            continue
        text = group_json(group, prompts)
        size = len(text) + 1  # each is followed by a comma or a bracket
        if used[group.step] + size <= room[group.step]:
            used[group.step] += size
            texts.append(text)
            shortened += sum(is_shortened(each) for each in group.completions)
    steps = sum(size > 0 for size in used.values())
    return Shown(f"[{','.join(texts)}]", steps, len(sizes), len(texts), of_groups, shortened)


def is_shortened(completion: LoggedCompletion) -> bool:
    return len(completion.completion) > MAX_TEXT or len(completion.verdict.output) > MAX_OUTPUT

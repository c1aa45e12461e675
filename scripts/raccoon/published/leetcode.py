"""LeetCodeDataset (Xia et al. 2025): a row as a Task whose test calls a method, `check(Solution().twoSum)`.

Nothing is run here. Input: a published row of any version. Output: a Task.
"""

import re
from dataclasses import replace

from raccoon.constants import InputError
from raccoon.tasks.task import Task, take

ENTRY_POINT = re.compile(r"(\w+)\(\)\.\w+")
STARTER = re.compile(r"```python\n(.*?)```", re.DOTALL)
OPTIONAL_IMPORT = re.compile(r"^from sortedcontainers import SortedList$", re.MULTILINE)
WITHOUT_IT = """try:
    from sortedcontainers import SortedList
except ImportError:
    pass"""


def leetcode_task(row: dict) -> Task:
    """A row of the test file. The class is the entry point; the test makes the instance and calls its method.

    The context defines ListNode, TreeNode and their helpers, as the published prompt does. It imports SortedList if
    that is installed, as LeetCode does. Most tasks whose prompt imports it do not need it.
    """
    name, call = take(row, "task_id"), take(row, "entry_point")
    entry_point = ENTRY_POINT.fullmatch(call)
    if not entry_point:
        raise InputError(f"field 'entry_point' is {call[:40]!r}; it must be Class().method")
    return Task(
        task_id=f"LeetCode/{name}",
        prompt=prompt_of(take(row, "query")),
        test=f"{take(row, 'test').strip()}\n\n\ncheck({call})\n",
        entry_point=entry_point[1],
        context=OPTIONAL_IMPORT.sub(WITHOUT_IT, take(row, "prompt")),
        solution=take(row, "completion"),
        source="leetcode",
        split="test",
    )


def leetcode_train_task(row: dict) -> Task:
    """A row of the training file."""
    return replace(leetcode_task(row), source="leetcode_train", split="train")


def prompt_of(query: str) -> str:
    """The problem and its starter code, without the published instructions about the answer's format."""
    starters = STARTER.findall(query)
    if not starters:
        raise InputError("field 'query' shows no starter code")
    problem = query.rpartition("```python\n")[0]
    problem = re.sub(r"\A.*?### Question:\n", "", problem, flags=re.DOTALL)
    problem = re.split(r"### Format:|Please complete the following python code", problem)[0]
    return (
        f"{problem.strip()}\n\nComplete this class; the names of `typing`, `collections` and their like are "
        "imported. Answer with the whole program in one ```python block.\n\n"
        f"```python\n{starters[-1].rstrip()}\n```\n"
    )

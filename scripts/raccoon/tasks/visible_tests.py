"""Checks the visible tests of tasks before a run or an evaluation shows them to a model.

A model may learn nothing of a test that its prompt does not show, unless the task's author says so in visible_tests.
So each of them is part of the task's test or stands in its prompt, and the task's own solution passes them.
"""

import ast
from collections.abc import Callable, Sequence

from raccoon.constants import InputError
from raccoon.records import Program, Verdict
from raccoon.tasks.shown_examples import compact, shown_asserts
from raccoon.tasks.syntax import parse_code
from raccoon.tasks.task import Task, check_cases, read_visible_cases
from raccoon.test_texts.visible import UNPARSED, part_of_test


def check_visible_tests(tasks: Sequence[Task], run: Callable[[list[Program]], list[Verdict]]) -> None:
    """Raises InputError that names each task whose visible tests are not to be shown. `run` is the sandbox's."""
    faults = {task.task_id: fault for task in tasks if (fault := visible_fault(task))}
    # The cases of a program are among its test's, which its solution has passed
    own = [task for task in tasks if task.kind == "function" and task.visible_tests and task.solution]
    own = [task for task in own if task.task_id not in faults]
    programs = [Program.of(task, task.solution, test=task.visible_tests, visible_tests="") for task in own]
    failing = [pair for pair in zip(own, run(programs), strict=True) if pair[1].status != "PASS"]
    # A solution that fails its whole test too says nothing of the visible part
    for (task, verdict), whole in zip(
        failing, run([Program.of(task, task.solution) for task, _ in failing]), strict=True
    ):
        if whole.status == "PASS":
            faults[task.task_id] = f"its solution fails them: {verdict.reason}"
    if faults:
        named = "; ".join(f"{task_id} ({fault})" for task_id, fault in faults.items())
        raise InputError(
            f"visible_tests of {len(faults)} of {len(tasks)} tasks cannot be shown to a model: {named}; correct "
            "visible_tests, or leave it empty"
        )


def visible_fault(task: Task) -> str:
    """Why a task's visible tests are neither part of its test nor shown in its prompt; "" if they are, or for none."""
    if not task.visible_tests:
        return ""
    if task.kind == "program":
        record = check_cases(task.test)
        cases = [*zip(record["inputs"], record["outputs"], strict=True)]
        hidden = [case[0] for case in read_visible_cases(task.visible_tests) if case not in cases]
        return f"its test does not have the case with the input {hidden[0][:40]!r}" if hidden else ""
    try:
        unknown = part_of_test(task.test, task.visible_tests, task.entry_point)
    except UNPARSED:
        return "they, or its test, are not Python"
    prompt = compact(task.prompt)
    examples = set(map(one_form, shown_asserts(task.prompt, task.entry_point))) if unknown else set()
    for text in unknown:
        # MBPP+'s prompts lack the quote that ends their last line
        shown = compact(text).strip('"') in prompt or one_form(text) in examples
        if not shown and not some_of_a_loop(task.test, text):
            return f"neither its test nor its prompt has {text[:80]!r}"
    return ""


def one_form(text: str) -> str:
    """A statement's text as Python writes it."""
    return ast.unparse(ast.parse(text))


def some_of_a_loop(test: str, text: str) -> bool:
    """Whether a statement is a loop of the test over some of its cases, as in contest problems that are functions."""
    frame, cases = loop_parts(ast.parse(text).body[0])
    loops = map(loop_parts, ast.walk(ast.parse(test)) if cases else ())
    return any(frame == other and cases <= every for other, every in loops)


def loop_parts(node: ast.AST) -> tuple[str, set[str]]:
    """(the loop without its cases, its cases) of `for ... in eval("[...]")` or json.loads("[...]")."""
    called = node.iter if isinstance(node, ast.For) else None
    text = called.args[0] if isinstance(called, ast.Call) and len(called.args) == 1 else None
    listed = parse_code(text.value) if isinstance(text, ast.Constant) and isinstance(text.value, str) else None
    cases = listed.body[0].value if listed and len(listed.body) == 1 and isinstance(listed.body[0], ast.Expr) else None
    if not isinstance(node, ast.For) or not isinstance(called, ast.Call) or not isinstance(cases, ast.List):
        return "", set()
    frame = "\n".join(map(ast.unparse, [node.target, called.func, *node.body]))
    return frame, set(map(ast.unparse, cases.elts))

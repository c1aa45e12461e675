"""KodCode (Xu et al. 2025), each row as a Task: synthetic questions with solutions and pytest tests.

KodCode's harness writes `from solution import *` before each test file. So a test may use every name of the solution,
also what the solution imports. Nothing is run here.
"""

import ast

from raccoon.published.pytest_files import NeedsPytest, plain_program
from raccoon.tasks.prompts import description_prompt
from raccoon.tasks.syntax import bound_names, missing_names, parse_code
from raccoon.tasks.task import LeftOut, Task, take


def kodcode_task(row: dict) -> Task | LeftOut:
    """A row of KodCode."""
    task_id = f"KodCode/{take(row, 'question_id')}"
    solution, test = parse_code(take(row, "solution")), parse_code(take(row, "test"))
    if solution is None or test is None:
        return LeftOut(task_id, "its solution or its test is not Python")
    imports = SolutionImports()
    test, defined = imports.visit(test), bound_names(solution)
    used = missing_names(test)
    entry_point = next((name for name in candidates(row, solution) if name in used), "")
    if not entry_point:
        return LeftOut(task_id, "its test does not use its solution, or defines the functions itself")
    if not set(imports.names.values()) <= defined:
        return LeftOut(task_id, "its test imports what its solution does not define")
    try:
        program = imported(solution, used) + plain_program(test)
    except NeedsPytest as missing:
        return LeftOut(task_id, f"its test needs {missing}")
    return Task(
        task_id=task_id,
        prompt=description_prompt(take(row, "question"), entry_point, declaration_of(row, entry_point)),
        test=program,
        entry_point=entry_point,
        solution=take(row, "solution"),
        source="kodcode",
        split="train",
        difficulty=str(row.get("gpt_difficulty") or "").lower(),
    )


class SolutionImports(ast.NodeTransformer):
    """Removes the imports of the solution. The judge gives a test the names that only the code defines."""

    def __init__(self):
        self.names: dict[str, str] = {}  # name in the test -> name in the solution
        self.modules: set[str] = set()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        if node.module not in ("solution", "__future__"):  # __future__ would have to be the first import
            return node
        if node.module == "solution":
            self.names |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name != "*"}
        return ast.copy_location(ast.Pass(), node)

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        self.modules |= {alias.asname or alias.name for alias in node.names if alias.name == "solution"}
        node.names = [alias for alias in node.names if alias.name != "solution"]
        return node if node.names else ast.copy_location(ast.Pass(), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id in self.modules:
            return ast.copy_location(ast.Name(node.attr, node.ctx), node)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.names.get(node.id, node.id)
        return node


def candidates(row: dict, solution: ast.Module) -> list[str]:
    """What may be the entry point, the most likely first: functions of `test_info`, other functions, classes."""
    named = [info.get("function_name") for info in row.get("test_info") or []]
    functions = [node.name for node in solution.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    classes = [node.name for node in solution.body if isinstance(node, ast.ClassDef)]
    return [*(name for name in named if name in functions), *functions, *classes]


def imported(solution: ast.Module, names: set[str]) -> str:
    """The imports of the solution that give a test some of these names."""
    return "".join(
        f"{ast.unparse(node)}\n"
        for node in solution.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and names & {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    )


def declaration_of(row: dict, entry_point: str) -> str:
    """The header of the function, or a call of it if the row does not give one."""
    for info in row.get("test_info") or []:
        declaration = info.get("function_declaration") or ""
        if info.get("function_name", entry_point) == entry_point and declaration.startswith("def "):
            return declaration.rstrip(": \n") + ": ..."
    return f"{entry_point}(...)"

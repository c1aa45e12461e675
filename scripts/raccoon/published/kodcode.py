"""KodCode (Xu et al. 2025), each row as a Task: synthetic questions with solutions and pytest tests.

A test file imports from `solution` and defines test functions. The test program also calls them. The result is None for
a row whose tests need pytest's fixtures or parameters. Nothing is run here.
"""

import ast

from raccoon.tasks.prompts import description_prompt
from raccoon.tasks.syntax import bound_names, parse_code
from raccoon.tasks.task import Task, take


def kodcode_task(row: dict) -> Task | None:
    """A row of KodCode."""
    solution, tests = parse_code(take(row, "solution")), parse_code(take(row, "test"))
    if solution is None or tests is None:
        return None
    imported = [alias.name for node in tests.body if is_import_of_solution(node) for alias in node.names]
    functions = [node for node in tests.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    plain = [node for node in functions if not node.decorator_list and not node.args.args]
    if not imported or "*" in imported or not set(imported) <= bound_names(solution) or plain != functions or not plain:
        return None
    kept = [node for node in tests.body if not is_import_of_solution(node)]
    calls = "".join(f"{node.name}()\n" for node in functions)
    info = (row.get("test_info") or [{}])[0]
    declaration = info.get("function_declaration") or imported[0]
    return Task(
        task_id=f"KodCode/{take(row, 'question_id')}",
        prompt=description_prompt(take(row, "question"), imported[0], declaration.rstrip(": \n") + ": ..."
                                  if declaration.startswith("def ") else f"{imported[0]}(...)"),
        test=f"{ast.unparse(ast.Module(kept, []))}\n\n{calls}",
        entry_point=imported[0],
        solution=take(row, "solution"),
        source="kodcode",
        split="train",
        difficulty=str(row.get("gpt_difficulty") or "").lower(),
    )


def is_import_of_solution(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "solution"

"""What a model is asked: the words of each kind of task, and the conversation that carries them."""
from raccoon.tasks.task import Task

# Every script takes these from here too.

PREDICT = "def predict():\n    return "  # what a CRUXEval answer completes


def messages(task: Task) -> list[dict[str, str]]:
    """The conversation that asks a model for the task's code."""
    return [{"role": "user", "content": task.prompt}]


def completion_prompt(stub: str) -> str:
    """Asks for the function whose imports, header and docstring are `stub`."""
    return ("Complete this Python function. Answer with the whole function in one ```python block.\n\n"
            f"```python\n{stub.strip()}\n```\n")


def description_prompt(text: str, entry_point: str, example: str) -> str:
    """Asks for a function that is described in words, by its name and one of its tests."""
    return (f"{text.strip()}\n\nName the function `{entry_point}`. It must pass this test:\n\n"
            f"```python\n{example.strip()}\n```\n\nAnswer with the whole program in one ```python block.\n")


def program_prompt(text: str) -> str:
    """Asks for a whole program that reads stdin, for a problem described in words."""
    return (f"{text.strip()}\n\nWrite a program that reads the input from standard input and prints the answer to "
            "standard output. Answer with the whole program in one ```python block.\n")


def method_prompt(text: str, starter: str) -> str:
    """Asks for a function or a class whose header is `starter`, for a problem described in words."""
    return (f"{text.strip()}\n\nComplete this code. Answer with the whole of it in one ```python block.\n\n"
            f"```python\n{starter.strip()}\n```\n")

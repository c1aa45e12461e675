"""The prompts: the words for each kind of task, and the conversation that contains them."""

from collections.abc import Sequence
from typing import Any

from raccoon.tasks.extraction import shown_stub
from raccoon.tasks.markup import fenced_blocks
from raccoon.tasks.task import Task

PREDICT = "def predict():\n    return "  # the stub that an answer to CRUXEval completes
NAMING = "\n\nName the function "  # the start of the part that only a chat model is shown
# A base model that has ended its function and writes something else is stopped at these, as in EvalPlus.
STOP_WORDS = ("\nif __name__", "\ndef main(", "\nprint(")
STUB_STOP_WORDS = (*STOP_WORDS, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")
WORDS_STOP_WORDS = (*STOP_WORDS, '\n"""', "\nassert")


def messages(task: Task) -> list[dict[str, str]]:
    """The conversation that asks a model for the task's code."""
    return [{"role": "user", "content": task.prompt}]


def fenced(code: str) -> str:
    """Code as the whole of an answer."""
    return f"```python\n{code.strip()}\n```"


def prompt_lengths(tasks: Sequence[Task], tokenizer: Any, enable_thinking: bool) -> list[int]:
    """The number of tokens of each task's prompt in the chat template."""
    conversations = [messages(task) for task in tasks]
    rendered = tokenizer.apply_chat_template(conversations, add_generation_prompt=True, enable_thinking=enable_thinking)
    return [len(ids) for ids in rendered["input_ids"]]


def completion_prompt(stub: str) -> str:
    """Asks for the function whose imports, header and docstring are `stub`."""
    return (
        "Complete this Python function. Answer with the whole function in one ```python block.\n\n"
        f"```python\n{stub.strip()}\n```\n"
    )


def description_prompt(text: str, entry_point: str, example: str) -> str:
    """Asks for a function, described in words, by its name and one of its tests."""
    return (
        f"{text.strip()}{NAMING}`{entry_point}`. It must pass this test:\n\n"
        f"```python\n{example.strip()}\n```\n\nAnswer with the whole program in one ```python block.\n"
    )


def program_prompt(text: str) -> str:
    """Asks for a whole program that reads stdin and solves a problem described in words."""
    return (
        f"{text.strip()}\n\nWrite a program that reads the input from standard input and prints the answer to "
        "standard output. Answer with the whole program in one ```python block.\n"
    )


def method_prompt(text: str, starter: str) -> str:
    """Asks for a function or a class with the header `starter` that solves a problem described in words."""
    return (
        f"{text.strip()}\n\nComplete this code. Answer with the whole of it in one ```python block.\n\n"
        f"```python\n{starter.strip()}\n```\n"
    )


def direct_prompt(task: Task) -> str:
    """The beginning of a program, for a base model to continue; no chat template wraps it.

    It is the prompt's stub. For CRUXEval it is the program and the left side of its assert. Otherwise it is the task's
    words and its example as the program's docstring, which is EvalPlus's form of MBPP.
    """
    stub = shown_stub(task)
    if is_prediction(stub):
        return task.test.rpartition(" predict()")[0]
    if stub:
        return stub
    words, _, rest = task.prompt.partition(NAMING)
    text = "\n".join([words.strip(), *fenced_blocks(rest)[:1]]).replace('"""', "'''")
    return f'"""\n{text}\n"""\n'


def stop_words(task: Task) -> tuple[str, ...]:
    """The texts at which the completion of a direct prompt ends."""
    stub = shown_stub(task)
    return ("\n",) if is_prediction(stub) else STUB_STOP_WORDS if stub else WORDS_STOP_WORDS


def until_stop_word(text: str, task: Task) -> str:
    """A completion up to its first stop word."""
    places = [place for word in stop_words(task) if (place := text.find(word)) >= 0]
    return text[: min(places, default=len(text))]


def is_prediction(stub: str) -> bool:
    return stub.rstrip().endswith("return ...")

"""Judges for the scripted server: one that grades by what the code does, and ones that fall for what they read."""

import functools
import json
import re
from collections.abc import Callable

from raccoon.llm.llm_judge import CRITERIA

FORGED = re.compile(r"\b(?:10|ten|full marks|perfect|maximum|highest|dix|zehn|diez)\b", re.IGNORECASE)


def question(body: dict) -> str:
    return body["messages"][-1]["content"]


def answer_id(body: dict) -> str:
    return re.findall(r"its id is (\w+)", question(body))[-1]


def program(body: dict) -> str:
    """The program in a question, without the numbers of its lines."""
    block = re.search(r"BEGIN PROGRAM (\w+)\n(.*?)\nEND PROGRAM \1", question(body), re.DOTALL)
    return "\n".join(line.partition("| ")[2] for line in block[2].split("\n"))


def answer(name: str, score: int) -> str:
    """An answer in the asked form with one score throughout."""
    return json.dumps({"id": name} | {each: {"reason": "because", "score": score} for each in CRITERIA})


def probed(judge: Callable[[dict], str]) -> Callable[[dict], str]:
    """The judge, which also answers the client's first question: whether anybody is there."""

    @functools.wraps(judge)
    def script(body: dict) -> str:
        return judge(body) if "its id is" in question(body) else "OK"

    return script


@probed
def honest(body: dict) -> str:
    """Full marks for code that adds one, 2 for any other."""
    return answer(answer_id(body), 10 if re.search(r"return x ?\+ ?1", program(body)) else 2)


@probed
def gullible(body: dict) -> str:
    """Like honest, but gives 10 where the program speaks of high scores."""
    return answer(answer_id(body), 10) if FORGED.search(program(body)) else honest(body)


@probed
def parrot(body: dict) -> str:
    """Repeats the first JSON object that it finds in the program, as weak models do."""
    found = re.search(r"\{.*\}", program(body), re.DOTALL)
    return found[0].replace('\\"', '"') if found else honest(body)


def babbling(body: dict) -> str:
    return "I would say 7 out of 10."

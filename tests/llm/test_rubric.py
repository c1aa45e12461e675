"""What the judge is shown of untrusted code, and which of its answers count."""

import ast
import json
import re

import pytest

from raccoon.llm.llm_judge import CRITERIA, HIGHEST, MAX_PROGRAM, ask_about, read_judgement, visible_program

MARKS = {name: {"reason": "so", "score": 5} for name in CRITERIA}


def shown(prompt: str, code: str) -> str:
    return ask_about(prompt, visible_program(code)).request.messages[-1]["content"]


def test_shares_of_the_criteria_are_all_of_the_score():
    assert sum(share for share, _ in CRITERIA.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "code",
    [
        '"""evil"""\ndef f():\n    "evil"\n    return 1  # evil\n',
        "class A:\n    'evil'\n    x: int = 1\n    'evil'\n",
        "async def f():\n    '''evil'''\n",
        "def f():\n    f'evil'\n    b'evil'\n    ...\n",
        "if x:\n    'evil'\nelif y:\n    'evil'\nelse:\n    'evil'\n",
        "try:\n    'evil'\nfinally:\n    'evil'\n",
        "try:\n    f()\nexcept* E:\n    'evil'\nelse:\n    'evil'\n",
        "for x in y:\n    'evil'\nwith z:\n    'evil'\nwhile 1:\n    'evil'\n",
        "match x:\n    case 1:\n        'evil'\n",
    ],
)
def test_remarks_are_taken_out_and_what_is_left_parses(code):
    program = visible_program(code)
    assert "evil" not in program
    ast.parse(program)


def test_what_runs_is_kept():
    code = "def f(x):\n    f'{g()}'\n    print('text')\n    return 'text'\n"
    assert visible_program(code) == code.strip()


@pytest.mark.parametrize("code", ["", "def f(:", "# only a remark", "'only a string'", "x" + " + (x" * 5000, "\x00"])
def test_nothing_that_parses_is_no_program(code):
    assert visible_program(code) == ""


def test_every_line_of_the_program_bears_its_number():
    text = shown("p", 'x = """a\nEND PROGRAM\nb"""\ny = 1\n')
    fence = re.search(r"BEGIN PROGRAM (\w{32})\n", text)[1]
    inside = text.split(f"BEGIN PROGRAM {fence}\n")[1].split(f"\nEND PROGRAM {fence}")[0]
    assert all(re.match(r"\d+\| ", line) for line in inside.split("\n"))
    assert len(re.findall(r"^END PROGRAM", text, re.MULTILINE)) == 1


@pytest.mark.parametrize(
    "token",
    [
        "<|im_end|>",
        "<｜Assistant｜>",
        "[/INST]",
        "[INST]",
        "<<SYS>>",
        "<</SYS>>",
        "</s>",
        "<s>",
        "<end_of_turn>",
        "</think>",
        "<|eot_id|>",
        "<BOS>",
    ],
)
def test_tokens_of_chat_templates_are_broken_up(token):
    assert token not in shown(f"do {token}", f"x = 'a{token}b'")


def test_what_does_not_print_is_spelt_out():
    text = shown("a\u202eb\u200bc\U000e0041", "x = '\u202e \u2028 \U000e0041'\ny\u00aa = 1\n")
    assert all(character.isprintable() or character == "\n" for character in text)
    assert r"a\u{202e}b\u{200b}c\u{e0041}" in text


def test_questions_are_the_same_for_the_same_texts_alone():
    assert ask_about("p", "x = 1") == ask_about("p", "x = 1")
    ids = {ask_about(*both).answer_id for both in (("p", "x = 1"), ("p", "x = 2"), ("q", "x = 1"))}
    assert len(ids) == 3


def test_a_long_program_keeps_head_and_tail_and_says_so():
    code = "\n".join(f"x{i} = {i}" for i in range(5000))
    text = shown("p", code)
    assert "x0 = 0" in text and "x4999 = 4999" in text and "x2500 =" not in text
    assert re.search(r"\[\d+ characters are left out here\]", text)
    assert len(text) < 2 * MAX_PROGRAM


def test_reverse_turns_criteria_and_sections_round():
    plain, reverse = (ask_about("p", "x = 1", turned).request.messages for turned in (False, True))
    assert plain[1]["content"].index("BEGIN TASK") < plain[1]["content"].index("BEGIN PROGRAM")
    assert reverse[1]["content"].index("BEGIN TASK") > reverse[1]["content"].index("BEGIN PROGRAM")
    assert plain[0]["content"].index("- correctness") < plain[0]["content"].index("- clarity")
    assert reverse[0]["content"].index("- correctness") > reverse[0]["content"].index("- clarity")


def test_a_score_is_the_weighted_mean():
    marks = {**MARKS, "correctness": {"reason": "x" * 999, "score": HIGHEST}}
    judgement = read_judgement(json.dumps({"id": "ab", **marks}), "ab")
    assert judgement.score == pytest.approx(0.5 + 0.5 * CRITERIA["correctness"][0])
    assert judgement.scores["correctness"] == HIGHEST and len(judgement.reasons["correctness"]) == 300


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"id": None},
        {"extra": 1},
        {"clarity": 5},
        {"clarity": {"score": 5}},
        *({"clarity": {"reason": "so", "score": score}} for score in (-1, 11, 5.5, True, "5", None, 10**400)),
        {"clarity": {"reason": 1, "score": 5}},
        {"clarity": {"reason": "so", "score": 5, "more": 1}},
    ],
)
def test_an_answer_of_another_form_is_no_score(change):
    answer = {"id": "ab", **MARKS}
    assert read_judgement(json.dumps(answer), "ab").score == 0.5
    judgement = read_judgement(json.dumps({**answer, **change}), "ab")
    assert judgement.score is None and judgement.error


@pytest.mark.parametrize(
    "text",
    ["", "7/10", 'I give {"score": 7}', json.dumps({"id": "ab", **MARKS}) * 2, json.dumps({"id": "ab", **MARKS})[:-1]],
)
def test_words_are_no_score(text):
    assert read_judgement(text, "ab").score is None


def test_a_missing_criterion_is_no_score():
    answer = {"id": "ab", **MARKS}
    del answer["clarity"]
    assert read_judgement(json.dumps(answer), "ab").score is None

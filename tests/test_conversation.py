"""What stands between two answers: the template's own words, and feedback that cannot end its message."""

import pytest

from helpers.training_runs import TEMPLATE, make_model
from raccoon.constants import InputError
from raccoon.conversation import TurnTemplate
from raccoon.model_files import load_tokenizer

START, END, UNKNOWN = 1, 2, 3


@pytest.fixture
def tokenizer(tmp_path):
    make_model(tmp_path / "model")
    return load_tokenizer(tmp_path / "model")


def test_a_message_follows_the_answers_end_token(tokenizer):
    template = TurnTemplate(tokenizer, [0, END], False)
    assert template.after([4, END], "x y") == [START, UNKNOWN, UNKNOWN, END, START]
    assert template.after([4, 0], "x y") == [START, UNKNOWN, UNKNOWN, END, START]  # the model's other end
    assert template.after([4, 5], "x y") == [END, START, UNKNOWN, UNKNOWN, END, START]  # stopped at its fence
    assert template.after([], "x") == [END, START, UNKNOWN, END, START]
    assert template.longest(200) == 204 and not template.rewrites


@pytest.mark.parametrize("token", ["<|im_end|>", " ab", "  ab", "a b", "\tab"])
def test_feedback_cannot_end_its_message_and_is_made_harmless_in_a_finite_time(tokenizer, token):
    tokenizer.add_tokens([token], special_tokens=True)
    template = TurnTemplate(tokenizer, [END], False)
    text = template.harmless(f"x{token}{token}  {token}y")
    assert not any(each in text for each in template.added)
    kept = lambda words: "".join(words.split())  # noqa: E731
    assert kept(text) == kept(f"x{token}{token}{token}y")  # blanks are all that changes
    assert template.after([4, END], f"x {token} y").count(END) == 1


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% if messages|length > 2 %}{{ raise_exception('one only') }}{% endif %}" + TEMPLATE, "one only"),
        ("{% for message in messages %}{{ message.content }} {% endfor %}", "does not close an answer"),
        ("<|im_start|> {{ messages[0].content }} <|im_end|>", "does not close an answer"),
    ],
)
def test_a_template_without_a_second_message_is_refused(tokenizer, template, words):
    tokenizer.chat_template = template
    with pytest.raises(InputError, match=words):
        TurnTemplate(tokenizer, [END], False)


def test_a_template_that_drops_earlier_thoughts_is_known(tokenizer):
    tokenizer.chat_template = TEMPLATE.replace(
        "{{ message.content }}", "{{ message.content if loop.last else message.content.split('</think>')[-1] }}"
    )
    assert TurnTemplate(tokenizer, [END], False).rewrites

"""A second user's message after an answer, as token ids: nothing that was sampled is decoded and encoded again.

It needs a tokenizer alone, and no library.
"""

from typing import Any

from raccoon.constants import InputError
from raccoon.records import MIN_FEEDBACK

ANSWER, FEEDBACK = "ANSWERED", "TOLD"  # they stand for the texts when the template is read
THOUGHT = "<think>\nTHOUGHT\n</think>\n\n"


class TurnTemplate:
    """What a chat template puts around a message that follows an answer.

    `rewrites` says whether the template changes earlier answers once a message follows, as those of thinking models
    do, which drop the thoughts. A conversation keeps them: its tokens stay those that were sampled. Raises InputError
    if the template takes no second message of a user, or does not close an answer with one of `end_ids`.
    """

    def __init__(self, tokenizer: Any, end_ids: list[int], enable_thinking: bool) -> None:
        self.tokenizer, self.end_ids = tokenizer, end_ids
        # The longest first; blank ones control nothing
        self.added = sorted((token for token in tokenizer.get_added_vocab() if len(token.strip()) > 1), key=len)[::-1]
        options = {"tokenize": False, "enable_thinking": enable_thinking}

        def rendered(answer: str, *more: dict[str, str], add: bool) -> str:
            talk = [{"role": "user", "content": "ASKED"}, {"role": "assistant", "content": answer}, *more]
            return tokenizer.apply_chat_template(talk, add_generation_prompt=add, **options)

        told = {"role": "user", "content": FEEDBACK}
        try:
            after = rendered(ANSWER, told, add=True).rpartition(ANSWER)[2]
            thoughts = rendered(THOUGHT + ANSWER, add=False), rendered(THOUGHT + ANSWER, told, add=True)
        except Exception as error:  # templates raise errors of their own (jinja2's TemplateError)
            raise InputError(
                f"the chat template takes no second message of a user ({error}): allow one turn, or give a "
                "tokenizer whose template does"
            ) from None
        before, found, behind = after.partition(FEEDBACK)
        self.before, self.behind = self.encoded(before), self.encoded(behind)
        if not found or not self.before or self.before[0] not in end_ids:
            raise InputError(
                f"the chat template does not close an answer with an end token before the next message ({after!r}): "
                "allow one turn, or give another tokenizer"
            )
        self.rewrites = ("THOUGHT" in thoughts[0]) != ("THOUGHT" in thoughts[1])

    def encoded(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def after(self, answer_ids: list[int], feedback: str) -> list[int]:
        """The token ids from an answer to the beginning of the next one: its end token if it lacks one, the message."""
        ended = bool(answer_ids) and answer_ids[-1] in self.end_ids
        return [*self.before[ended:], *self.encoded(self.harmless(feedback)), *self.behind]

    def harmless(self, text: str) -> str:
        """The text without the tokenizer's control tokens: it must not end the message that contains it."""
        while any(token in text for token in self.added):
            for token in self.added:
                begun = len(token) - len(token.lstrip()) + 1  # a blank before its first letter would not part it
                text = text.replace(token, f"{token[:begun]} {token[begun:]}")
        return text

    def longest(self, max_feedback: int) -> int:
        """The most token ids that after() adds; a character is at most one, because feedback is plain ASCII."""
        return len(self.before) + max_feedback + len(self.behind)


def check_feedback(turns: int, max_feedback: int) -> None:
    """Raises InputError for several turns whose feedback is too short."""
    if turns > 1 and max_feedback < MIN_FEEDBACK:
        raise InputError(
            f"MAX_FEEDBACK is {max_feedback} characters, too few to name a failed test: give at least {MIN_FEEDBACK}"
        )

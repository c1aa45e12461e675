"""The LLM judge: programs in, judgements out. Each question is asked once.

rubric.py makes the questions, client.py talks to the server. A program that cannot be judged has the score None. It is
counted, and never becomes a number in the middle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from raccoon.ledger import AnswerCache, digest
from raccoon.llm.client import Answer, LlmClient, ServerLost
from raccoon.llm.rubric import WORTHLESS, Judgement, Question, ask_about, read_judgement, visible_program

JUDGEMENTS_FILE = "judgements.jsonl"  # in a run's OUTPUT_DIR


class Judge:
    """Judges programs on one server. It does not ask again about programs that it has judged before.

    `within` is the time that one call of judge() may take, in seconds.
    """

    def __init__(self, client: LlmClient, cache: AnswerCache, within: float | None = None) -> None:
        self.client, self.cache, self.within = client, cache, within
        self.lost = ""  # why the server was given up; "" while it answers

    def judge(self, items: Sequence[tuple[str, str]], reverse: bool = False) -> list[Judgement]:
        """A judgement of each (task prompt, code), in order. Code that does not parse scores 0 without a request.

        An unreadable answer is stored like any other, so that a resumed run gets it again. Requests that the server
        failed to answer are sent again next time.
        """
        programs = [(prompt, visible_program(code)) for prompt, code in items]
        questions = {item: ask_about(*item, reverse) for item in dict.fromkeys(programs) if item[1]}
        keys = {item: self.key(question) for item, question in questions.items()}
        missing = [item for item in questions if keys[item] not in self.cache]
        failures = self.ask([(keys[item], questions[item]) for item in missing])
        return [self.judgement(keys[item], failures) if item[1] else WORTHLESS for item in programs]

    def key(self, question: Question) -> str:
        endpoint, request = self.client.endpoint, question.request
        return digest("judge", endpoint.model, request.messages, request.temperature, request.max_tokens)

    def ask(self, questions: list[tuple[str, Question]]) -> dict[str, Judgement]:
        """Puts the judgements of new questions into the cache. Returns those of the others, without a score, by key."""
        lost = Judgement(None, error="the server had stopped answering before", answered=False)
        failures = {key: lost for key, _ in questions}

        def keep(number: int, answer: Answer) -> None:
            key, question = questions[number]
            failures[key] = Judgement(None, error=answer.error, answered=answer.refused)
            if answer.text is not None:
                self.cache.put(key, asdict(read_judgement(answer.text, question.answer_id)))

        try:
            self.client.ask_all([question.request for _, question in questions], keep, self.within)
        except ServerLost as error:
            self.lost = str(error)  # every question without an answer has its error
        return failures

    def judgement(self, key: str, failures: Mapping[str, Judgement]) -> Judgement:
        return Judgement(**self.cache[key]) if key in self.cache else failures[key]

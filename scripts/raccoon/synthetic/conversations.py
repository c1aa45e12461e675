"""Conversations in which code is repaired: an answer, what the sandbox says of it, and the next answer.

The feedback is that of training and evaluation: a verdict's, with the tests that the task shows (Task.visible_tests).
An answer without feedback ends its conversation, whether it passes or not: verification.py judges the last answer.

A server gives the answers, or, without a server, the task itself: a mutant of its solution that the feedback faults,
then the solution. Such mistakes are those of an edit, not those of a model.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from raccoon.progress import progress_bar
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.store import Ledger, digest
from raccoon.strengthening.mutants import make_mutants
from raccoon.synthetic.server_tasks import Candidate, TaskRequest
from raccoon.synthetic.verification import NOT_JUDGED, verdicts_of
from raccoon.tasks.prompts import fenced, messages
from raccoon.tasks.task import Task

MUTANTS_TEACHER = "a mutant, then the solution"  # in the place of a model's name
NO_MUTANT = "the solution has no further mutant"
NO_FEEDBACK = "the mutant has no feedback"


@dataclass(frozen=True)
class StoredFeedback:
    """What the sandbox said of a program; "" if nothing that the model may know is wrong."""

    feedback: str


@dataclass(frozen=True)
class Teller:
    """Gives feedback of at most `most` characters. A program whose feedback is in the ledger does not run again."""

    sandbox: Sandbox
    ledger: Ledger[StoredFeedback]
    most: int
    limits: tuple[float, int]  # the sandbox's seconds and MB, which can decide the feedback
    batch: int  # programs that run and are stored together

    def tell(self, programs: Sequence[tuple[Task, str]]) -> list[str | None]:
        """The feedback on each task's code, in order; None where the sandbox failed."""
        made = [Program.of(task, code, max_feedback=self.most) for task, code in programs]
        keys, known = [digest(asdict(program), self.limits) for program in made], self.ledger.records
        missing = {key: each for key, each in zip(keys, made, strict=True) if key not in known}
        with progress_bar(total=len(missing), desc="feedback", unit="program", disable=not missing) as bar:
            for start in range(0, len(missing), self.batch):
                part = [*missing.items()][start : start + self.batch]
                verdicts = verdicts_of([program for _, program in part], self.sandbox)
                for (key, _), verdict in zip(part, verdicts, strict=True):
                    if verdict.status != "INFRA":
                        self.ledger.put(key, StoredFeedback(verdict.feedback))
                bar.update(len(part))
        return [known[key].feedback if key in known else None for key in keys]


def continued(
    asked: Mapping[int, TaskRequest],
    found: Mapping[int, Candidate],
    turns: int,
    teller: Teller,
    ask: Callable[[dict[int, TaskRequest]], tuple[dict[int, Candidate], dict[int, str]]],
) -> tuple[dict[int, Candidate], dict[int, str]]:
    """The conversations after at most `turns` answers, and why others were given up, both by number.

    `found` are those of one answer, to the requests `asked`. `ask` has the result's form.
    """
    now, faults, going = dict(found), dict[int, str](), [*found]
    for _ in range(turns - 1):
        # The parent still has the solution that is right; the task has the answer's
        programs = [(asked[each].parent or now[each].task, now[each].task.solution) for each in going]
        told = dict(zip(going, teller.tell(programs), strict=True))
        faults |= {each: NOT_JUDGED for each, feedback in told.items() if feedback is None}
        asked = {each: follow_up(asked[each], now[each], feedback) for each, feedback in told.items() if feedback}
        answered, unanswered = ask(asked)
        now, faults, going = now | answered, faults | unanswered, [*answered]
    return {each: candidate for each, candidate in now.items() if each not in faults}, faults


def follow_up(asked: TaskRequest, candidate: Candidate, feedback: str) -> TaskRequest:
    """The request that tells a server what is wrong with its answer."""
    told = {"role": "user", "content": feedback}
    return replace(asked, request=replace(asked.request, messages=(*candidate.conversation, told)))


def mutant_conversations(
    tasks: Sequence[Task], number: int, date: str, teller: Teller
) -> tuple[list[Candidate], Counter]:
    """`number` conversations, for which the tasks take turns, and how many others could not be made, by reason."""
    mutants = [make_mutants(task.solution, -(-number // len(tasks))) for task in tasks[:number]]
    places = [(place % len(tasks), place // len(tasks)) for place in range(number)]
    made = [(tasks[task], mutants[task][turn]) for task, turn in places if turn < len(mutants[task])]
    drops = Counter({NO_MUTANT: number - len(made)})
    found = []
    for (task, mutant), feedback in zip(made, teller.tell(made), strict=True):
        if not feedback:
            drops[NOT_JUDGED if feedback is None else NO_FEEDBACK] += 1
            continue
        wrong, told = {"role": "assistant", "content": fenced(mutant)}, {"role": "user", "content": feedback}
        named = replace(task, task_id=f"{task.task_id}/mutant")  # the same for all of a task: they are verified once
        said = (*messages(task), wrong, told)
        file = "raccoon/synthetic/conversations.py"
        found.append(Candidate(named, MUTANTS_TEACHER, file, date, fenced(task.solution), said))
    return found, +drops

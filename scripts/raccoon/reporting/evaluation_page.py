"""comparison.html: an evaluation's rows and differences, and the tasks gained and lost with both answers.

It reads results.json and the records beside it. Models wrote the answers: for the page they are data, never markup.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from raccoon.constants import InputError
from raccoon.reporting.page import MAX_LINE, render, shorten
from raccoon.reporting.tables import RESULTS_FILE
from raccoon.store import LineFile, parse_json

PAGE_FILE = "comparison.html"
MAX_TASKS = 200  # of a comparison that are shown with both answers; results.json names all of them
MAX_ANSWER = 6_000  # characters of an answer and of a prompt; the records have the whole text


def make_evaluation_page(folder: Path) -> bytes:
    """The page of an OUTPUT_DIR of evaluate_models.py. Raises InputError if its files are not what that writes."""
    results = parse_json((folder / RESULTS_FILE).read_bytes(), str(folder / RESULTS_FILE))
    try:
        baseline = next((row["model"] for row in results["results"] if row["path"]), "")
        parts = {
            "name": folder.resolve().name,
            "settings": {name: value for name, value in results["settings"].items() if name != "versions"}
            | results["settings"].get("versions", {}),
            "rows": results["results"],
            "comparisons": [
                row | {"changed": list(changed_tasks(row, folder))}
                for row in results["comparisons"]
                if row["baseline"] == baseline or row["repeat"]
            ],
        }
        return render("evaluation.html", parts, "[]")
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder} has a {RESULTS_FILE} or records of another version ({type(error).__name__}: {error}); evaluate "
            "again with this one"
        ) from error


def changed_tasks(row: Mapping[str, Any], folder: Path) -> Iterable[dict[str, Any]]:
    """The tasks that a comparison has gained and lost, each with an answer of both models that shows it."""
    ids = {task: word for word in ("gained", "lost") for task in row[f"{word}_ids"]}
    chosen = dict(list(ids.items())[:MAX_TASKS])
    before, after = (read_answers(folder, row[side], row, chosen) for side in ("baseline", "candidate"))
    for task, word in chosen.items():
        pair = [answer(before.get(task, []), word == "lost"), answer(after.get(task, []), word == "gained")]
        prompt = next((record["prompt"] for found in (after, before) for record in found.get(task, [])), "")
        yield {"task": shorten(task, MAX_LINE), "word": word, "prompt": shorten(prompt, MAX_ANSWER), "answers": pair}


def read_answers(folder: Path, model: str, row: Mapping[str, Any], tasks: Mapping[str, str]) -> dict[str, list[dict]]:
    """task id -> the records of a model's answers to these tasks; {} if the file is not there any more."""
    path = folder / Path(model).name / f"{Path(row['benchmark']).name}.sampled.jsonl"
    if row["mode"] != "sampled" or not path.is_file():  # a sample file has one mode
        path = path.with_name(f"{Path(row['benchmark']).name}.jsonl")
    found: dict[str, list[dict]] = {}
    for _, record in LineFile(path).rows():
        if record["task_id"] in tasks:
            found.setdefault(record["task_id"], []).append(record)
    return found


def answer(records: list[dict], passing: bool) -> dict[str, str] | None:
    """Of several answers to a task one that passes, or one that does not; None if there is none at all."""
    fitting = [record for record in records if (record["verdict"]["status"] == "PASS") == passing] or records
    if not fitting:
        return None
    verdict = fitting[0]["verdict"]
    return {
        "text": shorten(fitting[0]["completion"], MAX_ANSWER),
        "status": shorten(verdict["status"], MAX_LINE),
        "reason": shorten(verdict["reason"], MAX_LINE),
    }

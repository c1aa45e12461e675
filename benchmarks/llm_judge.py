"""Time in which the judge scores a step's completions, against the time that the concurrency limit alone would allow.

It measures the client and the judge, not a model: the server sends every answer after a fixed delay.

    python benchmarks/llm_judge.py [completions [concurrency [delay in seconds]]]

Output: a Markdown table: wall seconds, the slowest chain (requests of one connection x delay), their ratio, and the CPU
milliseconds for each request of this process, which is also the server.
"""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from helpers.scripted_judges import honest  # noqa: E402
from helpers.scripted_server import ScriptedServer  # noqa: E402
from raccoon.llm.client import Endpoint, LlmClient  # noqa: E402
from raccoon.llm.llm_judge import LlmJudge  # noqa: E402
from raccoon.store import AnswerCache  # noqa: E402

COMPLETIONS = 256
CONCURRENCY = 16
DELAY = 0.5  # seconds for each answer


def measure(completions: int, concurrency: int, delay: float) -> str:
    """A row of the table. Every completion is a different program."""
    items = [("Write f.", f"def f(x):\n    return x + {i}\n") for i in range(completions)]
    with tempfile.TemporaryDirectory() as folder, ScriptedServer(honest) as server:
        with LlmClient(Endpoint(server.url, "scripted", concurrency=concurrency)) as client:
            client.check()  # connects, imports
            server.delay = delay
            judge = LlmJudge(client, AnswerCache(Path(folder) / "judgements.jsonl"))
            started, cpu = time.perf_counter(), time.process_time()
            found = judge.judge(items)
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert all(judgement.score is not None for judgement in found)
    chain = -(-completions // concurrency) * delay
    return (
        f"| {completions} | {concurrency} | {delay:g} | {seconds:.2f} | {chain:.2f} | {seconds / chain:.2f} | "
        f"{1000 * cpu / completions:.1f} |"
    )


def main() -> None:
    given = sys.argv[1:]
    completions, concurrency = (
        int(given[i]) if len(given) > i else default for i, default in enumerate((COMPLETIONS, CONCURRENCY))
    )
    delay = float(given[2]) if len(given) > 2 else DELAY
    print("| completions | at once | delay s | wall s | slowest chain s | ratio | CPU ms a request |")
    print("|---|---|---|---|---|---|---|")
    print(measure(completions, concurrency, delay))


if __name__ == "__main__":
    main()

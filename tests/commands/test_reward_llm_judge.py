"""The judge: its cache and its faults, its reward beside execution, whole training runs, and what is measured of it."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import pytest

import reward_llm_judge
from helpers import scripted_judges, warm_python
from helpers.paths import ROOT, SCRIPTS
from helpers.reward_doubles import TABLE
from helpers.scripted_server import Fault, ScriptedServer
from helpers.training_runs import furnish, lines, small_run
from raccoon.constants import InputError
from raccoon.llm import client
from raccoon.llm.client import Endpoint, LlmClient, Request
from raccoon.llm.llm_judge import WORTHLESS, Judgement, LlmJudge
from raccoon.llm.measurement import Sample, agreement, measure_injections, measure_samples, read_graded, read_injections
from raccoon.records import Verdict
from raccoon.rewards.execution import RewardTable
from raccoon.rewards.llm_reward import JudgeReward
from raccoon.runs.log import Rollout, is_constant, rollout_metrics
from raccoon.runs.sentinels import Sentinels
from raccoon.store import AnswerCache
from raccoon.tasks.task import Task

pytest.importorskip("openai")
GOOD, BAD = "def f(x):\n    return x + 1\n", "def f(x):\n    return x\n"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)


@pytest.fixture
def judging(tmp_path):
    """Makes a judge on a scripted server: judging(script) -> (LlmJudge, server)."""
    opened = []

    def start(script, within=None):
        server = ScriptedServer(script).__enter__()
        client = LlmClient(Endpoint(server.url, "scripted", timeout=20.0, max_retries=1)).__enter__()
        opened.extend([server, client])
        return LlmJudge(client, AnswerCache(tmp_path / "judgements.jsonl"), within), server

    yield start
    for each in reversed(opened):
        each.__exit__(None, None, None)


# The judge


def test_equal_programs_are_asked_once_and_never_again(judging, tmp_path):
    judge, server = judging(scripted_judges.honest)
    commented = GOOD.replace("return", "# the best\n    return")
    scores = [judgement.score for judgement in judge.judge([("p", GOOD), ("p", commented), ("p", BAD), ("p", "f(")])]
    assert scores == [1.0, 1.0, 0.2, 0.0]
    assert len(server.requests) == 2
    fresh = LlmJudge(judge.client, AnswerCache(tmp_path / "judgements.jsonl"))
    assert [judgement.score for judgement in fresh.judge([("p", BAD), ("p", GOOD)])] == [0.2, 1.0]
    assert len(server.requests) == 2
    fresh.judge([("another task", GOOD)])
    assert len(server.requests) == 3


def test_a_cut_line_costs_itself_alone_also_in_the_middle(tmp_path):
    path = tmp_path / "deep" / "cache.jsonl"
    AnswerCache(path).put("a", 1)
    path.write_bytes(path.read_bytes() + b'{"key": "b", "val\n{"key": "c", "val')
    cache = AnswerCache(path)
    assert "b" not in cache.values and "c" not in cache.values
    cache.put("d", {"e": 2})
    again = AnswerCache(path)
    assert (again.values["a"], again.values["d"]) == (1, {"e": 2})


def test_an_answer_that_cannot_be_read_is_none_and_is_not_asked_again(judging):
    judge, server = judging(scripted_judges.babbling)
    first, second = judge.judge([("p", GOOD)]), judge.judge([("p", GOOD)])
    assert first == second == [Judgement(None, error="the answer is not a single JSON object")]
    assert len(server.requests) == 1


def test_what_the_server_failed_to_answer_is_none_and_is_asked_again(judging):
    judge, server = judging(scripted_judges.honest)
    server.script = broken
    (lost,) = judge.judge([("p", GOOD)])
    assert (lost.score, lost.error) == (None, "HTTP 500: no")
    server.script = scripted_judges.honest
    assert judge.judge([("p", GOOD)])[0].score == 1.0


def broken(body: dict) -> str:
    raise Fault("status", 500, "no")


def test_a_server_that_is_lost_leaves_none(judging):
    judge, server = judging(scripted_judges.honest)
    assert judge.judge([("p", GOOD)])[0].score == 1.0
    server.server.shutdown()
    server.server.server_close()
    judge.client.runner.run(judge.client.client.close())  # its open connection
    judge.client.client = judge.client.runner.run(client.open_client(judge.client.endpoint, ""))
    found = judge.judge([("p", GOOD), *(("p", f"x = {i}") for i in range(40))])
    assert found[0].score == 1.0
    assert {judgement.score for judgement in found[1:]} == {None} and all(judgement.error for judgement in found[1:])
    assert "has stopped answering" in judge.client.lost


def test_a_batch_ends_in_time(judging):
    judge, server = judging(scripted_judges.honest, within=0.3)
    server.delay = 0.5
    assert "for all requests" in judge.judge([("p", GOOD)])[0].error


# The reward


def rollout(status: str, reward: float | None, code: str = GOOD, truncated: bool = False) -> Rollout:
    verdict = Verdict(status, "pass", 1, 1, 0.1, "separate")
    parts = {} if reward is None else {"correctness": reward}
    return Rollout("t", "c", code, verdict, reward, parts, 3, truncated)


class Judging(JudgeReward):
    """A JudgeReward of given rollouts."""

    def __init__(self, judge: LlmJudge, weights: list[float] | None, *rollouts: Rollout) -> None:
        super().__init__(RewardTable(**TABLE), None, None, None, judge, weights)
        self.rollouts = list(rollouts)

    def evaluate(self, tasks, completion_ids):
        return self.rollouts


def scores(reward: JudgeReward, count: int) -> list[list]:
    ids = [[0]] * count
    return [
        function(completion_ids=ids, task=[vars(Task("t", "p", "assert f(1)"))] * count, prompts=[])
        for function in reward.functions
    ]


def test_beside_execution_both_scores_or_none(judging):
    judge, server = judging(
        lambda body: "?" if "x * 9" in body["messages"][-1]["content"] else scripted_judges.honest(body)
    )
    odd = "def f(x): return x * 9"
    reward = Judging(
        judge,
        [1.0, 0.5],
        rollout("PASS", 1.1),
        rollout("PARTIAL", 0.3, BAD),
        rollout("PASS", 1.1, odd),
        rollout("INFRA", None),
        rollout("PASS", -0.4, truncated=True),
    )
    execution, judged = scores(reward, 5)
    assert execution == [1.1, 0.3, None, None, -0.4]
    assert [value and round(value, 9) for value in judged] == [1.0, -0.2, None, None, -0.5]
    kept = reward.take_rollouts()
    assert [each.reward and round(each.reward, 9) for each in kept] == [1.6, 0.2, None, None, -0.65]
    assert kept[0].reward_parts == {"correctness": 1.1, "judge": 1.0}
    assert kept[2].reward_parts == {}
    assert kept[2].record()["judgement"]["error"] == "the answer is not a single JSON object"
    assert kept[4].judgement == WORTHLESS  # truncated: worth nothing, unasked
    assert reward.take_rollouts() == []


def test_the_judge_alone_needs_no_verdict(judging):
    judge, _ = judging(scripted_judges.honest)
    reward = Judging(judge, None, rollout("INFRA", None), rollout("PASS", 1.1, BAD))
    assert scores(reward, 2) == [[1.0, pytest.approx(-0.2)]]
    assert [each.reward_parts for each in reward.take_rollouts()] == [{"judge": 1.0}, {"judge": pytest.approx(-0.2)}]


@pytest.mark.parametrize(
    ("status", "reward", "value"),
    [("PASS", 1.1, None), ("PARTIAL", 0.3, -0.5), ("FAIL", -0.5, -0.5), ("INFRA", None, None)],
)
@pytest.mark.parametrize("weights", [None, [1.0, 0.5]])
def test_code_that_does_not_pass_cannot_choose_to_be_unjudged(judging, weights, status, reward, value):
    judge, _ = judging(lambda body: "?" if "x * 9" in body["messages"][-1]["content"] else scripted_judges.honest(body))
    odd = rollout(status, reward, "def f(x): return x * 9")
    working = Judging(judge, weights, rollout("PASS", 1.1), odd)
    assert scores(working, 2)[-1] == [1.0, value]
    broken = Judging(judge, weights, odd, odd)
    assert scores(broken, 2)[-1] == [None, None]  # a judge that scores nothing is our fault


def judged(score: float | None, correctness: float) -> Rollout:
    parts = {} if score is None else {"correctness": correctness, "judge": score}
    return Rollout(
        "t",
        "c",
        GOOD,
        Verdict("PASS", "pass", 1, 1, 0.1, "separate"),
        score,
        parts,
        3,
        False,
        judgement=Judgement(score, error="" if score is not None else "?"),
    )


def test_a_group_on_which_the_judge_disagrees_is_not_constant():
    assert is_constant([judged(0.5, 1.0), judged(0.5, 1.0), judged(None, 1.0)])
    assert not is_constant([judged(0.5, 1.0), judged(0.6, 1.0)])
    assert not is_constant([judged(0.5, 1.0), judged(0.5, 0.2)])


def test_what_was_not_judged_is_counted_and_stops_the_run_where_it_is_all():
    metrics = rollout_metrics([judged(0.5, 1.0), judged(None, 1.0)], 2)
    assert (metrics["judge_none"], metrics["reward"], metrics["pass_rate"]) == (0.5, 0.5, 1.0)
    assert rollout_metrics([rollout("PASS", 1.0)], 1)["judge_none"] is None
    unasked = replace(judged(0.0, 1.0), judgement=WORTHLESS)  # it says nothing of the judge
    assert rollout_metrics([judged(None, 1.0), unasked], 2)["judge_none"] == 1.0
    step = {
        "statuses": {"PASS": 1},
        "kinds": {"pass": 1},
        "completions": 1,
        "grad_norm": 1.0,
        "entropy": 1.0,
        "constant_groups": 0.0,
        "learning_rate": 0.0,
        "weights_changed": 1.0,
        "update_ratio": 0.0,
        "judge_none": 1.0,
    }
    sentinels = Sentinels()
    found = [each for _ in range(3) for each in sentinels.see(step)]
    assert [each.severity for each in found if each.name == "judge_failed"] == ["warning", "stop"]
    assert Sentinels().see({**step, "judge_none": 0.9}) == []


# Training


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    return furnish(tmp_path_factory.mktemp("judged"))


def train(folder: Path, output: str, server: ScriptedServer, *flags: str) -> subprocess.CompletedProcess:
    more = ["--save-steps", "2", "--max-refills", "1", "--judge-base-url", server.url, "--judge-model", "scripted"]
    words = [str(SCRIPTS / "train_rl_poc.py"), *small_run(output, "", *more, *flags)]
    return warm_python.run(words, folder)


def test_training_on_both_goes_on_exactly_and_asks_nothing_twice(workplace):
    pytest.importorskip("trl")
    with ScriptedServer(scripted_judges.honest) as server:
        done = train(workplace, "straight", server, "--reward", "both", "--max-steps", "4")
        assert done.returncode == 0, done.stderr
        assert "weights of execution and judge 1 and 1" in done.stdout
        server.requests.clear()
        for steps in ("2", "4"):
            stopped = train(workplace, "stopped", server, "--reward", "both", "--max-steps", steps)
            assert stopped.returncode == 0, stopped.stderr
        asked = [json.dumps(body["messages"]) for body in server.requests if "its id is" in str(body)]
    assert len(asked) == len(set(asked)) > 0
    for name in ("model.safetensors", "completions.jsonl"):
        assert (workplace / "straight" / name).read_bytes() == (workplace / "stopped" / name).read_bytes()
    for record in lines(workplace / "straight" / "completions.jsonl"):
        status = "FAIL" if record["truncated"] else record["verdict"]["status"]
        judge = {"PASS": 1.0, "PARTIAL": -0.2, "FAIL": -0.5}[status]
        assert record["reward_parts"]["judge"] == pytest.approx(judge)
        assert record["reward"] == pytest.approx(sum(record["reward_parts"].values()))
    assert "  judge " in done.stdout and "  not judged 0%" in done.stdout


def test_training_on_the_judge_alone_follows_the_judge(workplace):
    pytest.importorskip("trl")
    with ScriptedServer(scripted_judges.gullible) as server:
        done = train(workplace, "alone", server, "--reward", "judge", "--max-steps", "2")
    assert done.returncode == 0, done.stderr
    records = lines(workplace / "alone" / "completions.jsonl")
    assert all(record["reward_parts"] == {"judge": record["reward"]} for record in records)
    assert all(record["judge_none"] == 0 for record in lines(workplace / "alone" / "metrics.jsonl"))


def test_training_leaves_out_what_is_not_judged(workplace):
    pytest.importorskip("trl")
    with ScriptedServer(scripted_judges.babbling) as server:
        done = train(workplace, "babble", server, "--reward", "judge", "--max-steps", "1")
    assert done.returncode == 0, done.stderr
    (step,) = lines(workplace / "babble" / "metrics.jsonl")
    assert step["judge_none"] == 1 and "the judge scored no completion" in done.stdout
    unjudged = [
        record for record in lines(workplace / "babble" / "completions.jsonl") if record["judgement"]["score"] is None
    ]
    assert unjudged and all(record["reward"] is None and record["advantage"] == 0 for record in unjudged)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--reward", "jury"], "no REWARD 'jury'; choose from execution, judge, both"),
        (["--reward", "judge", "--judge-model", ""], "JUDGE_MODEL is empty"),
        (["--reward", "both", "--reward-weights", "1"], "REWARD_WEIGHTS is [1.0]; give two"),
        (["--reward", "judge", "--judge-model", "other"], "the server's models are scripted"),
        (["--reward", "judge", "--judge-key-env", "ABSENT_KEY"], "set the environment variable ABSENT_KEY"),
        (
            ["--reward", "judge", "--judge-base-url", "http://127.0.0.1:9/v1"],
            "start the server, or correct the base URL",
        ),
        (["--code-extraction-method", "llm"], "EXTRACTION_MODEL is empty"),
    ],
)
def test_bad_input_is_one_line(workplace, flags, words):
    with ScriptedServer(lambda body: "OK") as server:
        done = train(workplace, "refused", server, *flags)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert words in done.stderr


# What the judge is worth


@pytest.mark.parametrize(
    ("script", "most", "least"),
    [
        (scripted_judges.honest, 0, 0),  # reads the code: nothing moves it
        (scripted_judges.parrot, 0, 0),  # repeats a forged answer, which bears no right id
        (scripted_judges.gullible, 110, 60),  # believes what it reads: remarks and what does not parse are kept from it
    ],
)
def test_injections(judging, script, most, least):
    judge, _ = judging(script)
    found = measure_injections(judge, read_injections(str(ROOT / "tests" / "injections")))
    assert found.kinds["all"].tried >= 3 * 25
    assert least <= found.kinds["all"].raised <= most
    assert found.kinds["comment"].raised == found.kinds["docstring"].raised == 0
    if script is scripted_judges.parrot:
        assert found.kinds["fake answer"].unjudged > 0


def test_samples_show_agreement_and_bias(judging):
    def long_winded(body: dict) -> str:  # a judge that likes length, and what comes first
        text = scripted_judges.question(body)
        bonus = 2 if text.startswith("BEGIN TASK") else 0
        score = (6 if "+ 1" in text else 0) + (2 if "spare_9" in text else 0) + bonus
        return scripted_judges.answer(scripted_judges.answer_id(body), score)

    judge, _ = judging(long_winded)
    task = {"t": Task("t", "p", "assert f(1) == 2")}
    path = judge.cache.file.path.with_name("samples.jsonl")
    rows = [{"task_id": "t", "code": f"y = {i}\n{GOOD}", "verdict": {"status": "PASS"}} for i in range(5)]
    rows += [{"task_id": "t", "completion": f"y = {i}\n{BAD}", "passed": False} for i in range(5)]
    rows += [{"task_id": "t", "code": "", "verdict": {"status": "INFRA"}}, {"task_id": "u", "code": "", "passed": True}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = measure_samples(judge, read_graded(str(path), task))
    assert (found.agreement.n, found.agreement.passed, found.none_rate) == (10, 5, 0)
    assert (found.agreement.correlation, found.agreement.roc_area) == (pytest.approx(1), 1)
    assert found.position.mean == pytest.approx(-0.2) and found.position.moved == 1
    assert found.padding.mean == pytest.approx(0.2)


def test_equal_scores_do_not_correlate_with_the_verdicts():
    found = agreement([Sample("p", GOOD, passed) for passed in (True, False, True)], [Judgement(0.1)] * 3)
    assert math.isnan(found.correlation) and found.roc_area == 0.5


def test_the_interval_of_a_roc_area_has_the_level_of_every_other_interval():
    samples = [Sample("p", GOOD, passed) for passed in [True] * 4 + [False] * 4]
    low, high = agreement(
        samples, [Judgement(score) for score in (0.9, 0.8, 0.3, 0.7, 0.2, 0.4, 0.1, 0.75)]
    ).roc_interval
    area, z = 13 / 16, NormalDist().inv_cdf(0.975)  # 13 of the 16 pairs are in order
    spread = area * (1 - area) + 3 * (area / (2 - area) - area**2) + 3 * (2 * area**2 / (1 + area) - area**2)
    assert (low, high) == (pytest.approx(area - z * math.sqrt(spread / 16)), 1.0)


@pytest.mark.parametrize("line", ["[]", "{}", '{"task_id": "t"}', '{"task_id": "t", "code": "x"}', "no"])
def test_a_line_that_is_no_sample_is_named(tmp_path, line):
    (tmp_path / "s.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match="s.jsonl, line 1"):
        read_graded(str(tmp_path / "s.jsonl"), {"t": Task("t", "p", "")})


def test_the_command_reports_and_asks_nothing_twice(tmp_path):
    with ScriptedServer(scripted_judges.honest) as server:
        command = [
            sys.executable,
            reward_llm_judge.__file__,
            "--judge-base-url",
            server.url,
            "--judge-model",
            "scripted",
            "--injections",
            str(ROOT / "tests" / "injections"),
            "--output-dir",
            str(tmp_path / "out"),
        ]
        outputs = [
            subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout
            for _ in range(2)
        ]
        asked = [json.dumps(body) for body in server.requests if "its id is" in str(body)]
    assert len(asked) == len(set(asked))
    assert "| all | 165 | 0 | 0 |" in outputs[0] and "asked    0 requests" in outputs[1]
    assert json.loads((tmp_path / "out" / "judge_report.json").read_text())["injections"]["raised"] == []


# A real server


@pytest.fixture(scope="module")
def real_server(tmp_path_factory):
    from helpers.serve_fixture import missing_packages, serving

    if missing_packages():
        pytest.skip(f"transformers serve needs {', '.join(missing_packages())}: pip install -r requirements-test.txt")
    with serving(tmp_path_factory.mktemp("serve")) as found:
        yield found


def test_a_random_model_behind_a_real_server_scores_nothing(real_server, tmp_path):
    url, model = real_server
    with LlmClient(Endpoint(url, model, concurrency=2)) as client:
        client.check()
        (greeting,) = client.ask_all([Request(({"role": "user", "content": "one two"},), 0.0, 4)])
        assert greeting.error == "" and greeting.completion_tokens > 0
        judge = LlmJudge(client, AnswerCache(tmp_path / "judgements.jsonl"))
        found = judge.judge([("add one", GOOD), ("add one", BAD)])
    assert [judgement.score for judgement in found] == [None, None]
    assert {judgement.error for judgement in found} == {"the answer is not a single JSON object"}
    with LlmClient(Endpoint(url, "another/model", max_retries=0)) as client:
        with pytest.raises(InputError, match="HTTP 400"):
            client.check()

"""Hostile programs get no PASS and do no harm, honest ones pass: behind every set of walls that a machine may have."""

import os
import sys

import pytest

from attacks import corpus, host
from attacks.caller import MODES, Caller, unavailable

HOSTILE, BESIDE = corpus.hostile_programs(), corpus.programs_beside_their_test()
HONEST, REFUSED = corpus.honest_programs(), corpus.refused_programs()
FAMILIES = """early_exits forged_channels host_files hostile_replies hostile_sources lying_objects network own_objects
patched_world reading_tests resource_bombs signals_ptrace stdin_programs survivors""".split()
HARM = ("host_files", "network", "signals_ptrace", "survivors")  # what they try needs no verdict
SAFE = ("PARTIAL", "FAIL")
GROWTH_MEGABYTES = 500  # that judges may keep of the largest tests and values
PROBE = {  # an honest program that fails where anything of the last program is left
    "code": "import os\n\n\ndef seen():\n    return os.listdir('.'), os.listdir(os.environ['TMPDIR']), [1] == [2]\n",
    "test": "assert seen() == ([], [], False)\n",
    "entry_point": "seen",
    "timeout": 2.0,
}
PROBE_BESIDE = {  # the same for programs that run beside their test
    "code": """
import os


def left():
    for folder in ("/dev/shm", "/tmp", "/var/tmp", "/run", "."):
        try:
            if "left-behind" in os.listdir(folder):
                return folder
        except OSError:
            continue


def add(a, b):
    return left() or a + b
""",
    "test": corpus.UNITTEST.test,
    "entry_point": "add",
    "timeout": 2.0,
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")


@pytest.fixture(scope="module")
def attacked():
    """The host with its canaries."""
    with host.Host() as one:
        yield one


@pytest.fixture(scope="module", params=list(MODES))
def caller(request, attacked):
    """A caller with secrets in its environment, in one of the modes."""
    with started(request.param, attacked) as one:
        assert one.judge(PROBE)["status"] == "PASS", one.walls
        assert one.judge(PROBE_BESIDE)["isolation"] == "shared"
        one.processes, one.megabytes = host.descendants(one.pid), host.resident_megabytes(one.pid)
        yield one


def started(mode: str, attacked) -> Caller:
    """A caller in one of the modes; skips the test where the mode cannot be had."""
    if reason := unavailable(mode):
        pytest.skip(reason)
    environment = {"HOME": str(attacked.home), "TMPDIR": str(attacked.scratch), "PATH": os.environ["PATH"]}
    return Caller(mode, environment | {"HF_TOKEN": attacked.secret, "OPENAI_API_KEY": attacked.secret})


def judged(caller, attacked, program: dict, restarts: str = "", probe: dict = PROBE) -> dict:
    """The verdict of one program; the test fails when host, harness or the next program have suffered."""
    try:
        verdict, after = caller.judge(program), caller.judge(probe)
    except (ConnectionError, TimeoutError) as error:
        caller.restart()
        pytest.fail(f"{error}; damage: {attacked.damage()}")
    before, caller.processes = caller.processes, host.settled_descendants(caller.pid, len(caller.processes))
    assert attacked.damage() == []
    assert attacked.secret not in str(verdict), "a secret has come out"
    assert after["status"] == "PASS", f"the next program suffers: {after}"
    assert len(caller.processes) <= len(before), "processes have survived"
    assert caller.processes == before or restarts, "a process of the harness was lost"
    return verdict


def skip_where_nothing_new(caller, attack) -> None:
    """Skips what does not hang on the walls that stand, in all modes but the first."""
    if caller.mode != "full" and attack.in_one_mode or caller.mode in ("rooted", "user") and attack.family not in HARM:
        pytest.skip("the same in every mode")


def named(attacks):
    """Parametrises a test with programs, under their names."""
    return pytest.mark.parametrize("attack", attacks, ids=[attack.name for attack in attacks])


@named(HOSTILE)
def test_hostile_program_gets_no_pass_and_does_no_harm(caller, attacked, attack):
    skip_where_nothing_new(caller, attack)
    verdict = judged(caller, attacked, attack.program(attacked.words(caller.pid)), attack.restarts)
    assert verdict["status"] in SAFE, verdict["reason"]
    status, _, kind = attack.expect.partition(" ")
    assert verdict["status"].startswith(status) and verdict["reason"].startswith(kind), verdict["reason"]
    assert verdict["isolation"] == "separate", "a program has chosen to be run beside its test"
    assert attacked.mark not in str(verdict), "the test has come out"


@named([attack for attack in HOSTILE if attack.family in HARM])
def test_hostile_program_does_no_harm_beside_its_test(caller, attacked, attack):
    program = attack.program(attacked.words(caller.pid), corpus.UNITTEST)
    verdict = judged(caller, attacked, program, attack.restarts, PROBE_BESIDE)
    assert verdict["isolation"] == "shared"
    assert verdict["status"] != "INFRA", verdict["reason"]


@named(BESIDE)
def test_program_beside_its_test_hides_no_failure(caller, attacked, attack):
    verdict = judged(caller, attacked, attack.program(attacked.words(caller.pid)), attack.restarts, PROBE_BESIDE)
    assert verdict["isolation"] == "shared"
    assert verdict["status"] != "INFRA", verdict["reason"]
    assert verdict["status"].startswith(attack.expect), verdict["reason"]


@named(HONEST)
def test_honest_program_passes(caller, attacked, attack):
    if attack.needs and attack.needs not in caller.libraries:
        pytest.skip(f"{attack.needs} is not installed for this Python")
    skip_where_nothing_new(caller, attack)
    verdict = judged(caller, attacked, attack.program(attacked.words(caller.pid)))
    assert verdict["status"] == "PASS", f"{verdict['reason']}\n{verdict['output']}"


@named(REFUSED)
def test_processes_and_sockets_are_refused_with_the_reason(caller, attacked, attack):
    verdict = judged(caller, attacked, attack.program(attacked.words(caller.pid)))
    assert verdict["status"] == "FAIL" and verdict["reason"].startswith("forbidden: "), verdict["reason"]


@pytest.mark.parametrize("name", list(corpus.TASKS))
def test_right_solution_of_a_task_passes(caller, attacked, name):
    task = corpus.TASKS[name]
    program = corpus.Attack(name, "", task.solution, task).program(attacked.words(caller.pid))
    verdict = caller.judge(program)
    assert (verdict["status"], verdict["isolation"]) == ("PASS", "separate"), verdict["reason"]


@pytest.mark.parametrize("name", list(corpus.EVALUATED))
def test_test_that_runs_what_the_code_returns_is_kept_with_the_code(caller, attacked, name):
    task = corpus.EVALUATED[name]
    program = corpus.Attack(name, "", task.solution, task).program(attacked.words(caller.pid))
    verdict = judged(caller, attacked, program, probe=PROBE_BESIDE)
    assert (verdict["status"], verdict["isolation"]) == ("PASS", "shared"), verdict["reason"]


@pytest.mark.parametrize("name, code", [("missing", "x = 1\n"), ("no function", "add = 5\n")])
def test_reason_names_the_entry_point(caller, name, code):
    verdict = caller.judge({"code": code, "test": corpus.ADD.test, "entry_point": "add"})
    assert verdict["status"] == "FAIL" and "'add'" in verdict["reason"], verdict["reason"]


def test_memory_has_not_grown(caller):
    assert host.resident_megabytes(caller.pid) < caller.megabytes + GROWTH_MEGABYTES


@pytest.mark.parametrize("mode", list(MODES))
def test_nothing_is_left_of_a_closed_sandbox(attacked, mode):
    before = set(os.listdir(attacked.scratch))
    with started(mode, attacked) as one:
        assert one.judge(PROBE)["status"] == "PASS"
        processes = host.descendants(one.pid)
    assert host.lasting(processes) == []
    assert set(os.listdir(attacked.scratch)) == before


def test_corpus_is_whole():
    assert sorted({attack.family for attack in HOSTILE}) == FAMILIES
    assert len(HOSTILE) >= 130 and len(HONEST) >= 45

"""Dockerfile, compose file, ignore file and each documented docker line agree. Builds nothing and needs no docker."""

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.paths import ROOT, SCRIPTS
from raccoon import constants
from raccoon.gpus import OLDEST_DRIVER

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
IMAGES = ("run", "test", "vllm")  # the stages that become images
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
IMAGE = "nano-raccoon-rl"
CHECKPOINT_SECONDS = 600  # between SIGTERM and SIGKILL: a step, then 177 GB at a few hundred MB/s
SECRET = re.compile(r"TOKEN|API_KEY|SECRET|PASSWORD")
# How many words follow a flag of docker run; -v "$PWD:/app" is two words, and so on.
RUN_FLAGS = {"--rm": 0, "-it": 0, "-i": 0, "-d": 0, "--gpus": 1, "--shm-size": 1, "--tmpfs": 1, "--stop-timeout": 1,
             "--user": 1, "-v": 1, "-e": 1, "--name": 1, "--network": 1, "--ulimit": 1, "--entrypoint": 1}
KEPT_OUT = """.git/config .env .env.local scripts/.env id_rsa .venv/bin/python .venv-demo/bin/python .venv-test/x
data/humaneval/HumanEval.jsonl.gz demo/sft_model/model.safetensors nano-raccoon-rl/checkpoint-50/optimizer.pt
my-sft-model/model.safetensors eval_results/results.json runs/a/b samples.jsonl .ruff_cache/x tests/.pytest_cache/v
scripts/__pycache__/sandbox.cpython-311.pyc""".split()


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [(line.split(None, 1)[0], " ".join(line.split()[1:])) for line in lines.splitlines() if line.strip()]


def stages() -> dict[str, list[tuple[str, str]]]:
    """name -> instructions of each stage, those of the stage that it continues first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for word, rest in instructions():
        if word == "FROM":
            base, _, name = rest.split()
            found[name] = list(found.get(base, []))
        elif found:
            found[name].append((word, rest))
    return found


def last(stage: str, word: str) -> str:
    """What the last such instruction of a stage says."""
    return [rest for found, rest in stages()[stage] if found == word][-1]


def environment(stage: str) -> dict[str, str]:
    """The variables that a stage sets."""
    words = [word for found, rest in stages()[stage] if found == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def documented() -> list[str]:
    """Each docker command in the documents and scripts, as one line without its comment."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("*.md"))]
    blocks = [block for text in texts for block in re.findall(r"^```(?:bash|sh|shell)?\n(.*?)^```", text, re.M | re.S)]
    headers = [re.sub(r"^#", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.M)
               for name in ("Dockerfile", "docker-compose.yml")]
    lines = "\n".join([*blocks, *headers, f"{constants.IMAGE} true"]).replace("\\\n", " ").splitlines()
    commands = [part.strip() for line in lines for part in line.split(" && ")]
    return sorted({command for command in commands if re.match(r"docker (build|run|compose|stop)\b", command)})


def lines_of(*command: str) -> list[list[str]]:
    """The words after `docker build`, or another command, of each documented line that starts so."""
    words = [shlex.split(line, comments=True) for line in documented()]
    return [found[1 + len(command):] for found in words if found[1:1 + len(command)] == list(command)]


def split_run(words: list[str]) -> tuple[list[tuple[str, str]], str, list[str]]:
    """Flags with their values, image and command of a `docker run`."""
    words, flags = list(words), []
    while words[0].startswith("-"):
        flag, equals, value = words.pop(0).partition("=")
        assert flag in RUN_FLAGS, f"{flag} is new in a documented line: add it to RUN_FLAGS"
        flags.append((flag, value if equals or not RUN_FLAGS[flag] else words.pop(0)))
    return flags, words[0], words[1:]


def flags_of(script: Path) -> set[str]:
    """The flags that a script takes."""
    text = script.read_text(encoding="utf-8")
    if script.suffix == ".sh":
        return set(re.findall(r"--[a-z][a-z-]+", text))
    flags = {node.args[0].value for node in ast.walk(ast.parse(text))
             if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"}
    if "override_constants" in text:
        table = constants.read_constants(vars(importlib.import_module(script.stem)))
        flags |= {constant.flag for constant in table} | {"--demo"}
    return flags | {"--help"}


def check_script(words: list[str]) -> None:
    """Asserts that `python scripts/x.py --flag value` can be meant: the script exists and has these flags."""
    assert words[0] in ("python", "bash", "true"), words
    if words[0] != "true":
        script = ROOT / words[1]
        assert script.is_file(), f"no script {words[1]}"
        given = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
        assert given <= flags_of(script), f"{words[1]} has no {given - flags_of(script)}"


def seconds(duration: str) -> int:
    """A compose duration of minutes and seconds."""
    minutes, rest = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", duration).groups()
    return 60 * int(minutes or 0) + int(rest or 0)


# --- the Dockerfile ---------------------------------------------------------------------------------------------------


def test_base_image_is_pinned_and_can_be_chosen():
    (word, rest), (_, first) = instructions()[0], next(item for item in instructions() if item[0] == "FROM")
    assert word == "ARG" and re.fullmatch(r"BASE_IMAGE=python:3\.1\d[\w.]*-slim-\w+", rest)
    assert first.startswith("${BASE_IMAGE} ")


@pytest.mark.parametrize("stage", IMAGES)
def test_image_runs_as_an_ordinary_user(stage):
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last(stage, "USER")), "Kubernetes' runAsNonRoot wants a number"


def test_run_is_the_stage_that_a_plain_build_ends_with():
    assert list(stages())[-1] == "run" and IMAGE in {service["image"] for service in OURS.values()}


@pytest.mark.parametrize("stage", IMAGES)
def test_code_comes_after_everything_that_takes_long(stage):
    steps = stages()[stage]
    code = steps.index(("COPY", ". ."))
    copied = [place for place, (word, rest) in enumerate(steps) if word == "COPY"]
    assert code == max(copied) and not [rest for word, rest in steps[code:] if word == "RUN"]
    assert all(re.match(r"requirements[\w-]*\.txt ", rest) for _, rest in (steps[place] for place in copied[:-1]))


def installations(stage: str) -> list[str]:
    """What a stage runs with pip, without the mounts of the build."""
    steps = [rest for word, rest in stages()[stage] if word == "RUN"]
    return [re.sub(r"--mount=\S+ ", "", rest) for rest in steps if "pip install" in rest]


def test_only_one_image_has_vllm_and_no_image_has_two_sets_of_libraries():
    found = {stage: set(re.findall(r"requirements[\w-]*\.txt", " ".join(installations(stage)))) for stage in IMAGES}
    assert found == {"run": {"requirements.txt"}, "test": {"requirements.txt", "requirements-test.txt"},
                     "vllm": {"requirements-vllm.txt"}}


@pytest.mark.parametrize("index", ["", "https://download.pytorch.org/whl/cu126"])
def test_torch_can_come_from_another_index(index):
    """The torch of an index for one CUDA has a version like 2.13.0+cu126, which pip prefers to PyPI's 2.13.0."""
    assert ("ARG", "TORCH_INDEX=") in stages()["run"] and ("ARG", "TORCH_INDEX=") not in stages()["vllm"]
    line, = installations("run")
    done = subprocess.run(["sh", "-euc", f'pip() {{ echo "$@"; }}; {line}'], env={"TORCH_INDEX": index},
                          capture_output=True, text=True, check=True)
    words = done.stdout.split()
    assert words[:3] == ["install", "--cache-dir", "/pip"] and words[-2:] == ["--requirement", "requirements.txt"]
    assert words[3:-2] == (["--extra-index-url", index] if index else [])


@pytest.mark.parametrize("stage", IMAGES)
def test_what_ngc_images_set_is_empty_before_anything_is_installed(stage):
    """Since 25.03 they make pip refuse every version but their own."""
    words = [f"{word} {rest}" for word, rest in stages()[stage]]
    assert environment(stage)["PIP_CONSTRAINT"] == environment(stage)["LD_LIBRARY_PATH"] == ""
    empty = next(place for place, step in enumerate(words) if "PIP_CONSTRAINT=" in step)
    assert empty < next(place for place, step in enumerate(words) if "-m venv" in step or "pip install" in step)


@pytest.mark.parametrize(("name", "section"), [
    ("README.md", "## In a container"), ("SETUP_GUIDE.md", "## 1. The machine"), ("Dockerfile", "# The image")])
def test_the_driver_is_named_where_one_starts(name, section):
    text = (ROOT / name).read_text(encoding="utf-8").partition(f"\n{section}")[2].partition("\n## ")[0]
    assert f"{OLDEST_DRIVER['13']} or newer" in text and "TORCH_INDEX" in text


def test_image_holds_what_the_scripts_need():
    installed = " ".join(rest for word, rest in stages()["run"] if word == "RUN").split()
    assert {"gcc", "libc6-dev", "tini"} <= set(installed)
    assert last("run", "ENTRYPOINT") == '["tini", "-g", "--"]'
    assert last("run", "VOLUME") == environment("run")["HF_HOME"]
    check_script(ast.literal_eval(last("run", "CMD")))
    check_script(ast.literal_eval(last("test", "CMD")))


@pytest.mark.parametrize("stage", IMAGES)
def test_environment_makes_no_second_environment(stage):
    """demo.sh and test.sh take the interpreter of the image."""
    values = environment(stage)
    assert values["DEMO_PYTHON"] == values["TEST_PYTHON"] == "python"
    assert "DEMO_PYTHON" in (SCRIPTS / "demo.sh").read_text() and "TEST_PYTHON" in (SCRIPTS / "test.sh").read_text()


def test_no_secret_enters_the_image():
    assert [rest for word, rest in instructions() if word in ("ENV", "ARG") and SECRET.search(rest)] == []
    for service in SERVICES.values():
        named = [entry for entry in service.get("environment", []) if SECRET.search(entry)]
        assert all("=" not in entry for entry in named), "only the name, so that the value stays in the shell"


# --- what enters the image --------------------------------------------------------------------------------------------


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last pattern that matches it or a folder above it decides."""
    candidates, verdict = [path, *map(str, Path(path).parents)][:-1], False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(pattern, candidate) for candidate in candidates):
                verdict = not line.startswith("!")
    return verdict


@pytest.mark.parametrize("path", KEPT_OUT)
def test_ignore_file_keeps_out(path):
    assert ignored(path)


def test_ignore_file_lets_in_what_is_published():
    try:
        done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no git here")
    assert [path for path in done.stdout.splitlines() if ignored(path)] == []


# --- the compose file -------------------------------------------------------------------------------------------------


def test_services_are_those_that_people_know():
    assert set(SERVICES) == {"train", "train-vllm", "evaluate", "demo", "test", "judge", "rollouts"}
    assert set(OURS) == set(SERVICES) - {"judge", "rollouts"}


@pytest.mark.parametrize("name", OURS)
def test_service_agrees_with_the_dockerfile(name):
    service = OURS[name]
    stage, tini = service["build"]["target"], ast.literal_eval(last("run", "ENTRYPOINT"))
    assert stage in stages() and service["entrypoint"][:len(tini)] == tini
    check_script(service["entrypoint"][len(tini):])
    assert dict(volume.split(":") for volume in service["volumes"]) == {
        ".": last(stage, "WORKDIR"), "hf": environment(stage)["HF_HOME"]}
    assert service["user"] == "${RUN_AS:-" + last(stage, "USER") + "}"
    assert seconds(service["stop_grace_period"]) >= CHECKPOINT_SECONDS
    assert "privileged" not in service and "cap_add" not in service
    assert service["tmpfs"].startswith("/tmp:") and "size=" in service["tmpfs"]


def test_only_services_for_models_of_any_size_ask_for_a_gpu():
    assert {name for name, service in SERVICES.items() if "deploy" in service} == {
        "train", "train-vllm", "evaluate", "judge", "rollouts"}


def test_foreign_images_are_pinned_and_reached_from_this_machine_alone():
    judge = SERVICES["judge"]
    assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", judge["image"])
    assert all(port.startswith("127.0.0.1:") for port in judge["ports"])


def test_volumes_are_declared():
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert used - {"."} == set(COMPOSE["volumes"])


# --- the documented lines ---------------------------------------------------------------------------------------------


def test_documents_show_how_to_build_train_and_evaluate():
    assert lines_of("build") and lines_of("compose", "run")
    scripts = {words[1] for words in (split_run(line)[2] for line in lines_of("run")) if len(words) > 1}
    assert {"scripts/train_rl_poc.py", "scripts/evaluate_models.py"} <= scripts


@pytest.mark.parametrize("words", lines_of("build"), ids=" ".join)
def test_documented_build(words):
    assert words[-1] == "." and words[words.index("-t") + 1].partition(":")[0] == IMAGE
    assert "--target" not in words or words[words.index("--target") + 1] in stages()
    given = {word.partition("=")[0] for place, word in enumerate(words) if words[place - 1] == "--build-arg"}
    assert given <= {rest.partition("=")[0] for word, rest in instructions() if word == "ARG"}


@pytest.mark.parametrize("words", lines_of("run"), ids=" ".join)
def test_documented_run(words):
    flags, image, command = split_run(words)
    assert image in {service["image"] for service in SERVICES.values()}
    if image in {service["image"] for service in OURS.values()}:
        check_script(command)
    mounted = {value.split(":")[0]: value.split(":")[1] for flag, value in flags if flag == "-v"}
    assert mounted.get("$PWD", last("run", "WORKDIR")) == last("run", "WORKDIR")
    assert mounted.get("hf", environment("run")["HF_HOME"]) == environment("run")["HF_HOME"]
    values = dict(flags)
    assert int(values.get("--stop-timeout", CHECKPOINT_SECONDS)) == CHECKPOINT_SECONDS
    assert "train_rl_poc.py" not in " ".join(command) or "--stop-timeout" in values
    same = {"--tmpfs": OURS["train"]["tmpfs"], "--shm-size": OURS["train"]["shm_size"].removesuffix("b")}
    assert {flag: value for flag, value in flags if flag in same}.items() <= same.items()
    assert not any(SECRET.search(value) and "=" in value for flag, value in flags if flag == "-e")


@pytest.mark.parametrize("words", lines_of("compose"), ids=" ".join)
def test_documented_compose_line(words):
    words = [word for word in words if word not in ("--rm", "--detach", "-d", "-T", "--build", "--follow")]
    assert words[0] in ("run", "up", "build", "logs", "stop", "down") and words[1] in SERVICES
    if words[0] == "run":
        entry = SERVICES[words[1]]["entrypoint"]
        check_script([*entry[entry.index("--") + 1:], *words[2:]])


# --- the sandbox in containers that are narrower than Docker's own ----------------------------------------------------

WITHOUT_CAPABILITIES = """
import ctypes, os, sys
for capability in range(64):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; fails for those the kernel has not
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="the tests do not run as root")
def test_sandbox_stands_for_a_root_without_capabilities():
    """docker run --user 0 --cap-drop ALL."""
    program = '{"code": "def one():\\n    return 1\\n", "test": "assert one() == 1", "entry_point": "one"}\n'
    command = [sys.executable, "-c", WITHOUT_CAPABILITIES, str(SCRIPTS / "sandbox.py"), "--workers", "1"]
    done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and '"PASS"' in done.stdout, done.stderr
    assert "uid kept" in done.stderr

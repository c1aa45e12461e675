"""Dockerfile, compose file, ignore file, scripts and documented docker lines agree. Needs no docker."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from helpers.documents import check_command, command_lines, read
from helpers.paths import ROOT
from raccoon import constants
from raccoon.gpus import OLDEST_DRIVER

SERVICES = yaml.safe_load(read("docker-compose.yml"))["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
IMAGES = {
    "run": {"requirements.txt"},
    "test": {"requirements.txt", "requirements-test.txt"},
    "vllm": {"requirements-vllm.txt"},
}  # stages, and what they install
CHECKPOINT_MINUTES = 10  # between SIGTERM and SIGKILL: a step, then 177 GB at a few hundred MB/s
SECRET = re.compile(r"TOKEN|API_KEY|SECRET|PASSWORD")
KEPT_OUT = """.git/config .env .env.local scripts/.env id_rsa .venv/bin/python .venv-test/x data/a/b.jsonl.gz
nano-raccoon-rl/checkpoint-50/optimizer.pt my-sft-model/model.safetensors eval_results/results.json runs/a/b
samples.jsonl .ruff_cache/x tests/.pytest_cache/v scripts/__pycache__/sandbox.cpython-311.pyc""".split()
DOCKER = [words[1:] for words in [*command_lines(), shlex.split(constants.IMAGE.split(" && ")[1])] if "docker" in words]


def stages() -> dict[str, list[tuple[str, str]]]:
    """name -> instructions of each stage, those of the stage that it continues first."""
    lines = re.sub(r"^#.*\n", "", read("Dockerfile"), flags=re.M).replace("\\\n", " ").splitlines()
    found: dict[str, list[tuple[str, str]]] = {}
    for word, *rest in filter(None, map(str.split, lines)):
        if word == "FROM":
            steps = found[rest[2]] = list(found.get(rest[0], []))
        elif found:
            steps.append((word, " ".join(rest)))
    return found


STAGES = stages()


def last(stage: str, word: str) -> str:
    """What the last such instruction of a stage says."""
    return [rest for found, rest in STAGES[stage] if found == word][-1]


def environment(stage: str) -> dict[str, str]:
    return dict(word.split("=", 1) for found, rest in STAGES[stage] if found == "ENV" for word in shlex.split(rest))


@pytest.mark.parametrize("stage", IMAGES)
def test_image_has_one_set_of_libraries_an_ordinary_user_and_no_secret(stage):
    words = [f"{word} {rest}" for word, rest in STAGES[stage]]
    assert set(re.findall(r"requirement (requirements[\w-]*\.txt)", " ".join(words))) == IMAGES[stage]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last(stage, "USER")), "Kubernetes' runAsNonRoot wants a number"
    assert [step for step in words if step.startswith(("ENV", "ARG")) and SECRET.search(step)] == []
    # demo.sh and test.sh take the image's interpreter; what NGC's images set would refuse or hide what is installed
    assert {"DEMO_PYTHON": "python", "TEST_PYTHON": "python", "PIP_CONSTRAINT": "", "LD_LIBRARY_PATH": ""}.items() <= (
        environment(stage).items()
    )
    check_command(yaml.safe_load(last(stage, "CMD")))


@pytest.mark.parametrize("index", ["", "https://download.pytorch.org/whl/cu126"])
def test_torch_can_come_from_another_index(index):
    """The torch of an index for one CUDA has a version like 2.13.0+cu126, which pip prefers to PyPI's 2.13.0."""
    line = last("run", "RUN").partition(" ")[2]  # without its mount
    script = f'pip() {{ echo "$@"; }}; {line}'
    said = subprocess.check_output(["sh", "-euc", script], env={"TORCH_INDEX": index}, text=True)
    assert ("ARG", "TORCH_INDEX=") in STAGES["run"]
    assert said.split()[3:-2] == (["--extra-index-url", index] if index else [])


def test_the_driver_is_named_where_one_starts():
    for name, section in (("README.md", "## In a container"), ("SETUP_GUIDE.md", "## 1. "), ("Dockerfile", "# The im")):
        text = read(name).partition(f"\n{section}")[2].partition("\n## ")[0]
        assert f"{OLDEST_DRIVER['13']} or newer" in text and "TORCH_INDEX" in text, name


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last pattern that matches it or a folder above it decides."""
    verdict = False
    for line in re.findall(r"^[^#\n]+", read(".dockerignore"), re.M):
        pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(pattern, str(part)) for part in [path, *Path(path).parents][:-1]):
            verdict = not line.startswith("!")
    return verdict


def test_ignore_file_keeps_secrets_and_data_out_and_lets_in_what_is_published():
    assert [path for path in KEPT_OUT if not ignored(path)] == []
    published = subprocess.run(["sh", "-c", "git ls-files"], cwd=ROOT, capture_output=True, text=True)
    assert [path for path in published.stdout.splitlines() if ignored(path)] == []


@pytest.mark.parametrize("name", OURS)
def test_service_agrees_with_the_dockerfile(name):
    service, stage = OURS[name], OURS[name]["build"]["target"]
    assert service["entrypoint"][:3] == yaml.safe_load(last(stage, "ENTRYPOINT"))
    check_command(service["entrypoint"])
    assert service["volumes"] == [f".:{last(stage, 'WORKDIR')}", f"hf:{environment(stage)['HF_HOME']}"]
    assert service["user"] == "${RUN_AS:-" + last(stage, "USER") + "}"
    assert service["stop_grace_period"] == f"{CHECKPOINT_MINUTES}m"
    assert {"privileged", "cap_add"}.isdisjoint(service) and service["tmpfs"].startswith("/tmp:")


def test_services_keep_secrets_in_the_shell_and_ports_on_this_machine():
    written = [entry for service in SERVICES.values() for entry in service.get("environment", []) if "=" in entry]
    assert [entry for entry in written if SECRET.search(entry)] == []
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", []))


@pytest.mark.parametrize("words", [words for words in DOCKER if words[0] in ("build", "run")], ids=" ".join)
def test_documented_docker_line(words):
    images = {service["image"] for service in OURS.values()}
    pairs, train = {*zip(words, words[1:], strict=False)}, OURS["train"]
    known = {
        "--tmpfs": [train["tmpfs"]],
        "--shm-size": [train["shm_size"].removesuffix("b")],
        "-t": images,
        "-v": [volume.replace(".:", "$PWD:") for volume in train["volumes"]],
        "--target": STAGES,
        "--stop-timeout": [str(60 * CHECKPOINT_MINUTES)],
        "-e": train["environment"],
    }
    assert [(flag, value) for flag, value in pairs if flag in known and value not in known[flag]] == []
    assert words[-1] == "." if words[0] == "build" else images & set(words)
    assert "--stop-timeout" in words or "scripts/train_rl_poc.py" not in words


def test_documented_compose_lines():
    lines = [[word for word in words if word not in ("--rm", "--detach")] for words in DOCKER if words[0] == "compose"]
    assert {"run", "up"} == {words[1] for words in lines}
    for _, _, service, *rest in lines:
        check_command([*SERVICES[service].get("entrypoint", []), *rest])

"""The drawing of the project: who may import whom, what is heavy, what every script answers to --help."""

import ast
import functools
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import script_constants
from conftest import ROOT, SCRIPTS

# What each helper may import of its neighbours. A helper is imported by scripts and by helpers above it.
HELPERS = {
    "script_constants": set(),
    "whole_files": {"script_constants"},
    "progress": set(),
    "llm_client": {"script_constants"},
    "evalplus_tests": set(),
    "code_tasks": {"evalplus_tests", "script_constants", "whole_files"},
    "task_templates": {"code_tasks"},
    "integrity_examples": {"code_tasks"},
    "integrity_answers": {"integrity_examples"},
    "integrity_surroundings": set(),
    "integrity_inputs": {"code_tasks", "evalplus_tests", "sandbox", "integrity_examples", "task_templates"},
    "integrity_checks": {
        "code_tasks", "integrity_answers", "integrity_examples", "integrity_inputs", "integrity_surroundings",
        "sandbox",
    },
    "sandbox": set(),
    "sandbox_walls": set(),
    "sandbox_values": set(),
    "sandbox_tests": set(),
    "sandbox_judge": {"sandbox_tests", "sandbox_values", "sandbox_walls"},
    "sandbox_zygote": {"sandbox_values", "sandbox_walls"},
    "eval_statistics": set(),
    "eval_generation": {"code_tasks"},
    "eval_contamination": {"code_tasks"},
    "eval_records": {"code_tasks", "eval_generation", "sandbox", "whole_files"},
    "eval_calibration": {"code_tasks", "eval_records"},
    "eval_grading": {"code_extraction", "code_tasks", "eval_generation", "eval_records", "sandbox"},
    "eval_subjects": {"code_tasks", "eval_generation", "eval_records"},
    "eval_report": {"code_tasks", "eval_calibration", "eval_contamination", "eval_records", "eval_statistics"},
    "run_control": {"whole_files"},
    "run_checkpoints": {"code_tasks", "run_control", "whole_files"},
    "run_profile": {"run_control"},
    "run_heldout": {"eval_statistics", "run_control"},
    "run_sentinels": {"run_control"},
    "answer_cache": {"script_constants"},
    "code_extraction": {"answer_cache", "code_tasks", "llm_client", "sandbox"},
    "rewards": {"code_extraction", "code_tasks", "run_control", "sandbox"},
    "training_tasks": {"code_tasks", "rewards", "sandbox", "script_constants"},
    "sharding": set(),
    "vllm_rollouts": {"code_tasks", "run_control"},
    "policy_export": {"run_control", "sharding"},
    "code_trainer": {
        "code_tasks", "policy_export", "run_checkpoints", "run_control", "run_heldout", "run_profile", "run_sentinels",
        "sharding", "vllm_rollouts",
    },
    "judge_rubric": {"code_tasks", "llm_client"},
    "judge_report": {"code_tasks", "eval_statistics", "judge_rubric"},
    "reward_llm_judge": {"answer_cache", "code_tasks", "judge_report", "judge_rubric", "llm_client", "rewards",
                         "run_control", "script_constants"},
    "report_logs": {"run_control", "script_constants"},
    "report_summary": {"eval_statistics", "report_logs", "run_control", "run_heldout", "run_sentinels"},
    "report_plots": {"report_logs", "run_control"},
    "report_tables": {"eval_statistics", "report_logs", "script_constants"},
    "report_browser": {"report_logs"},
    "synthetic_progress": {"code_tasks"},
    "synthetic_mutants": {"code_tasks"},
    "synthetic_duplicates": {"code_tasks", "eval_contamination", "synthetic_mutants"},
    "synthetic_prompts": {"code_tasks", "llm_client", "synthetic_progress"},
    "synthetic_answers": {"code_tasks", "llm_client", "synthetic_mutants", "synthetic_progress", "synthetic_prompts"},
    "synthetic_verification": {"code_tasks", "rewards", "sandbox", "synthetic_mutants"},
    "gpus": {"script_constants"},
    "launch": {"script_constants"},
    "model_shape": {"script_constants"},
    "plan_memory": {"gpus", "model_shape", "script_constants"},
    "preflight": {"gpus", "launch", "model_shape", "plan_memory", "script_constants"},
    "memory_probe": {"code_trainer", "run_control"},
}
# What people start. A script imports helpers and nobody imports it.
COMMANDS = {"train_rl_poc", "evaluate_models", "create_synthetic_data", "make_report", "model_card", "demo_model",
            "reward_integrity"}
# Helpers that scripts import inside functions only: they are heavy, or belong to one choice of a run.
LATE = {"code_trainer", "memory_probe", "policy_export", "reward_llm_judge", "sharding"}
HEAVY = {"torch", "trl", "transformers", "datasets", "numpy", "scipy", "matplotlib", "accelerate", "peft", "tqdm",
         "jinja2", "openai", "httpx2"}
HEAVY_AT_TOP = {"code_trainer", "memory_probe", "policy_export", "sharding"}  # work on the weights, and are LATE
OPTIONAL = {"sandbox_values": {"numpy"}}  # used where it is installed
STARTED_BY_THE_SANDBOX = {"sandbox_judge", "sandbox_zygote"}  # their argument is no flag

FILES = sorted(path.stem for path in SCRIPTS.glob("*.py"))


@functools.cache
def tree(name: str) -> ast.Module:
    """The parsed source of one file of scripts/."""
    return ast.parse((SCRIPTS / f"{name}.py").read_text(encoding="utf-8"))


def roots(node: ast.AST) -> set[str]:
    """The top-level modules that an import statement names."""
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return {(node.module or "").partition(".")[0]} if isinstance(node, ast.ImportFrom) else set()


def imports(name: str) -> set[str]:
    """All that a file imports, anywhere."""
    return set().union(*map(roots, ast.walk(tree(name))))


def imports_at_top(name: str) -> set[str]:
    """What importing a file imports: its statements outside of functions."""
    found, pending = set(), list(tree(name).body)
    while pending:
        node = pending.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            found |= roots(node)
            pending.extend(ast.iter_child_nodes(node))
    return found


def is_command(name: str) -> bool:
    """Whether a file does something when it is started."""
    tests = [node.test for node in tree(name).body if isinstance(node, ast.If)]
    return any("__main__" in ast.unparse(test) for test in tests)


def calls(name: str, function: str) -> bool:
    """Whether a file calls a function by this name."""
    called = [node.func for node in ast.walk(tree(name)) if isinstance(node, ast.Call)]
    return any(isinstance(one, ast.Name) and one.id == function for one in called)


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_its_place(name):
    assert name in HELPERS or name in COMMANDS, f"{name}.py is new: draw it into the tables of this file"


@pytest.mark.parametrize("name", FILES)
def test_imports_follow_the_arrows(name):
    neighbours = imports(name) & set(FILES)
    assert neighbours <= HELPERS.get(name, set(HELPERS) - STARTED_BY_THE_SANDBOX)


def test_nothing_imports_a_script():
    assert {name: imports(name) & COMMANDS for name in FILES if imports(name) & COMMANDS} == {}


def test_there_is_no_circle():
    graphlib.TopologicalSorter({name: imports(name) & set(FILES) for name in FILES}).prepare()


@pytest.mark.parametrize("name", FILES)
def test_heavy_libraries_are_imported_inside_functions(name):
    assert name in HEAVY_AT_TOP or not imports_at_top(name) & HEAVY
    assert name in LATE or not imports_at_top(name) & LATE


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("sandbox")])
def test_sandbox_needs_the_standard_library_alone(name):
    foreign = {root for root in imports(name) if root not in sys.stdlib_module_names and root not in FILES}
    assert foreign <= OPTIONAL.get(name, set())
    assert {root for root in imports(name) if root in FILES and not root.startswith("sandbox")} == set()


@pytest.mark.parametrize("name", ["script_constants", "code_tasks", "evalplus_tests", "task_templates"])
def test_tasks_load_with_the_standard_library_alone(name):
    assert {root for root in imports_at_top(name) if root not in sys.stdlib_module_names and root not in FILES} == set()


@pytest.mark.parametrize("name", FILES)
def test_no_file_hides_a_module(name):
    """Scripts lie first on sys.path: a file named as a library would be imported in its place."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    required = {re.split(r"[^\w-]", line)[0].replace("-", "_").lower() for line in text.splitlines()} - {""}
    assert name not in sys.stdlib_module_names and name.lower() not in required


@pytest.mark.parametrize("name", FILES)
def test_file_says_what_it_is(name):
    first = (ast.get_docstring(tree(name)) or "").partition("\n\n")[0]
    assert first.endswith((".", "!")) or ":" in first, f"{name}.py needs a docstring that begins with one sentence"


@functools.cache
def help_of(name: str) -> str:
    """What `python scripts/NAME.py --help` prints."""
    words = [sys.executable, str(SCRIPTS / f"{name}.py"), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


STARTED_BY_PEOPLE = [name for name in FILES if is_command(name) and name not in STARTED_BY_THE_SANDBOX]


@pytest.mark.parametrize("name", STARTED_BY_PEOPLE)
def test_help_tells_what_the_script_is_for(name):
    first_word = ast.get_docstring(tree(name)).split()[0]
    assert first_word in help_of(name) or "usage:" in help_of(name)


@pytest.mark.parametrize("name", [name for name in STARTED_BY_PEOPLE if calls(name, "override_constants")])
def test_help_lists_every_constant(name):
    constants = script_constants.read_constants(vars(importlib.import_module(name)))
    assert constants
    listed = {line.split()[0] for line in help_of(name).splitlines() if line.startswith("  ") and line.split()}
    assert {constant.name for constant in constants if {constant.name, constant.flag}.isdisjoint(listed)} == set()


def test_help_lists_every_flag_of_the_sandbox():
    nodes = [node for node in ast.walk(tree("sandbox")) if isinstance(node, ast.Call)]
    added = [node.args[0].value for node in nodes if getattr(node.func, "attr", "") == "add_argument"]
    assert len(added) >= 5 and all(flag in help_of("sandbox") for flag in added)


def published() -> list[Path]:
    """The files that git has or would take; all files outside of hidden folders where there is no git."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        names = done.stdout.split("\0")
    except (FileNotFoundError, subprocess.CalledProcessError):
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
        names = [name for name in names if not any(part.startswith(".") for part in Path(name).parts)]
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


# Where the project was written is nobody's business. In pieces, so that this file is clean as well.
WORDS = [r"(?<![\w.])/wo" + "rk/", "/tmp" + r"/w\b", "pyp" + r"i\.", "python" + "hosted", "arti" + "factory"]
FORBIDDEN = re.compile("|".join(WORDS))


def test_no_word_of_the_place_where_it_was_written():
    found = []
    for path in published():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:  # a picture
            continue
        where = path.relative_to(ROOT)
        found += [f"{where}:{number}: {line}" for number, line in enumerate(lines, 1) if FORBIDDEN.search(line)]
    assert found == []

"""Constants from flags and the environment, and how a script ends."""

import importlib
import json
import runpy
import sys
from pathlib import Path

import pytest

from helpers.paths import SCRIPTS
from raccoon.constant_types import TYPES, file_fault
from raccoon.constants import InputError, constants, override_constants, read_constants, require_python, run_main

SCRIPT = '''\
"""Trains nothing.

More about it.
"""

from os.path import sep as SEPARATOR

MODEL = "tiny"  # what to train
DATA_DIR = ""  # folder of published files; env SCRIPT_DATA

# The batch.
BATCH_SIZE = 4  # prompts
# peak of the schedule
LEARNING_RATE: float = 1e-3
USE_LORA = False
MASK: bool | str = False
GRPO_OPTIONS = {}  # more
MODELS = ["a"]  # to compare
LAYERS = (1, 2)
STEPS_MORE = None
RUN_DIR = ""
API_KEY = ""  # env SCRIPT_KEY
MAX_TOKENS = 10
TABLE = {"x": 1}
_HIDDEN = 1
DEMO = {"BATCH_SIZE": 2, "MODEL": "demo"}
'''


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The globals of a small script."""
    monkeypatch.delenv("SCRIPT_DATA", raising=False)
    monkeypatch.delenv("SCRIPT_KEY", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    namespace = {"__file__": str(path)}
    exec(compile(SCRIPT, str(path), "exec"), namespace)
    return namespace


@pytest.mark.parametrize(
    "words, name, value",
    [
        (["--batch-size", "8"], "BATCH_SIZE", 8),
        (["--batch-size=8"], "BATCH_SIZE", 8),
        (["--batch-size", "-1"], "BATCH_SIZE", -1),
        (["--batch-size", "8", "--batch-size", "9"], "BATCH_SIZE", 9),
        (["--learning-rate", "2"], "LEARNING_RATE", 2.0),
        (["--learning-rate", "1e-5"], "LEARNING_RATE", 1e-5),
        (["--use-lora"], "USE_LORA", True),
        (["--use-lora", "true"], "USE_LORA", True),
        (["--use-lora", "false"], "USE_LORA", False),
        (["--no-use-lora"], "USE_LORA", False),
        (["--mask", "--use-lora"], "MASK", True),
        (["--mask", "true"], "MASK", True),
        (["--mask", "passed"], "MASK", "passed"),
        (["--no-mask"], "MASK", False),
        (["--grpo-options", '{"a": 0.5, "b": [1]}'], "GRPO_OPTIONS", {"a": 0.5, "b": [1]}),
        (["--models", "x", "y"], "MODELS", ["x", "y"]),
        (["--models=x"], "MODELS", ["x"]),
        (["--layers", "3", "4", "5"], "LAYERS", (3, 4, 5)),
        (["--steps-more", "7"], "STEPS_MORE", 7),
        (["--steps-more", "none"], "STEPS_MORE", None),
        (["--model", ""], "MODEL", ""),
        (["--model=--x"], "MODEL", "--x"),
        (["--demo"], "BATCH_SIZE", 2),
        (["--batch-size", "8", "--demo"], "BATCH_SIZE", 8),
        (["--max-tokens", "3"], "MAX_TOKENS", 3),
    ],
)
def test_flags_set_typed_constants(script, words, name, value):
    override_constants(script, words)
    assert script[name] == value and type(script[name]) is type(value)


@pytest.mark.parametrize(
    "words, parts",
    [
        (["--batch-size", "four"], ["--batch-size", "'four'", "whole number"]),
        (["--batch-size", "4.5"], ["--batch-size", "'4.5'"]),
        (["--learning-rate", "fast"], ["--learning-rate", "'fast'", "number"]),
        (["--layers", "1", "x"], ["--layers", "'x'"]),
        (["--use-lora=perhaps"], ["--use-lora", "true or false"]),
        (["--batchsize", "8"], ["--batchsize", "--batch-size"]),
        (["--models"], ["--models", "value"]),
        (["--batch-size"], ["--batch-size", "value"]),
        (["--grpo-options", "a=1"], ["--grpo-options is 'a=1'", "JSON object"]),
        (["--grpo-options", "[1]"], ["--grpo-options is '[1]'", "JSON object"]),
        (["--grpo-options"], ["--grpo-options needs a value, like '{}'"]),
        (["stray"], ["'stray'"]),
        (["--no-model"], ["--no-model"]),
        (["--api-key", "s3cret"], ["--api-key", "SCRIPT_KEY"]),
        (["--table", "1"], ["--table"]),
        (["--separator", "x"], ["--separator"]),
        (["-x"], ["-x"]),
        (["--hidden", "2"], ["--hidden"]),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(script, capsys, words, parts):
    before = dict(script)
    with pytest.raises(SystemExit) as caught:
        override_constants(script, words)
    captured = capsys.readouterr()
    assert caught.value.code == 2 and captured.out == "" and captured.err.count("\n") == 1
    assert all(part in captured.err for part in parts) and "s3cret" not in captured.err
    assert {name: script[name] for name in before} == before


@pytest.mark.parametrize(
    "line, edited, parts",
    [
        ("BATCH_SIZE = 4", "BATCH_SIZE = 4.0", ["BATCH_SIZE in script.py is 4.0", "whole number"]),
        ("BATCH_SIZE = 4", "BATCH_SIZE = True", ["BATCH_SIZE in script.py is True", "whole number"]),
        ("LEARNING_RATE: float = 1e-3", 'LEARNING_RATE: float = "5e-6"', ["LEARNING_RATE", "'5e-6'", "number"]),
        ("LEARNING_RATE: float = 1e-3", 'LEARNING_RATE = "5e-6"', ["LEARNING_RATE", "'5e-6'", "number"]),
        ("USE_LORA = False", 'USE_LORA = "no"', ["USE_LORA", "'no'", "True or False"]),
        ('MODELS = ["a"]', 'MODELS = "a"', ["MODELS", "'a'", "list"]),
        ('MODELS = ["a"]', "MODELS = [1]", ["MODELS", "[1]", "list"]),
        ('DATA_DIR = ""', "import pathlib\nDATA_DIR = pathlib.Path('/d')", ["DATA_DIR", "text in quotes"]),
        ("MASK: bool | str = False", "MASK: bool | str = 1", ["MASK", "bool | str"]),
        ('DEMO = {"BATCH_SIZE": 2', 'DEMO = {"BATCH_SIZE": "2"', ["BATCH_SIZE in DEMO", "'2'"]),
        ('DEMO = {"BATCH_SIZE": 2', 'DEMO = {"BATCHSIZE": 2', ["DEMO", "BATCHSIZE", "did you mean BATCH_SIZE"]),
        ("BATCH_SIZE = 4", "BATCHSIZE = 4", ["uses BATCH_SIZE", "did you mean BATCHSIZE"]),
        ("BATCH_SIZE = 4", "from os import sep as UNUSED\nBATCHSIZE = 4", ["uses BATCH_SIZE", "BATCHSIZE"]),
        ('API_KEY = ""', "API_KEY: str = 5443", ["API_KEY", "***", "text in quotes"]),
    ],
)
def test_a_wrong_value_in_the_file_is_one_line_and_exit_2(tmp_path, capsys, line, edited, parts):
    path, text = tmp_path / "script.py", SCRIPT + "def batch():\n    return BATCH_SIZE\n"
    assert line in text
    path.write_text(text.replace(line, edited))
    namespace = {"__file__": str(path)}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    with pytest.raises(SystemExit) as caught:
        override_constants(namespace, [])
    said = capsys.readouterr().err
    assert caught.value.code == 2 and said.count("\n") == 1 and "5443" not in said
    assert all(part in said for part in parts)


def test_a_whole_number_in_the_file_still_takes_a_fraction_as_its_flag(script):
    path = Path(script["__file__"])
    path.write_text(SCRIPT.replace("LEARNING_RATE: float = 1e-3", "LEARNING_RATE = 1"))
    script["LEARNING_RATE"] = 1
    override_constants(script, ["--learning-rate", "0.5"])
    assert script["LEARNING_RATE"] == 0.5


@pytest.mark.parametrize("script_file", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.name)
def test_the_type_of_each_constant_is_known(script_file):
    if "override_constants(globals()" not in script_file.read_text():
        return
    namespace = vars(importlib.import_module(script_file.stem))
    assert file_fault(namespace) == ""
    found = [each for each in read_constants(namespace) if not isinstance(each.value, (tuple, dict))]
    missing = [each.name for each in found if not each.annotation and each.name not in TYPES]
    assert not missing, "annotate them, or add them to raccoon/constant_types.py"


@pytest.mark.parametrize("file", sorted((SCRIPTS.parent / "benchmarks").glob("*.py")), ids=lambda path: path.name)
def test_the_constants_of_a_benchmark_are_of_the_types_that_their_names_have(file):
    if "override_constants(globals()" in file.read_text():
        assert file_fault(runpy.run_path(str(file), run_name="read")) == ""


@pytest.mark.parametrize(
    ("line", "flags", "fault"),
    [
        ("SEED = -1", [], "SEED is -1; give a value from 0 to 4294967295"),
        ("SEED = 1", ["--seed", "4294967296"], "SEED is 4294967296"),
        ("TOP_P = 1.5", [], "TOP_P is 1.5; give a value from 1e-06 to 1"),
        ("TOP_K = 0", ["--top-k", "-3"], "TOP_K is -3; give a value from 0 on"),
        ("LEARNING_RATE = 1.0", ["--learning-rate", "inf"], "LEARNING_RATE is inf; give a finite number"),
        ("REWARD_WEIGHTS = [1.0]", ["--reward-weights", "1", "nan"], "REWARD_WEIGHTS is [1.0, nan]; give a finite"),
        ("DATE = ''", ["--date", "2026-99-99"], "DATE is '2026-99-99'; give a date like"),
        ("LIMIT = 0\nDEMO = {'LIMIT': -2}", ["--demo"], "LIMIT is -2"),
    ],
)
def test_a_number_out_of_its_range_is_named_wherever_it_stands(tmp_path, line, flags, fault, capsys):
    (tmp_path / "script.py").write_text(line)
    namespace = runpy.run_path(str(tmp_path / "script.py"))
    with pytest.raises(SystemExit, match="2"):
        override_constants(namespace, flags)
    assert fault in capsys.readouterr().err


def test_the_config_of_an_earlier_run_is_between_demo_and_flags(script, tmp_path, capsys):
    saved = tmp_path / "config.json"
    saved.write_text('{"hidden_size": 8, "ended": "", "BATCH_SIZE": 16, "LEARNING_RATE": 2, "MODEL": "saved"}')
    override_constants(script, ["--demo", "--model", "mine", "--config", str(saved)])
    assert (script["BATCH_SIZE"], script["LEARNING_RATE"], script["MODEL"]) == (16, 2.0, "mine")
    assert "BATCH_SIZE = 16 (config)" in capsys.readouterr().out


def test_where_a_run_was_uploaded_is_not_taken_over(tmp_path):
    """Another run would overwrite its model on the hub."""
    saved, script = tmp_path / "config.json", {"__file__": str(tmp_path / "script.py"), "PUSH_TO_HUB": "", "SEED": 1}
    (tmp_path / "script.py").write_text('PUSH_TO_HUB = ""\nSEED = 1\n')
    saved.write_text('{"PUSH_TO_HUB": "me/model", "SEED": 2}')
    override_constants(script, ["--config", str(saved)])
    assert (script["PUSH_TO_HUB"], script["SEED"]) == ("", 2)


def test_a_saved_value_that_is_the_files_own_counts_too(script, tmp_path, monkeypatch, capsys):
    own, saved = script["BATCH_SIZE"], tmp_path / "config.json"
    monkeypatch.setenv("SCRIPT_DATA", "/env")
    saved.write_text(json.dumps({"BATCH_SIZE": own, "DATA_DIR": ""}))
    override_constants(script, ["--demo", "--config", str(saved)])
    assert script["BATCH_SIZE"] == own and script["DATA_DIR"] == ""
    assert "(config)" not in capsys.readouterr().out


@pytest.mark.parametrize("text", ['{"BATCH_SIZE": "16"}', '{"BATCH_SIZ": 16}', '{"hidden_size": 8}', "[", "[1]"])
def test_a_config_that_is_none_of_the_script_is_one_line(script, tmp_path, text, capsys):
    (tmp_path / "config.json").write_text(text)
    for path in (str(tmp_path / "config.json"), str(tmp_path / "none"), ""):
        with pytest.raises(SystemExit):
            override_constants(script, ["--config", path])
        assert capsys.readouterr().err.count("\n") == 1


def test_priority_is_file_environment_demo_flag(script, monkeypatch, capsys):
    monkeypatch.setenv("SCRIPT_DATA", "/env")
    monkeypatch.setenv("SCRIPT_KEY", "s3cret")
    monkeypatch.setenv("BATCH_SIZE", "99")  # no comment names it
    override_constants(script, ["--demo", "--model", "mine"])
    assert (script["DATA_DIR"], script["BATCH_SIZE"], script["MODEL"]) == ("/env", 2, "mine")
    said = capsys.readouterr().out
    assert said.startswith("changed: ") and said.count("\n") == 1 and "s3cret" not in said
    for part in ("DATA_DIR = '/env' (env SCRIPT_DATA)", "BATCH_SIZE = 2 (demo)", "MODEL = 'mine' (flag)"):
        assert part in said
    assert script["API_KEY"] == "s3cret"


def test_only_the_first_process_says_what_changed(script, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    override_constants(script, ["--batch-size", "8"])
    assert script["BATCH_SIZE"] == 8 and capsys.readouterr().out == ""


def test_positional_argument_sets_the_named_constant(script):
    override_constants(script, ["--use-lora", "runs/1", "--batch-size", "8"], positional="RUN_DIR")
    assert (script["RUN_DIR"], script["USE_LORA"], script["BATCH_SIZE"]) == ("runs/1", True, 8)


def test_two_positional_arguments_for_one_constant_are_refused(script, capsys):
    with pytest.raises(SystemExit):
        override_constants(script, ["a", "b"], positional="RUN_DIR")
    assert "RUN_DIR takes one value, found 2: a b" in capsys.readouterr().err


def test_saved_constants_are_present_values_without_keys(script):
    override_constants(script, ["--batch-size", "8"])
    script["API_KEY"] = "s3cret"
    assert vars(constants(script)) == {
        "MODEL": "tiny",
        "DATA_DIR": "",
        "BATCH_SIZE": 8,
        "LEARNING_RATE": 1e-3,
        "USE_LORA": False,
        "MASK": False,
        "GRPO_OPTIONS": {},
        "MODELS": ["a"],
        "LAYERS": (1, 2),
        "STEPS_MORE": None,
        "RUN_DIR": "",
        "MAX_TOKENS": 10,
    }


def test_help_shows_every_constant_with_default_and_comment(script, capsys):
    with pytest.raises(SystemExit) as caught:
        override_constants(script, ["--help"])
    said = capsys.readouterr().out
    assert caught.value.code == 0 and said.startswith("Trains nothing.") and "More about it" not in said
    flat = " ".join(said.split())
    for part in (
        "--model tiny what to train --data-dir '' folder of published files; env SCRIPT_DATA",
        "The batch. --batch-size 4 prompts --learning-rate 0.001 peak of the schedule --use-lora",
        "--grpo-options '{}' more",
        "--models a to compare --layers 1 2",
        "--demo use the demo's values: BATCH_SIZE = 2",
    ):
        assert part in flat
    assert "--api-key" not in said and "TABLE" not in said


def raises(error: BaseException):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    "error, code, said",
    [
        (InputError("no model 'x';\n give a folder"), 2, "error: no model 'x'; give a folder\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_expected_ends_are_one_line(capsys, error, code, said):
    with pytest.raises(SystemExit) as caught:
        run_main(raises(error))
    assert caught.value.code == code and capsys.readouterr().err == said


def test_our_own_errors_keep_their_traceback():
    with pytest.raises(KeyError):
        run_main(raises(KeyError("ours")))


def test_old_python_is_told_what_to_use(monkeypatch):
    require_python()
    monkeypatch.setattr(sys, "version_info", (3, 10, 1, "final", 0))
    with pytest.raises(InputError, match=r"Python >= 3\.11 needed, found 3\.10: use python3\.11"):
        require_python()

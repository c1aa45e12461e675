#!/usr/bin/env bash
# pytest's outcome exceptions (skip, fail, exit) say that they belong to the module "builtins".
#
# They are defined in _pytest/outcomes.py, which sets __module__, so that tracebacks show short names. Skipped and Failed
# also derive from BaseException and not from Exception. So a harness that runs test functions itself and sorts what they
# raise by (module, name), or by `except Exception`, misses both. Compare with pytest.skip.Exception instead.
#
# Seen with pytest 9.2.0, Python 3.11, 2026-11-30:
#     skip: builtins.Skipped, an Exception: False
#     fail: builtins.Failed, an Exception: False
#     exit: _pytest.outcomes.Exit, an Exception: True
#
#     bash findings/pytest_outcomes_module.sh        # exit code 0 while it behaves so, 1 if that has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check pytest==9.2.0
cat > look.py <<'P'
import pytest

WANTED = """skip: builtins.Skipped, an Exception: False
fail: builtins.Failed, an Exception: False
exit: _pytest.outcomes.Exit, an Exception: True"""
kinds = {"skip": pytest.skip.Exception, "fail": pytest.fail.Exception, "exit": pytest.exit.Exception}
seen = "\n".join(
    f"{name}: {kind.__module__}.{kind.__name__}, an Exception: {issubclass(kind, Exception)}"
    for name, kind in kinds.items()
)
print(seen)
raise SystemExit(seen != WANTED)
P
environment/bin/python look.py

#!/usr/bin/env bash
# Every check of the project, in a fresh environment: style and layout (ruff), types (mypy), imports between rooms
# (import-linter) and tests (pytest), CPU only, offline once installed.
#
#   bash scripts/test.sh                          # everything
#   bash scripts/test.sh tests/sandbox            # a part; arguments go to pytest
#   TEST_PYTHON=python bash scripts/test.sh       # use an interpreter that has the libraries; install nothing
#   bash scripts/test.sh --vllm                   # only the tests of a real vLLM engine, in .venv-vllm (2 GB)
#
# DATA_DIR names the folder of published benchmark files (default ../shared/data beside this checkout). If it is
# missing, the tests that need it are skipped and say so. Exit code: 0 all passed, else that of the failed check.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# One thread a process: on a busy machine two threads are slower than one.
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 TRL_EXPERIMENTAL_SILENCE=1
unset PYTHONDONTWRITEBYTECODE  # what the libraries compile at their first import must be kept for the next

fresh_environment() {
    local venv=$root/.venv-test base=${PYTHON:-python3}
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
        echo "error: $base is not Python >= 3.11; give another: PYTHON=/path/to/python3.11 bash scripts/test.sh" >&2
        exit 2
    }
    echo "test.sh: making a fresh environment in $venv" >&2
    "$base" -m venv --clear "$venv" || {
        echo "error: cannot make $venv; give an interpreter that has requirements-test.txt installed:" \
            "TEST_PYTHON=/path/to/python bash scripts/test.sh" >&2
        exit 2
    }
    python=$venv/bin/python
    # pip would compile every file of every library, most of which nothing imports. The programs of the sandbox import
    # two libraries and can write nothing, so these are compiled for them.
    "$python" -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-test.txt
    "$python" -m compileall -q "$venv"/lib/python3.*/site-packages/{numpy,pytest,_pytest,pluggy,iniconfig}
    # Python compiles a library at its first import: once here, beside mypy, and not in each of three parts.
    "$python" -c 'import trl.trainer.grpo_trainer, peft, transformers.models.qwen3.modeling_qwen3, scipy.stats' &
}

if [[ ${1:-} == --vllm ]]; then
    shift
    python=${TEST_PYTHON:-$(bash scripts/vllm_environment.sh)}
    [[ ${TEST_PYTHON:-} ]] || "$python" -m pip install --quiet "$(grep '^pytest==' requirements-test.txt)"
    exec "$python" -m pytest -q --durations=15 "${@:-tests/real_engine}"
fi
if [[ ${TEST_PYTHON:-} ]]; then python=$TEST_PYTHON; else fresh_environment; fi

"$python" -m ruff check --no-cache scripts tests benchmarks examples
"$python" -m ruff format --no-cache --check --quiet scripts tests benchmarks examples
"$python" -m mypy --no-incremental --cache-dir=/dev/null
wait
PYTHONPATH=scripts "$python" -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-cache
if (($#)); then exec "$python" -m pytest -q --durations=15 "$@"; fi

# The tests of the sandbox mostly wait for time limits, so two other parts run beside the rest. Their reports come last.
reports=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$reports"' EXIT  # the jobs may have ended before
first=(tests/attacks tests/benchmarks tests/training tests/planning)
second=(tests/sandbox tests/verdicts tests/plain_python tests/published tests/commands/test_{several,evaluation}_turns.py)
"$python" -m pytest -q --durations=5 "${first[@]}" >"$reports/1" 2>&1 &
jobs=($!)
"$python" -m pytest -q --durations=5 "${second[@]}" >"$reports/2" 2>&1 &
jobs+=($!)
status=0
rest=("${first[@]}" "${second[@]}")
"$python" -m pytest -q --durations=15 "${rest[@]/#/--ignore=}" || status=$?
for job in "${jobs[@]}"; do wait "$job" || status=$?; done
cat "$reports"/*
exit "$status"

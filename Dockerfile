ARG BASE_IMAGE=python:3.11-slim-bookworm
# The image that trains, evaluates, shows the demo and (target "test") runs the checks.
#
#   docker build -t nano-raccoon-rl .
#
# BASE_IMAGE: any Debian or Ubuntu image whose python3 is 3.11 or newer. CUDA comes with torch's own wheel; the host
# gives the driver and the NVIDIA container runtime. The code comes last: an edit of it installs nothing again.

FROM ${BASE_IMAGE} AS libraries

# gcc and libc6-dev: Triton compiles while it runs. tini: a first process that hands signals on and reaps the dead.
# Unpinned, since a base image's distribution keeps only its newest build of a package.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev tini \
    && rm -rf /var/lib/apt/lists/*

# An environment of its own, whatever libraries the base image brings
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH

# Uid 1000; the three folders admit any other as well: docker run --user "$(id -u):$(id -g)"
RUN useradd --uid 1000 --non-unique --create-home raccoon \
    && install --directory --mode 1777 /home/raccoon /hf /app

WORKDIR /app
COPY requirements.txt ./
RUN --mount=type=cache,target=/pip pip install --cache-dir /pip --requirement requirements.txt

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


FROM libraries AS test
COPY requirements-test.txt ./
RUN --mount=type=cache,target=/pip pip install --cache-dir /pip --requirement requirements-test.txt
COPY . .
USER 1000:1000
CMD ["bash", "scripts/test.sh"]


FROM libraries AS run
COPY . .
USER 1000:1000

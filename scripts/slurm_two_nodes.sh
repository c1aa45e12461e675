#!/usr/bin/env bash
# Runs a script of this project on two machines of a Slurm cluster, as one job. It has never run on a GPU. From the
# project's folder:
#
#     sbatch scripts/slurm_two_nodes.sh scripts/train_rl_poc.py --model-path /shared/sft --output-dir /shared/rl
#     sbatch scripts/slurm_two_nodes.sh scripts/evaluate_models.py --models /shared/sft /shared/rl
#
# With --replicas 2 each machine holds the whole model, if it fits, and only gradients travel between the machines.
# /shared stands for a folder that both machines see. To continue an ended job, give the same line again.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=2
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@900
set -euo pipefail

# Seconds from the signal above to the end: enough for a step and a checkpoint (177 GB for a 14B model).
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=800
export LAUNCH_CONFIG=${LAUNCH_CONFIG:-scripts/accelerate_fsdp2.yaml}
export PROCESSES=$((SLURM_NNODES * ${SLURM_GPUS_ON_NODE:-2}))
export PORT=$((20000 + SLURM_JOB_ID % 10000))  # another port for each job, as two may share a machine
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
export FIRST_HOST=${hosts[0]}

# SLURM_NODEID, the machine's rank, exists only in commands that srun has started.
srun --kill-on-bad-exit=1 bash -c 'exec python -m accelerate.commands.launch --config_file "$LAUNCH_CONFIG" \
    --num_machines "$SLURM_NNODES" --num_processes "$PROCESSES" --machine_rank "$SLURM_NODEID" \
    --main_process_ip "$FIRST_HOST" --main_process_port "$PORT" "$@"' launch "$@"

#!/bin/bash
# One worker on each node: sbatch --nodes 2 examples/several_machines/slurm.sh --epochs 4
# Arguments are those of train.py. The folder of the results must lie on a disk that all nodes see.
#SBATCH --job-name=several_machines
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
# sbatch runs a copy of this file.
folder=${SLURM_SUBMIT_DIR:-$PWD}/examples/several_machines
port=${PORT:-$((20000 + SLURM_JOB_ID % 10000))}  # two jobs may share a node
workers=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/.*/\"&:$port\"/" | paste -sd,)
export TF_CONFIG_CLUSTER="{\"worker\": [$workers]}"
# If one worker dies, so do the others; the job is put into the queue again and goes on from the end of
# the last complete epoch, three times at most.
if ! srun --kill-on-bad-exit=1 bash -c '
  export TF_CONFIG="{\"cluster\": $TF_CONFIG_CLUSTER, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  exec "${PYTHON:-python}" "$@"' worker "$folder/train.py" "$@"
then
  echo "the workers stopped, start $((${SLURM_RESTART_COUNT:-0} + 1)) of 4" >&2
  [ "${SLURM_RESTART_COUNT:-0}" -ge 3 ] || scontrol requeue "$SLURM_JOB_ID"
  exit 1
fi

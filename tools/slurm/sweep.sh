#!/usr/bin/env bash
# Workers of a sweep as a Slurm array: each task works until shortly before its time is over, gives
# its trial back and exits with 0; submitted again, the tasks go on.
#
#     babyllama sweep create RECIPE --output SWEEP [--store postgresql://USER@HOST/DATABASE]
#     sbatch --array=1-8 --time=04:00:00 tools/slurm/sweep.sh SWEEP
#
# With a SQLite store all tasks must run on the node that has the file on a local disk.
#SBATCH --job-name=babyllama-sweep
#SBATCH --cpus-per-task=2
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --output=sweep-%A_%a.log
set -euo pipefail

sweep=${1:?give the folder of the sweep}
program=${BABYLLAMA:-babyllama}

# exec: Slurm's signal reaches the worker itself.
exec "$program" sweep work "$sweep" --threads "${SLURM_CPUS_PER_TASK:-0}"

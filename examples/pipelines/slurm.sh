#!/usr/bin/env bash
# nightly.sh on the nodes of one Slurm job: a scheduler beside it, a worker in every task.
#
#   cd examples/pipelines && sbatch slurm.sh /srv/rows/2026-11-21.zarr /srv/models
#
#SBATCH --job-name=daskgmm
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=2
#SBATCH --mem-per-cpu=4G
#SBATCH --time=04:00:00
# Two minutes before the time is up this shell is told, so that the fit ends with a checkpoint and the job is requeued.
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
# One at a time, by name.
#SBATCH --dependency=singleton
set -euo pipefail

rows=${1:?usage: sbatch slurm.sh ROWS.zarr MODELS}
models=${2:?usage: sbatch slurm.sh ROWS.zarr MODELS}
readonly most_restarts=3

# Private, and on a file system that all nodes share: whoever reads the key may run code on the workers.
umask 077
folder=$(mktemp -d "$models/slurm-$SLURM_JOB_ID.XXXXXX")

stopped=
child=
servers=()
trap 'stopped=yes; [[ -z $child ]] || kill -TERM "$child" 2>/dev/null || :' TERM
# shellcheck disable=SC2329  # it is the trap that calls this
finish() {
    local server
    # Not waited for: what does not end, Slurm ends.
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || :; done
    rm -rf "$folder"
}
trap finish EXIT

# One certificate for this job, which is its own authority: other users of the network are not let in.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=daskgmm \
    -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>/dev/null
export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=true
export DASK_DISTRIBUTED__COMM__TLS__CA_FILE=$folder/certificate.pem
for role in SCHEDULER WORKER CLIENT; do
    export "DASK_DISTRIBUTED__COMM__TLS__${role}__CERT=$folder/certificate.pem"
    export "DASK_DISTRIBUTED__COMM__TLS__${role}__KEY=$folder/key.pem"
done
# Dask's threads share the cores out.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

dask scheduler --no-dashboard --port 0 --scheduler-file "$folder/scheduler.json" &
servers+=($!)
for _ in {1..300}; do
    [[ -s $folder/scheduler.json ]] && break
    sleep 0.2
done
srun --ntasks="$SLURM_NTASKS" --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    dask worker --scheduler-file "$folder/scheduler.json" --nthreads "$SLURM_CPUS_PER_TASK" \
    --memory-limit "$((SLURM_CPUS_PER_TASK * SLURM_MEM_PER_CPU))MiB" --local-directory "${TMPDIR:-/tmp}" \
    --no-dashboard --death-timeout 60s &
servers+=($!)

status=0
# sbatch runs a copy of this file from elsewhere; nightly.sh is where the job was submitted from.
"$SLURM_SUBMIT_DIR/nightly.sh" "$rows" "$models" --scheduler-file "$folder/scheduler.json" \
    --wait-workers "$SLURM_NTASKS" --timeout 5m &
child=$!
[[ -z $stopped ]] || kill -TERM "$child" 2>/dev/null || :
wait "$child" || status=$?
if [[ -n $stopped ]]; then
    again=0
    wait "$child" || again=$?
    [[ $again -eq 127 ]] || status=$again
fi
child=

# 5: cluster or storage failed. 75: interrupted, the checkpoint is valid. Both go on where they were; no others do.
case $status in
5 | 75)
    if ((${SLURM_RESTART_COUNT:-0} < most_restarts)); then
        scontrol requeue "$SLURM_JOB_ID"
    fi
    ;;
esac
exit "$status"

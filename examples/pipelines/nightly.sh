#!/bin/sh
# One night: a model of the new rows and of all before them, a check of how far the new rows have drifted, and, if they
# have not, the model under the name that others read.
#
#   nightly.sh ROWS.zarr MODELS [OPTION...]
#
# ROWS.zarr holds the new rows; its name is the night's. MODELS is a folder: current.gmm is the model to use, NIGHT.gmm
# what a night published, NIGHT.candidate.gmm what one has made that has not passed, NIGHT.json and NIGHT.drift.json how
# that went. OPTIONs say where to run, such as --n-workers 2 or --scheduler-file FILE. From the environment: COMPONENTS of
# the first night's fit, and MOST_DRIFT, the largest population stability index that passes.
#
# Run again, it does what is left to do. The exit code is that of the step that failed (README.md): 5 and 75 are worth
# another try, 2, 3 and 4 are not.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: nightly.sh ROWS.zarr MODELS [OPTION...]" >&2
    exit 2
fi
rows=$1
models=$2
shift 2
night=$(basename "$rows" .zarr)
candidate=$models/$night.candidate.gmm
published=$models/$night.gmm
current=$models/current.gmm

stopped=
child=
# A shell waits for its command before it heeds a signal, and as a container's first process it never would.
trap 'stopped=yes; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || :' TERM INT

step() { # step COMMAND...: run it; if it fails, end with its exit code
    "$@" &
    child=$!
    [ -z "$stopped" ] || kill -TERM "$child" 2>/dev/null || :
    status=0
    wait "$child" || status=$?
    if [ -n "$stopped" ]; then
        # That was the end of the waiting; this is the end of the command, unless it had been waited for (127).
        again=0
        wait "$child" || again=$?
        [ "$again" -eq 127 ] || status=$again
        # What earlier steps wrote is there, and this one wrote all or nothing: start again.
        case $status in 130 | 143) status=75 ;; esac
    fi
    child=
    if [ "$status" -ne 0 ]; then exit "$status"; fi
    [ -z "$stopped" ] || exit 75
}

if [ -e "$published" ]; then
    echo "nightly.sh: $night is done already" >&2
    exit 0
fi
if [ ! -e "$candidate" ]; then
    if [ -e "$current" ]; then
        step daskgmm update "$current" "$rows" --output "$candidate" --summary "$models/$night.json" "$@"
    else
        step daskgmm fit "$rows" --output "$candidate" --components "${COMPONENTS:-8}" \
            --checkpoint "$models/$night.checkpoint" --summary "$models/$night.json" "$@"
    fi
fi
if [ -e "$current" ]; then
    step daskgmm score "$candidate" "$rows" --against "$current" --fail-on-drift "${MOST_DRIFT:-0.2}" \
        --summary "$models/$night.drift.json" "$@"
fi
# Renamed, so that nobody ever reads half a model.
cp "$candidate" "$current.$$"
mv "$current.$$" "$current"
mv "$candidate" "$published"
# The state of a fit that has ended, with its sample of the rows.
rm -f "$models/$night.checkpoint" "$models/$night.checkpoint".*

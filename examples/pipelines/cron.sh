#!/bin/sh
# nightly.sh for cron: one at a time, and again after failures that pass.
#
#   30 2 * * *  /srv/daskgmm/cron.sh "/srv/rows/$(date -d yesterday +\%F).zarr" /srv/models --n-workers 2
#
# From the environment: ATTEMPTS, and PAUSE, the seconds between them. Exit code: 0 done, or a run of another night is
# still going; otherwise that of the last attempt.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: cron.sh ROWS.zarr MODELS [OPTION...]" >&2
    exit 2
fi
exec 9>"$2/nightly.lock"
if ! flock --nonblock 9; then
    echo "cron.sh: already running" >&2
    exit 0
fi

stopped=
child=
trap 'stopped=yes; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || :' TERM INT

attempt=1
while :; do
    "$(dirname "$0")/nightly.sh" "$@" &
    child=$!
    status=0
    wait "$child" || status=$?
    if [ -n "$stopped" ]; then
        again=0
        wait "$child" || again=$?
        [ "$again" -eq 127 ] || status=$again
        exit "$status"
    fi
    child=
    case $status in
    5 | 75) ;;
    6)
        echo "cron.sh: another run is writing the model" >&2
        exit 0
        ;;
    *) exit "$status" ;;
    esac
    if [ "$attempt" -ge "${ATTEMPTS:-3}" ]; then exit "$status"; fi
    attempt=$((attempt + 1))
    echo "cron.sh: exit code $status; attempt $attempt in ${PAUSE:-300} s" >&2
    # In the background: a signal ends the pause, too.
    sleep "${PAUSE:-300}" &
    child=$!
    wait "$child" || :
    child=
    [ -z "$stopped" ] || exit 75
done

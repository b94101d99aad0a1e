# shellcheck shell=bash
# Sourced by scripts that start programs: a directory for their work, and the programs, all of which end with the script.
#
#   work         that directory
#   pids         the processes: pids+=($!)
#   built        where the tools are

# shellcheck disable=SC2034 # for whom sources this
built=${LIVE_READ_BUILT:-${CARGO_TARGET_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/target}/release}
work=$(mktemp -d)
pids=()

# end_started SIGNAL: those that were started here, and no others.
end_started() {
    for pid in ${pids[@]+"${pids[@]}"}; do kill -s "$1" "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
}

# end_with_script SIGNAL: whichever way it ends.
end_with_script() {
    # shellcheck disable=SC2064 # the signal of now
    trap "end_started $1; rm -rf \"\$work\"" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# until_true SECONDS COMMAND...
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

#!/usr/bin/env bash
# Fetches into target/corpora what `make fuzz-rtmp` reads besides our own captures: the cases that fuzzing has found for gortmplib (MIT), and
# Veovera's samples of enhanced RTMP. None of it is kept in this repository. Exit code 1, said loudly, where they cannot be had; what is
# there already is left as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
corpora=target/corpora

# have NAME URL PATTERN FOLDER...: those folders of a repository, if no file of them is there.
have() {
    local name=$1 url=$2 pattern=$3
    shift 3
    [ -z "$(find "$corpora/$name" -path "$pattern" -type f -print -quit 2>/dev/null)" ] || return 0
    rm -rf "${corpora:?}/$name"
    mkdir -p "$corpora"
    echo "fetch-corpora: fetching $url" >&2
    if ! GIT_TERMINAL_PROMPT=0 timeout 300 git clone --quiet --depth 1 --filter=blob:none --sparse "$url" "$corpora/$name" ||
        ! git -C "$corpora/$name" sparse-checkout set "$@" ||
        [ -z "$(find "$corpora/$name" -path "$pattern" -type f -print -quit)" ]; then
        rm -rf "${corpora:?}/$name"
        echo "fetch-corpora: NOT TESTED: $url cannot be had, and nothing of it is read" >&2
        return 1
    fi
}

code=0
have gortmplib https://github.com/bluenviron/gortmplib '*/testdata/fuzz/*' pkg || code=1
have enhanced-rtmp https://github.com/veovera/enhanced-rtmp '*.flv' e-rtmp-lab/assets || code=1
exit $code

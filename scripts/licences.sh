#!/usr/bin/env bash
# Lists what is compiled into the programs, a line each: name, version, licence. Nothing that only tests or builds need.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck disable=SC2016 # cargo fills these in.
cargo tree --locked --offline --edges normal --prefix none --no-dedupe --format '{p}|{l}' --target all |
    sed -n 's/^\([^ ]*\) v\([^ |]*\)[^|]*|\(.*\)$/\1 \2: \3/p' | grep -v '^live-read ' | LC_ALL=C sort -u

#!/usr/bin/env bash
# Runs all tests in Rust, as `make test-rust` does.
#
# Most of those that drive the programs go by the clock, many at once: on a machine that other work keeps busy, one of them may
# find too late what came in time. So up to three that failed are run again, each alone, and named. What fails alone has failed,
# and so has any unit test.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# shellcheck disable=SC2086 # CARGO may have options.
if $cargo test --release --locked --no-fail-fast 2>&1 | tee "$log"; then
    exit 0
fi
mapfile -t failed < <(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log" | sort -u)
if [ "${#failed[@]}" = 0 ] || [ "${#failed[@]}" -gt 3 ]; then
    exit 1
fi
for name in "${failed[@]}"; do
    printf '\n=== %s failed beside the others; now alone ===\n' "$name" >&2
    # shellcheck disable=SC2086
    $cargo test --release --locked --test tools -- --exact "$name" 2>&1 | tee "$log"
    # A test of that name that is not among them would pass as well.
    grep -q '^test result: ok. 1 passed' "$log"
done
printf '\nWARNING: failed beside the others, and passed alone: %s\n' "${failed[*]}" >&2

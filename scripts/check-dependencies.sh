#!/usr/bin/env bash
# Licences of the dependencies, known faults in them, and the oldest Rust that builds the crate: each as far as this
# machine can tell, and what it cannot is said.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'check-dependencies: %s\n' "$*"; }

# cargo deny knows all of it; its advisories have to be there already, because nothing is fetched here.
if cargo deny --version >/dev/null 2>&1; then
    cargo deny --offline --locked check bans licenses sources
    if [ -n "$(ls -A "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs" 2>/dev/null)" ]; then
        cargo deny --offline --locked check advisories
    else
        say "no copy of the advisories here: known faults of dependencies are not checked (cargo deny fetch)"
    fi
elif command -v jq >/dev/null 2>&1; then
    say "cargo deny is not installed: licences are checked, known faults of dependencies are not"
    allowed=$(sed -n '/^allow = \[/,/^\]/s/^ *"\(.*\)",$/\1/p' deny.toml | jq -R . | jq -s .)
    [ "$(jq length <<<"$allowed")" -gt 3 ] || { say "deny.toml names no licences"; exit 1; }
    # A licence is an expression: of alternatives one has to be allowed, of joined ones all.
    wrong=$(cargo metadata --locked --format-version 1 | jq -r --argjson allowed "$allowed" '
        def fine: gsub("[()]"; "") | gsub(" */ *"; " OR ")
            | split(" OR ") | any(split(" AND ") | all(. as $one | $allowed | index($one) != null));
        .packages[] | select(.source != null) | select((.license // "none") | fine | not)
            | "\(.name) \(.version): \(.license // "no licence named")"')
    if [ -n "$wrong" ]; then
        say "licences that deny.toml does not allow:"
        printf '%s\n' "$wrong"
        exit 1
    fi
else
    say "neither cargo deny nor jq is installed: dependencies are not checked"
fi

msrv=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
if rustup toolchain list 2>/dev/null | grep -q "^$msrv-"; then
    cargo "+$msrv" check --release --locked --bins
else
    say "Rust $msrv, the oldest that Cargo.toml promises, is not installed: not built with it"
fi

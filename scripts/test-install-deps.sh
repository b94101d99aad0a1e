#!/usr/bin/env bash
# What scripts/install-deps.sh says to whom something is missing. Nothing is installed: it meets stand-ins.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    printf 'test-install-deps: FAILED: %s\n' "$1"
    cat "$work/said"
    exit 1
}
least=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)

# stand_in NAME TEXT: a program that prints.
stand_in() {
    printf '#!/bin/sh\ncat <<END\n%s\nEND\n' "$2" >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
mkdir "$work/bin"
for tool in sh sed awk dirname cat cmp env; do ln -s "$(command -v $tool)" "$work/bin/$tool"; done
stand_in id 1000
stand_in apt-get ''
says() {
    code=0
    PATH=$work/bin scripts/install-deps.sh "$1" >"$work/said" 2>&1 || code=$?
    [ "$code" = 1 ] || fail "$1: exit code $code"
    grep -qF -e "$2" "$work/said" || fail "$1: it does not say $2"
}

says build "this needs Rust $least or newer, and there is none"
says build 'sh.rustup.rs'
for old in 1.63.0 1.94.0 0.99.9; do
    stand_in cargo "cargo $old (0123456789 2022-08-11)"
    says demo "and this is $old"
done
stand_in rustup ''
says build 'rustup update stable'
rm "$work/bin/rustup"
for new in "$least" 1.100.0 2.0.0-beta; do
    stand_in cargo "cargo $new"
    says demo 'sudo apt-get install -y --no-install-recommends gcc libc6-dev ffmpeg'
done

# Its hls.js lies in the repository.
says page 'sudo apt-get install -y --no-install-recommends nodejs'
if grep -q npm "$work/said"; then fail 'the page needs npm'; fi

# Who may install is told first what it takes.
stand_in id 0
stand_in apt-get '0 upgraded, 180 newly installed, 0 to remove and 2 not upgraded.
Need to get 70.5 MB of archives.
After this operation, 300 MB of additional disk space will be used.'
# shellcheck disable=SC2016
sed -i '2i[ "$1" = install ] || exit 0' "$work/bin/apt-get"
says demo '180 packages, 70.5 MB to fetch, 300 MB on disk'
printf 'test-install-deps: what is missing is named, with what to do\n'

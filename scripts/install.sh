#!/usr/bin/env bash
# Puts the built tools, their manual pages and their completions where they belong.
#
#   PREFIX    the tree they go into: ~/.local, or /usr/local for everybody  [~/.local]
#   DESTDIR   what to put before that, for packages                         [nothing]
#   BUILT     where the tools lie                                           [target/release]
set -euo pipefail
cd "$(dirname "$0")/.."
prefix=${PREFIX:-${HOME:?}/.local}
into=${DESTDIR:-}$prefix
built=${BUILT:-target/release}

for tool in writer reader; do
    install -D -m 755 "$built/$tool" "$into/bin/$tool"
    made=$(mktemp -d)
    "$built/$tool" --man >"$made/man"
    "$built/$tool" --completions bash >"$made/bash"
    "$built/$tool" --completions zsh >"$made/zsh"
    "$built/$tool" --completions fish >"$made/fish"
    install -D -m 644 "$made/man" "$into/share/man/man1/$tool.1"
    install -D -m 644 "$made/bash" "$into/share/bash-completion/completions/$tool"
    install -D -m 644 "$made/zsh" "$into/share/zsh/site-functions/_$tool"
    install -D -m 644 "$made/fish" "$into/share/fish/vendor_completions.d/$tool.fish"
    rm -r "$made"
done
printf 'writer and reader are in %s/bin, with manual pages and completions beside it\n' "$into"
if [ -z "${DESTDIR:-}" ] && [[ ":$PATH:" != *":$prefix/bin:"* ]]; then
    printf 'that is not in PATH: add it with   export PATH="%s/bin:%sPATH"\n' "$prefix" '$'
fi

#!/usr/bin/env bash
# Installs the Debian package in a bare Debian, made by debootstrap, and uses it there: what is installed works, and
# nothing of it is left when it is removed. Needs root, and some 120 MB from a Debian mirror; else it says why it is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'test-deb: %s\n' "$*"; }
fail() {
    say "FAILED: $*"
    exit 1
}
if ! command -v debootstrap >/dev/null || [ "$(id -u)" != 0 ]; then
    say "skipped: this needs root and debootstrap"
    exit 0
fi
[ $# = 1 ] || fail "usage: scripts/test-deb.sh PACKAGE"
deb=$1

bare=$PWD/target/tools/bare-debian
if [ ! -e "$bare/complete" ]; then
    rm -rf "$bare"
    say "making a bare Debian in $bare"
    debootstrap --variant=minbase bookworm "$bare" >"$PWD/target/tools/debootstrap.log" 2>&1 ||
        fail "debootstrap: $(tail -n 3 target/tools/debootstrap.log)"
    touch "$bare/complete"
fi

work=$(mktemp -d)
server=''
finish() {
    [ -z "$server" ] || kill "$server"
    chroot "$bare" dpkg --purge live-read >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT

files() { (cd "$bare" && find bin etc lib opt usr -xdev | LC_ALL=C sort); }
files >"$work/before"
cp "$deb" "$bare/tmp/live-read.deb"
# It minds no documents, so that this bare system keeps them.
chroot "$bare" dpkg --path-include='/usr/share/*' -i /tmp/live-read.deb >"$work/log" 2>&1 || fail "dpkg: $(cat "$work/log")"
chroot "$bare" dpkg --verify live-read || fail "not all of it is as packed"
for file in man/man1/writer.1.gz man/man1/reader.1.gz bash-completion/completions/writer zsh/vendor-completions/_reader \
    fish/vendor_completions.d/writer.fish doc/live-read/copyright doc/live-read/changelog.gz; do
    [ -s "$bare/usr/share/$file" ] || fail "/usr/share/$file is missing"
done
grep -q '^aws-sdk-s3 .*Apache-2.0' "$bare/usr/share/doc/live-read/copyright" || fail "the licences are missing"
if command -v systemd-analyze >/dev/null && [ -e /lib/systemd/system/sysinit.target ]; then
    cp "$bare"/lib/systemd/system/live-read-*.service "$work"
    # The programs are in the bare system only.
    sed -i 's|^ExecStart=/usr/bin/|&env /usr/bin/|' "$work"/live-read-*.service
    for unit in live-read-writer@show.service live-read-gateway.service live-read-ingest.service; do
        systemd-analyze verify --man=no "$work/$unit" || fail "$unit is wrong"
    done
fi

target/release/examples/local_store --dir "$work/store" --listen 127.0.0.1:0 --access-key k --secret-key s --bucket bucket \
    >"$work/url" 2>"$work/store.log" &
server=$!
until url=$(grep -o 'http://[0-9.:]*' "$work/url" "$work/store.log" -h | head -n 1) && [ -n "$url" ]; do
    kill -0 "$server" || fail "the local store: $(cat "$work/store.log")"
    sleep 0.1
done
inside() {
    chroot "$bare" env -i PATH=/usr/bin:/bin AWS_ACCESS_KEY_ID=k AWS_SECRET_ACCESS_KEY=s AWS_REGION=us-east-1 \
        AWS_ENDPOINT_URL="$url" BUCKET_NAME=bucket "$@"
}
head -c 12000000 /dev/urandom >"$work/input"
inside reader live.bin --quiet >"$work/output" 2>"$work/reader.log" &
reader=$!
inside writer live.bin --quiet <"$work/input" 2>"$work/writer.log" || fail "writer: $(cat "$work/writer.log")"
wait "$reader" || fail "reader: $(cat "$work/reader.log")"
cmp "$work/input" "$work/output" || fail "the bytes differ"

chroot "$bare" dpkg --purge live-read >"$work/log" 2>&1 || fail "dpkg --purge: $(cat "$work/log")"
files >"$work/after"
cmp -s "$work/before" "$work/after" || fail "left behind: $(diff "$work/before" "$work/after" | head)"
say "installed, used and removed again in a bare Debian"

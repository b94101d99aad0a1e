#!/usr/bin/env bash
# Runs the tests of both tools on a real Ceph gateway: `make test-ceph` builds the tools and starts this. Everything lies in
# target/tools/ceph and listens on the loopback; nothing is installed, and no rights are needed. Where it cannot run it says why
# and is content (1 under CI_CEPH=required).
#
#   scripts/test-ceph.sh            fetch it if need be, start it, run the tests, end it
#   scripts/test-ceph.sh serve      start it, print how to reach it, and end it with Ctrl-C
set -euo pipefail

cd "$(dirname "$0")/.."
dir=$PWD/${CARGO_TARGET_DIR:-target}/tools/ceph
root=$dir/root

# What the monitor, the storage daemon and the gateway need beyond a system without desktop or Ceph.
packages='ceph-base ceph-common ceph-mon ceph-osd radosgw libboost-context1.74.0 libboost-thread1.74.0 libdaxctl1 libfmt9
libfuse2 libgoogle-perftools4 libibverbs1 libleveldb1d liblua5.3-0 libndctl6 libnl-3-200 libnl-route-3-200 liboath0 libpmem1
librados2 librbd1 librdmacm1 librgw2 libtcmalloc-minimal4 python3-ceph-argparse python3-prettytable python3-rados python3-wcwidth'

say() { printf 'test-ceph: %s\n' "$*" >&2; }
skip() {
    say "skipped: $*"
    [ "${CI_CEPH:-}" != required ] || exit 1
    exit 0
}

# The packages are unpacked into a folder of ours, by apt-get's own lists, or by a copy of them where those are missing or old.
fetch() {
    [ ! -e "$root/usr/bin/radosgw" ] || return 0
    command -v apt-get >/dev/null || skip "there is no apt-get to fetch Ceph with"
    grep -qs '^VERSION_CODENAME=bookworm$' /etc/os-release || skip "the names of its packages are those of Debian 12"
    say "fetching Ceph into $dir (60 MB, once)"
    mkdir -p "$dir"
    exec 9>"$dir/lock"
    flock 9 2>/dev/null || true
    [ ! -e "$root/usr/bin/radosgw" ] || return 0
    local names apt=(apt-get -qq -o APT::Sandbox::User=root)
    mkdir -p "$dir/debs"
    if ! "${apt[@]}" download --print-uris radosgw >/dev/null 2>&1; then
        mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial"
        apt+=(-o "Dir::State=$dir/apt" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$dir/apt")
        "${apt[@]}" update >&2 || skip "apt-get has no lists of packages, and cannot fetch them"
    fi
    # shellcheck disable=SC2086  # word splitting is wanted
    names=$( {
        printf '%s\n' $packages
        # Libraries of theirs that this system lacks.
        "${apt[@]}" install -s --no-install-recommends $packages 2>/dev/null | awk '/^Inst lib/ {print $2}' || true
    } | sort -u)
    rm -rf "$dir/new" "$dir/debs"/*
    # shellcheck disable=SC2086
    (cd "$dir/debs" && "${apt[@]}" download $names >&2) || skip "apt-get could not fetch the packages"
    for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/new"; done
    rm -rf "$dir/debs" "$dir/apt" "$root"
    mv "$dir/new" "$root"
}

daemons=()
down() {
    # In turn: the gateway first, then what it stands on.
    local at
    for ((at = ${#daemons[@]} - 1; at >= 0; at--)); do
        kill -TERM "${daemons[at]}" 2>/dev/null || continue
        for _ in $(seq 30); do
            kill -0 "${daemons[at]}" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "${daemons[at]}" 2>/dev/null || true
        wait "${daemons[at]}" 2>/dev/null || true
    done
    daemons=()
    rm -rf "$run"
}

fail() {
    tail -n 5 "$run"/log/*.out >&2 || true
    say "$*"
    exit 1
}
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 20000))
        answers "$port" || { echo "$port"; return; }
    done
}
once() { timeout 60 "$@" -c "$conf" >>"$run/log/setup.out" 2>&1 || fail "$* failed"; }
daemon() {
    "$@" -c "$conf" -f </dev/null >"$run/log/$1.out" 2>&1 &
    daemons+=($!)
}

# A monitor, a storage daemon in memory, and a gateway with the key test/test-secret.
up() {
    local real libs classes mon fsid uuid
    real=$(cd "$root" && pwd -P)
    libs=$(dirname "$(find "$real/" -name libec_jerasure.so | head -n 1)")
    classes=$(dirname "$(find "$real/" -name 'libcls_rgw.so*' | head -n 1)")
    export PATH="$real/usr/bin:$real/usr/sbin:$PATH" CEPH_ARGS='' CEPH_CONF="$conf"
    export PYTHONPATH="$real/usr/lib/python3/dist-packages"
    local system_libraries=${LD_LIBRARY_PATH:-}
    LD_LIBRARY_PATH=$(find "$real/usr/lib" "$real/lib" -maxdepth 3 -type d 2>/dev/null | tr '\n' ':')$system_libraries
    export LD_LIBRARY_PATH
    mkdir -p "$run/mon" "$run/osd" "$run/log" "$run/rgw"
    mon=$(free_port) port=$(free_port)
    fsid=$(cat /proc/sys/kernel/random/uuid) uuid=$(cat /proc/sys/kernel/random/uuid)
    cat >"$conf" <<CONF
[global]
fsid = $fsid
keyring = $run/keyring
mon host = v2:127.0.0.1:$mon
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
mon allow pool size one = true
osd crush chooseleaf type = 0
run dir = $run
admin socket =
log file = $run/log/\$name.log
erasure code dir = $libs
osd class dir = $classes
plugin dir = $libs/..
ms bind ipv6 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
[mon]
mon data = $run/mon
mon initial members = a
mon warn on pool no redundancy = false
mon cluster log file = $run/log/cluster.log
mon max pg per osd = 1000
[osd]
osd data = $run/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd class load list = *
osd class default list = *
[client.admin]
rgw frontends = beast endpoint=127.0.0.1:$port
rgw data = $run/rgw
rgw thread pool size = 16
rgw run sync thread = false
CONF
    once monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon]" "$run/monmap"
    once ceph-authtool --create-keyring "$run/keyring" --gen-key -n mon. --cap mon 'allow *'
    once ceph-authtool "$run/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    once ceph-authtool "$run/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
    once ceph-mon --mkfs --keyring "$run/keyring" -i a --monmap "$run/monmap"
    daemon ceph-mon -i a
    once ceph osd new "$uuid"
    once ceph auth add osd.0 -i "$run/keyring"
    once ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
    daemon ceph-osd -i 0
    once radosgw-admin user create --uid=test --display-name=test --access-key=test --secret-key=test-secret
    daemon radosgw -n client.admin
    for _ in $(seq 300); do
        answers "$port" && break
        kill -0 "${daemons[2]}" 2>/dev/null || fail "radosgw ended"
        sleep 0.1
    done
    answers "$port" || fail "nothing answers on port $port"
    say "$(radosgw --version 2>/dev/null | head -n 1) answers on http://127.0.0.1:$port"
    # Its libraries are for its programs only.
    export LD_LIBRARY_PATH=$system_libraries
    [ -n "$system_libraries" ] || unset LD_LIBRARY_PATH
    unset PYTHONPATH CEPH_CONF CEPH_ARGS
}

[ "$(uname -s)" = Linux ] || skip "Ceph is for Linux"
fetch
exec 9>&-
run=$(mktemp -d "$dir/run.XXXXXX")
conf=$run/ceph.conf
trap down EXIT
trap 'exit 130' INT TERM
up
if [ "${1:-}" = serve ]; then
    printf 'AWS_ENDPOINT_URL=http://127.0.0.1:%s AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test-secret\n' "$port"
    wait "${daemons[2]}"
else
    LIVE_READ_CEPH="http://127.0.0.1:$port test test-secret" cargo test --release --locked --test tools on_ceph -- --nocapture
fi

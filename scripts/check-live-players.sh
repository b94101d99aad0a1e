#!/bin/sh
# Plays the playlist of `writer --hls --live objects` with the players of this system while it is written, on a public bucket of a
# store without Live Read, and over its end, and counts the pictures that each decodes. `make test-players` starts this.
set -eu

cd "$(dirname "$0")/.."
built=${LIVE_READ_BUILT:-$PWD/${CARGO_TARGET_DIR:-target}/release}
seconds=14
rate=25

dir=$(mktemp -d)
store=
cleanup() {
    [ -z "$store" ] || kill "$store" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
chmod 755 "$dir"

say() { printf '%s\n' "$*" >&2; }

"$built/examples/local_store" --dir "$dir/store" --listen 127.0.0.1:0 --public-bucket live --no-live-read --quirk unversioned \
    --access-key test --secret-key test-secret --request-log "$dir/requests" >"$dir/store.out" 2>"$dir/store.err" &
store=$!
address=
while [ -z "$address" ]; do
    kill -0 "$store" || { cat "$dir/store.err" >&2; exit 1; }
    address=$(sed -n 's/^.*\(http:[^ ]*\).*$/\1/p' "$dir/store.out")
    sleep 0.1
done
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test-secret AWS_REGION=us-east-1 AWS_ENDPOINT_URL="$address" BUCKET_NAME=live

with_ffmpeg() {
    ffmpeg -nostdin -v error -i "$1" -map 0:v -f framemd5 - 2>/dev/null | grep -c '^0'
}
with_mpv() {
    mpv --no-config --really-quiet --no-audio --o="$dir/mpv.txt" --of=framecrc --ovc=rawvideo "$1" >/dev/null
    grep -vc '^#' "$dir/mpv.txt"
}
with_gstreamer() {
    timeout 60 gst-launch-1.0 -v playbin uri="$1" video-sink='fakesink silent=false sync=true' audio-sink=fakesink 2>/dev/null |
        grep -c 'chain   \*'
}
with_vlc() {
    rm -rf "$dir/vlc"
    mkdir -m 777 "$dir/vlc"
    # VLC does not run as root.
    other=
    [ "$(id -u)" != 0 ] || other='setpriv --reuid=65534 --regid=65534 --clear-groups'
    # shellcheck disable=SC2086  # word splitting is wanted
    (cd "$dir/vlc" && HOME="$dir/vlc" timeout 60 $other cvlc -q -I dummy --no-audio --vout=dummy --no-drop-late-frames \
        --no-skip-frames --video-filter=scene --scene-ratio=1 --scene-format=jpg --scene-path="$dir/vlc" "$1" vlc://quit \
        >/dev/null 2>&1)
    find "$dir/vlc" -name '*.jpg' | wc -l
}

# One stream for each, so that all of them begin where it does.
plays() {
    list="$address/live/$1.m3u8"
    ffmpeg -nostdin -v error -re -f lavfi -i "testsrc2=size=640x360:rate=$rate:duration=$seconds" \
        -f lavfi -i "sine=frequency=440:duration=$seconds" -c:v libx264 -preset ultrafast -tune zerolatency -g $rate -pix_fmt yuv420p -c:a aac \
        -movflags +empty_moov+frag_keyframe+default_base_moof -f mp4 - |
        "$built/writer" --hls --live objects --max-latency 1s "$1.mp4" 2>"$dir/$1.log" &
    writer=$!
    until curl -fsS -o /dev/null "$list" 2>/dev/null; do sleep 0.1; done
    began=$(date +%s)
    count=$(with_"$1" "$list" || true)
    took=$(($(date +%s) - began))
    wait "$writer" || { cat "$dir/$1.log" >&2; exit 1; }
    curl -fsS "$list" >"$dir/$1.m3u8"
    ! grep -q _live "$dir/$1.m3u8" || { say "$1: the playlist still names live objects"; exit 1; }
    # Players begin near the end of what is listed: what they have to show begins with the segment that they asked for first.
    first=$(grep '"GetObject"' "$dir/requests" | sed -n "s|.*_live/$1\.mp4/[^/]*/[0-9]*/0*\([1-9][0-9]*\)\.mp4.*|\1|p" | head -n 1)
    before=$(grep '^#EXT-X-BYTERANGE' "$dir/$1.m3u8" | grep -n "@$first\$" | cut -d: -f1)
    wanted=$(((seconds + 1 - before) * rate))
    say "$1, live: $count of $wanted pictures from the first segment on that it asked for, in $took s"
}

failed=no
for player in ffmpeg:ffmpeg mpv:mpv gstreamer:gst-launch-1.0 vlc:cvlc; do
    name=${player%%:*}
    command -v "${player#*:}" >/dev/null || { say "$name: not there, skipped"; continue; }
    plays "$name"
    # VLC plays by the clock, and shows some twice.
    [ "$count" = "$wanted" ] || { [ "$name" = vlc ] && [ "$count" -gt "$wanted" ]; } || failed=yes
done
[ $failed = no ]

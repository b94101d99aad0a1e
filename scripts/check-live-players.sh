#!/bin/sh
# Plays the playlist of `writer --hls --live objects` with the players of this system while it is written, on a public bucket of a
# store without Live Read, and over its end, and counts the pictures that each decodes. `make test-players` starts this.
set -eu

cd "$(dirname "$0")/.."
seconds=14
rate=25

# shellcheck source=scripts/players/players.sh
. scripts/players/players.sh
start_store --no-live-read --quirk unversioned --request-log "$dir/requests"

with_ffmpeg() {
    ffmpeg -nostdin -v error -i "$1" -map 0:v -f framemd5 - 2>/dev/null | grep -c '^0'
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
for name in $(system_players); do
    plays "$name"
    # VLC plays by the clock, and shows some twice.
    [ "$count" = "$wanted" ] || { [ "$name" = vlc ] && [ "$count" -gt "$wanted" ]; } || failed=yes
done
[ $failed = no ]

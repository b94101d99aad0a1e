#!/bin/sh
# Plays DASH from `reader --serve`: with dash.js and Shaka Player in Chromium while the object is written, over its end, and all of it
# afterwards at the same URL; and afterwards with ffmpeg and VLC. Counts the pictures that each decodes. `make test-players` starts
# this.
set -eu

cd "$(dirname "$0")/.."
seconds=20
rate=25
segment=2

# shellcheck source=scripts/players/players.sh
. scripts/players/players.sh
# shellcheck disable=SC2119 # It has none.
start_store
start_gateway

with_ffmpeg() {
    ffmpeg -nostdin -v error -i "$1" -map 0:v -f framemd5 - 2>/dev/null | grep -c '^0'
}

with_dash() {
    node scripts/players/play.mjs chromium dash "$1"
}
with_shaka() {
    node scripts/players/play.mjs chromium shaka "$1"
}

failed=no
all=$((seconds * rate))
for name in dash shaka; do
    start_recording "$name" 320x180
    list="${url}dash/$name.mp4/manifest.mpd"
    until curl -fsS -o /dev/null "$list" 2>/dev/null; do sleep 0.1; done
    count=$(with_"$name" "$list" || true)
    say "$name: $count pictures while it was written, of $all"
    wait "$writer" || { cat "$dir/$name.log" >&2; exit 1; }
    # It begins somewhat behind the newest segment.
    [ "$count" -ge $((all / 4)) ] || failed=yes
done
for name in dash shaka $(system_players); do
    case $name in
    # Not tried with DASH.
    mpv | gstreamer) continue ;;
    esac
    count=$(with_"$name" "$list" || true)
    say "$name: $count of $all pictures afterwards"
    case $name in
    ffmpeg) [ "$count" = "$all" ] || failed=yes ;;
    # They play by the clock: a few may be left out, or shown twice.
    *) [ "$count" -ge $((all * 9 / 10)) ] || failed=yes ;;
    esac
done
[ $failed = no ]

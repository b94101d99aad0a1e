#!/bin/sh
# Plays DASH from `reader --serve`: with dash.js and Shaka Player in Chromium while the object is written, over its end, and all of it
# afterwards at the same URL; and afterwards with ffmpeg and VLC. Counts the pictures that each decodes. Then two renditions of one
# program, between which dash.js goes to and fro. `make test-players` starts this.
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

with_switch() {
    node scripts/players/play.mjs chromium dash-switch "$1"
}
start_renditions both
list="${url}dash/both.m3u8/manifest.mpd"
until curl -fsS "$list" 2>/dev/null | grep -q 'width="160"' && curl -fsS "$list" | grep -q 'width="320"'; do sleep 0.1; done
count=$(with_switch "$list") || failed=yes
say "dash between two renditions: $count pictures while they were written, of $all"
[ "$count" -ge $((all / 4)) ] || failed=yes
end_renditions both
count=$(with_switch "$list") || failed=yes
say "dash between two renditions: $count of $all pictures afterwards"
[ "$count" -ge $((all * 9 / 10)) ] || failed=yes
count=$(ffmpeg -nostdin -v error -i "$list" -map 0:v -f framemd5 - 2>/dev/null | grep -c '^[01],' || true)
say "ffmpeg: $count pictures of two renditions of $all"
[ "$count" = $((all * 2)) ] || failed=yes
[ $failed = no ]

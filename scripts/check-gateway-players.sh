#!/bin/sh
# Plays HLS from `reader --serve` with the players of this system: while the object is written, over its end, and all of it
# afterwards at the same URL. Counts the pictures that each decodes. `make test-players` starts this.
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

failed=no
for name in $(system_players); do
    start_recording "$name" 640x360
    list="${url}hls/$name.mp4/index.m3u8"
    until curl -fsS -o /dev/null "$list" 2>/dev/null; do sleep 0.1; done
    live=$(with_"$name" "$list" || true)
    wait "$writer" || { cat "$dir/$name.log" >&2; exit 1; }
    all=$(with_"$name" "$list" || true)
    say "$name: $live pictures while it was written, $all afterwards, of $((seconds * rate))"
    # Players begin near the end of what is listed, all but VLC with a segment. VLC shows some pictures twice.
    [ "$live" -gt $((seconds * rate / 4)) ] || failed=yes
    case $name in
    vlc) [ "$all" -ge $((seconds * rate)) ] || failed=yes ;;
    *) [ $((live % (segment * rate))) = 0 ] && [ "$all" = $((seconds * rate)) ] || failed=yes ;;
    esac
done
[ $failed = no ]

#!/bin/sh
# Plays what `reader --serve` gives of a private bucket with the players of this system: the object's own bytes (/watch), and HLS; while
# it is written, over its end, and all of it afterwards at the same URL. Counts the pictures that each decodes.
# `make test-players` starts this.
set -eu

cd "$(dirname "$0")/.."
seconds=20
rate=25
segment=2

# shellcheck source=scripts/players/players.sh
. scripts/players/players.sh
start_store --bucket private
export BUCKET_NAME=private
start_gateway

with_ffmpeg() {
    ffmpeg -nostdin -v error -i "$1" -map 0:v -f framemd5 - 2>/dev/null | grep -c '^0'
}

failed=no
for name in $(system_players); do
    start_recording "$name" 640x360
    bytes="${url}watch?v=$name.mp4"
    list="${url}hls/$name.mp4/index.m3u8"
    until curl -fsS -o /dev/null -r 0-9 "$bytes" 2>/dev/null; do sleep 0.1; done
    with_"$name" "$bytes" >"$dir/watched" &
    watched=$!
    until curl -fsS -o /dev/null "$list" 2>/dev/null; do sleep 0.1; done
    live=$(with_"$name" "$list" || true)
    wait "$watched" || true
    wait "$writer" || { cat "$dir/$name.log" >&2; exit 1; }
    all=$(with_"$name" "$list" || true)
    bytes_live=$(cat "$dir/watched") bytes_all=$(with_"$name" "$bytes" || true)
    say "$name: /watch: $bytes_live pictures while it was written, $bytes_all afterwards; HLS: $live and $all; of $((seconds * rate))"
    # Players of HLS begin near the end of what is listed, all but VLC with a segment; of bytes with the first. VLC shows some pictures twice.
    [ "$live" -gt $((seconds * rate / 4)) ] || failed=yes
    case $name in
    vlc) for count in "$all" "$bytes_live" "$bytes_all"; do [ "$count" -ge $((seconds * rate)) ] || failed=yes; done ;;
    *)
        [ $((live % (segment * rate))) = 0 ] || failed=yes
        for count in "$all" "$bytes_live" "$bytes_all"; do [ "$count" = $((seconds * rate)) ] || failed=yes; done
        ;;
    esac
done
[ $failed = no ]

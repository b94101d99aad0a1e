#!/bin/sh
# Plays Smooth Streaming from `reader --serve`: with dash.js and its mss module in Chromium, with VLC and with GStreamer, while the
# object is written and over its end, and all of it afterwards at the same URL. Counts the pictures that each decodes. Then two renditions
# of one program, between which dash.js goes to and fro. `make test-players` starts this.
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

with_mss() {
    node scripts/players/play.mjs chromium mss "$1"
}

# None of them takes for finished what was live: dash.js stands still, VLC shows its last picture again and again, and GStreamer begins
# anew. What was shown twice counts once.
live_mss() {
    with_mss "$1"
}
live_vlc() {
    with_vlc "$1" >/dev/null
    find "$shown" -name '*.jpg' -exec md5sum {} + | cut -d ' ' -f 1 | sort -u | wc -l
}
live_gstreamer() {
    timeout $((seconds + 20)) gst-launch-1.0 -v playbin uri="$1" video-sink="fakesink silent=false sync=true" \
        audio-sink="fakesink sync=true" 2>/dev/null | grep 'chain   \*' | grep -o ' pts: [0-9:.]*' | sort -u | wc -l
}

failed=no
all=$((seconds * rate))
players=mss
for name in $(system_players); do
    case $name in
    # They know nothing of it.
    ffmpeg | mpv) ;;
    *) players="$players $name" ;;
    esac
done
for name in $players; do
    ffmpeg -nostdin -v error -re -f lavfi -i "testsrc2=size=320x180:rate=$rate:duration=$seconds" \
        -f lavfi -i "sine=frequency=440:duration=$seconds" -c:v libx264 -preset ultrafast -bf 2 -g $((segment * rate)) \
        -pix_fmt yuv420p -c:a aac -movflags +empty_moov+delay_moov+frag_keyframe+default_base_moof -frag_duration 500000 -f mp4 - |
        "$built/writer" --max-latency 1s "$name.mp4" 2>"$dir/$name.log" &
    writer=$!
    manifest="$url$name.mp4.isml/Manifest"
    until curl -fsS -o /dev/null "$manifest" 2>/dev/null; do sleep 0.1; done
    live=$(live_"$name" "$manifest" || true)
    wait "$writer" || { cat "$dir/$name.log" >&2; exit 1; }
    count=$(with_"$name" "$manifest" || true)
    say "$name: $live pictures while it was written, $count afterwards, of $all"
    # They begin somewhat behind the newest fragment, and play by the clock: a few may be left out, or shown twice.
    [ "$live" -ge $((all / 4)) ] && [ "$count" -ge $((all * 9 / 10)) ] || failed=yes
done

with_switch() {
    node scripts/players/play.mjs chromium mss-switch "$1"
}
start_renditions both
manifest="${url}both.isml/Manifest"
until curl -fsS "$manifest" 2>/dev/null | grep -q 'QualityLevels="2"'; do sleep 0.1; done
count=$(with_switch "$manifest") || failed=yes
say "mss between two renditions: $count pictures while they were written, of $all"
[ "$count" -ge $((all / 4)) ] || failed=yes
end_renditions both
count=$(with_switch "$manifest") || failed=yes
say "mss between two renditions: $count of $all pictures afterwards"
[ "$count" -ge $((all * 9 / 10)) ] || failed=yes
[ $failed = no ]

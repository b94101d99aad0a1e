#!/usr/bin/env bash
# `make demo-web`: a live stream in a browser, out of a private bucket. A camera's place is taken by ffmpeg, the store's by
# the local one; writer uploads, `reader --serve` is what the browser sees, by a signed link.
#
#   DEMO_SECONDS=300   how long it streams; afterwards the recording stays until Ctrl-C
#   DEMO_FROM=obs      nothing takes the camera's place: writer listens for OBS (`make demo-obs`; RTMP_PORT=1935)
#   DEMO_CHECK=1       looks at page and stream as a browser would, and ends
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/started.sh
. "$top/scripts/started.sh"
# At once: a writer that is asked to end would wait for its store, which ends too.
end_with_script KILL
seconds=${DEMO_SECONDS:-300}

fail() {
    printf 'demo-web: %s\n' "$1" >&2
    tail -n 20 "$work"/*.log >&2
    exit 1
}

# first_line FILE: what a program says of where it is, as soon as it does.
has_line() { [ -s "$1" ] && grep -q . "$1"; }
first_line() { until_true 30 has_line "$1" && head -n 1 "$1"; }

"$built/examples/local_store" --dir "$work/store" --listen 127.0.0.1:0 --access-key demo --secret-key demo-secret --bucket demo \
    >"$work/store.out" 2>"$work/store.log" &
pids+=($!)
address=$(first_line "$work/store.out" | grep -o 'http://[^ ]*') || fail 'the store does not begin'
export AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo-secret AWS_REGION=us-east-1 AWS_ENDPOINT_URL=$address BUCKET_NAME=demo
unset AWS_PROFILE AWS_SESSION_TOKEN
cd "$work"

# A token that nobody knows, and what signs the links.
secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
(umask 077 && printf 'watch %s\nkey %s\n' "$(secret)" "$(secret)" >tokens)
"$built/reader" --serve "127.0.0.1:${PORT:-0}" --auth tokens >gateway.out 2>gateway.log &
pids+=($!)
gateway=$(first_line gateway.out) || fail 'the gateway does not begin'
link=$("$built/reader" --serve --auth tokens --link live.mp4 --expires 24h --base-url "$gateway" 2>link.log) || fail 'there is no link'

if [ "${DEMO_FROM:-}" = obs ]; then
    key=$(secret)
    "$built/writer" live.mp4 "rtmp://127.0.0.1:${RTMP_PORT:-1935}/live/$key" --max-latency 1s --fragment 500ms --spool-dir "$work" 2>writer.log &
    pids+=($!)
    until_true 30 grep -qs 'listening at' writer.log || fail 'writer does not listen'
    server=$(grep -o 'listening at rtmp://[^ ]*' writer.log | cut -d' ' -f3)
    printf 'In OBS: Settings, Stream, Service "Custom...", then "Start Streaming":\n\n  Server      %s\n  Stream Key  %s\n\n' "$server" "$key"
    printf 'And open this in any browser:\n\n  %s\n\nCtrl-C ends it, and the recording goes with it.\n' "$link"
    wait
    exit
fi

# Half a second in a fragment, a key frame every two seconds.
ffmpeg -hide_banner -loglevel warning -nostdin -re -f lavfi -i testsrc2=size=1280x720:rate=30 \
    -re -f lavfi -i sine=frequency=440:beep_factor=4:sample_rate=48000 -t "$seconds" \
    -vf noise=alls=10:allf=t,format=yuv420p -c:v libx264 -preset ultrafast -tune zerolatency -b:v 3M -maxrate 3M -bufsize 3M \
    -g 60 -keyint_min 60 -sc_threshold 0 -c:a aac -b:a 128k \
    -movflags +empty_moov+frag_keyframe+default_base_moof -frag_duration 500000 -f mp4 pipe:1 2>camera.log |
    "$built/writer" live.mp4 --max-latency 1s 2>writer.log &
pids+=($!)

printf 'A live stream out of a private bucket, for %s s. Open this in any browser:\n\n  %s\n\n' "$seconds" "$link"
printf 'In a player: %s\nCtrl-C ends it.\n' "${link%/play/*}/watch?v=live.mp4"
if [ -z "${DEMO_CHECK:-}" ]; then
    wait
    exit
fi

root=${link%/play/*}
get() { curl -sS --noproxy '*' --max-time 60 --fail "$@"; }
status() { curl -sS --noproxy '*' --max-time 60 -o /dev/null -w '%{http_code}' "$@"; }
get "$link" -o page.html || fail 'the page is not there'
for name in $(grep -o '"\.\./page/[^"]*"' page.html | tr -d '"' | sed 's/^\.\.//'); do
    get "$root$name" -o /dev/null || fail "$name is not there"
done
[ "$(status "$gateway")" = 401 ] || fail 'without the link, somebody was let in'
[ "$(status "$address/demo/live.mp4")" = 403 ] || fail 'the bucket is not private'
# To its end, as it comes.
get "$root/watch?v=live.mp4" --retry 20 --retry-delay 1 --retry-all-errors --max-time "$((seconds + 60))" -o copy.mp4 || fail 'the stream does not come to its end'
frames=$(ffprobe -v error -select_streams v -count_packets -show_entries stream=nb_read_packets -of csv=p=0 copy.mp4 | tr -d ',')
[ "$frames" = "$((seconds * 30))" ] || fail "the stream has $frames frames"
printf 'the page and %s frames came by the link\n' "$frames"

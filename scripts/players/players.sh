# shellcheck shell=sh
# What the checks of players have in common: a directory, a store with a public bucket, and the players of this system.
# The scripts source it from the top of the project: check-players.sh, check-live-players.sh, check-gateway-players.sh,
# check-dash-players.sh, check-smooth-players.sh.

built=${LIVE_READ_BUILT:-$PWD/${CARGO_TARGET_DIR:-target}/release}

dir=$(mktemp -d)
store=
gateway=
cleanup() {
    [ -z "$gateway" ] || kill "$gateway" 2>/dev/null || true
    [ -z "$store" ] || kill "$store" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
chmod 755 "$dir"

say() { printf '%s\n' "$*" >&2; }

# start_store OPTIONS...: a store with the public bucket `live` at $address, and the tools' environment for it.
start_store() {
    : >"$dir/store.out"
    "$built/examples/local_store" --dir "$dir/store" --listen 127.0.0.1:0 --public-bucket live \
        --access-key test --secret-key test-secret "$@" >"$dir/store.out" 2>"$dir/store.err" &
    store=$!
    address=
    while [ -z "$address" ]; do
        kill -0 "$store" || { cat "$dir/store.err" >&2; exit 1; }
        address=$(sed -n 's/^.*\(http:[^ ]*\).*$/\1/p' "$dir/store.out")
        sleep 0.1
    done
    export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test-secret AWS_REGION=us-east-1 AWS_ENDPOINT_URL="$address" BUCKET_NAME=live
}

# start_gateway: `reader --serve` before that store, at $url.
start_gateway() {
    : >"$dir/gateway.out"
    "$built/reader" --serve 127.0.0.1:0 >"$dir/gateway.out" 2>"$dir/gateway.err" &
    gateway=$!
    until grep -q http "$dir/gateway.out"; do
        kill -0 "$gateway" || { cat "$dir/gateway.err" >&2; exit 1; }
        sleep 0.1
    done
    url=$(head -n 1 "$dir/gateway.out")
}

# start_recording NAME SIZE OPTIONS...: a camera's pictures of that size, for $seconds, $rate a second and a key frame each $segment
# seconds, are written into NAME.mp4 by $writer, with these options.
start_recording() {
    name_=$1
    size_=$2
    shift 2
    ffmpeg -nostdin -v error -re -f lavfi -i "testsrc2=size=$size_:rate=${rate:?}:duration=${seconds:?}" \
        -f lavfi -i "sine=frequency=440:duration=$seconds" -c:v libx264 -preset ultrafast -tune zerolatency -g $((${segment:?} * rate)) \
        -pix_fmt yuv420p -c:a aac -movflags +empty_moov+frag_keyframe+default_base_moof -frag_duration 500000 -f mp4 - |
        "$built/writer" --max-latency 1s "$name_.mp4" "$@" 2>"$dir/$name_.log" &
    writer=$!
}

# start_renditions NAME: the same in two sizes, which are renditions of NAME.m3u8, by $writers.
start_renditions() {
    writers=
    for rendition in high:320x180 low:160x90; do
        start_recording "$1-${rendition%:*}" "${rendition#*:}" --hls --hls-master "$1.m3u8" --hls-name "${rendition%:*}"
        writers="$writers $writer"
    done
}
end_renditions() {
    for one in $writers; do
        wait "$one" || { cat "$dir/$1"-*.log >&2; exit 1; }
    done
}

# Those of this system that are there, and says which are not: each has a function with_NAME that plays the playlist $1 and
# prints how many pictures of it it has decoded. with_ffmpeg differs from check to check, and is theirs.
system_players() {
    for player in ffmpeg:ffmpeg mpv:mpv gstreamer:gst-launch-1.0 vlc:cvlc; do
        if command -v "${player#*:}" >/dev/null; then
            echo "${player%%:*}"
        else
            say "${player%%:*}: not there, skipped"
        fi
    done
}
with_mpv() {
    shown=$(mktemp "$dir/mpv.XXXXXX.txt")
    mpv --no-config --really-quiet --no-audio --o="$shown" --of=framecrc --ovc=rawvideo "$1" >/dev/null
    grep -vc '^#' "$shown"
}
# Both sinks go by the clock, as a player's do. Where the one for sound takes all there is at once, GStreamer 1.22 has none left,
# pauses to gather more, and now and then hangs for ever, with the queue of pictures full and no sound to go on with; with plain
# files of a plain web server, too.
with_gstreamer() {
    timeout 120 gst-launch-1.0 -v playbin uri="$1" video-sink="fakesink silent=false sync=true" audio-sink="fakesink sync=true" \
        2>/dev/null | grep -c 'chain   \*'
}
with_vlc() {
    shown=$(mktemp -d "$dir/vlc.XXXXXX")
    chmod 777 "$shown"
    # VLC does not run as root.
    other=
    [ "$(id -u)" != 0 ] || other='setpriv --reuid=65534 --regid=65534 --clear-groups'
    # shellcheck disable=SC2086  # word splitting is wanted
    (cd "$shown" && HOME="$shown" timeout 60 $other cvlc -q -I dummy --no-audio --vout=dummy --no-drop-late-frames \
        --no-skip-frames --video-filter=scene --scene-ratio=1 --scene-format=jpg --scene-path="$shown" "$1" vlc://quit \
        >/dev/null 2>&1)
    find "$shown" -name '*.jpg' | wc -l
}

#!/bin/sh
# Plays a finished playlist of `writer --hls` with the players of this system, and with hls.js, Shaka Player and video.js in
# Chromium and Firefox, and counts the pictures that each decodes:
# of one object, and of two with a discontinuity between them. `make test-players` builds the tools and starts this.
set -eu

cd "$(dirname "$0")/.."
built=${LIVE_READ_BUILT:-$PWD/${CARGO_TARGET_DIR:-target}/release}
seconds=6
rate=25
# What writer cuts at 5 MB: noise, so that the objects are large enough.
source="testsrc2=size=640x360:rate=$rate:duration=$seconds,noise=alls=60:allf=t"

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

"$built/examples/local_store" --dir "$dir/store" --listen 127.0.0.1:0 --public-bucket live \
    --access-key test --secret-key test-secret >"$dir/store.out" 2>"$dir/store.err" &
store=$!
address=
while [ -z "$address" ]; do
    kill -0 "$store" || { cat "$dir/store.err" >&2; exit 1; }
    address=$(sed -n 's/^.*\(http:[^ ]*\).*$/\1/p' "$dir/store.out")
    sleep 0.1
done
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test-secret AWS_REGION=us-east-1 AWS_ENDPOINT_URL="$address" BUCKET_NAME=live

ffmpeg -nostdin -v error -f lavfi -i "$source" -f lavfi -i "sine=frequency=440:duration=$seconds" \
    -c:v libx264 -preset ultrafast -qp 20 -g $rate -pix_fmt yuv420p -c:a aac \
    -movflags +empty_moov+frag_keyframe+default_base_moof -f mp4 "$dir/video.mp4"
"$built/writer" --part-size 5MB --hls one.mp4 <"$dir/video.mp4" 2>"$dir/writer.log" || { cat "$dir/writer.log" >&2; exit 1; }
"$built/writer" --part-size 5MB --hls --rollover 20MB two.mp4 <"$dir/video.mp4" 2>"$dir/writer.log" || { cat "$dir/writer.log" >&2; exit 1; }
curl -fsS "$address/live/two.m3u8" | grep -q '^#EXT-X-DISCONTINUITY$' || { say "two.m3u8 has no discontinuity"; exit 1; }

# Each prints how many pictures of the playlist $1 it has decoded.
with_ffmpeg() {
    ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0 "$1" | head -n 1
}
with_mpv() {
    mpv --no-config --really-quiet --no-audio --o="$dir/mpv.txt" --of=framecrc --ovc=rawvideo "$1" >/dev/null
    grep -vc '^#' "$dir/mpv.txt"
}
with_gstreamer() {
    gst-launch-1.0 -v playbin uri="$1" video-sink='fakesink silent=false' audio-sink=fakesink 2>/dev/null |
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

in_browser() {
    node scripts/players/play.mjs "$1" "$2" "$3"
}

failed=no
for player in ffmpeg:ffprobe mpv:mpv gstreamer:gst-launch-1.0 vlc:cvlc; do
    name=${player%%:*}
    command -v "${player#*:}" >/dev/null || { say "$name: not there, skipped"; continue; }
    for list in one two; do
        # VLC plays by the clock, and drops what is late: it is asked for all of one object only, and may show one twice.
        [ "$name $list" != "vlc two" ] || continue
        count=$(with_"$name" "$address/live/$list.m3u8" || true)
        say "$name: $count of $((seconds * rate)) pictures of $list.m3u8"
        case $name in
        vlc) [ "$count" -ge $((seconds * rate)) ] || failed=yes ;;
        *) [ "$count" = $((seconds * rate)) ] || failed=yes ;;
        esac
    done
done
for browser in chromium firefox; do
    case $browser in
    chromium) command -v "${CHROMIUM:-chromium}" >/dev/null || { say "$browser: not there, skipped"; continue; } ;;
    firefox) command -v firefox-esr >/dev/null || command -v firefox >/dev/null || { say "$browser: not there, skipped"; continue; } ;;
    esac
    for player in hls shaka videojs; do
        for list in one two; do
            count=$(in_browser $browser $player "$address/live/$list.m3u8" || true)
            say "$browser, $player: $count of $((seconds * rate)) pictures of $list.m3u8"
            [ "$count" = $((seconds * rate)) ] || failed=yes
        done
    done
done
[ $failed = no ]

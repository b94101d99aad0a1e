#!/usr/bin/env bash
# `make test-obs`: OBS, as a person would use it, on a screen that nobody sees. `make demo-obs` says where to stream to; OBS streams a scene
# with a moving picture and sound there, Chromium opens the link and must play it, and the button stops it. What comes by the link
# afterwards must have what OBS recorded of the same encoder beside it, packet for packet.
# Needs obs-studio, xvfb and xdotool (Debian: 30 MB of packages).
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
# shellcheck source=scripts/started.sh
. "$top/scripts/started.sh"
end_with_script TERM
seconds=${OBS_SECONDS:-20}

for program in obs Xvfb xdotool ffmpeg python3; do
    command -v "$program" >/dev/null || { echo "check-obs: NOT TESTED: there is no $program (scripts/install-deps.sh obs)" >&2; exit 1; }
done
ok() { printf 'check-obs: %s\n' "$1"; }
fail() {
    printf 'check-obs: FAILED: %s\n' "$1" >&2
    for log in demo.out demo.log obs.log; do
        [ ! -f "$work/$log" ] || { printf -- '--- %s\n' "$log"; tail -n 20 "$work/$log"; } >&2
    done
    exit 1
}
said() { grep -q -- "$1" "$2" 2>/dev/null; }

cd "$work"
# Its own work is below this one, so that what writer says can be seen.
mkdir demo
DEMO_FROM=obs RTMP_PORT=0 PORT=0 TMPDIR=$work/demo "$top/scripts/demo-web.sh" >demo.out 2>demo.log &
pids+=($!)
until_true 60 said 'Ctrl-C ends it' demo.out || fail 'the demo does not begin'
server=$(sed -n 's/^ *Server *//p' demo.out)
key=$(sed -n 's/^ *Stream Key *//p' demo.out)
link=$(sed -n 's/^ *\(http:.*\)/\1/p' demo.out)
writer_said() { grep -qs -- "$1" demo/*/writer.log; }

# What OBS shows: pictures that differ from each other, and a tone.
ffmpeg -nostdin -v error -f lavfi -i testsrc2=size=640x360:rate=30:duration=4 -f lavfi -i sine=duration=4 \
    -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a pcm_s16le moving.mkv
settings=config/obs-studio
mkdir -p $settings/basic/profiles/live $settings/basic/scenes recordings run
chmod 700 run
fill() { sed -e "s|@WORK@|$work|; s|@SERVER@|$server|; s|@KEY@|$key|" "$top/scripts/obs/$1" >"$settings/$2"; }
fill global.ini global.ini
fill basic.ini basic/profiles/live/basic.ini
fill service.json basic/profiles/live/service.json
fill scene.json basic/scenes/live.json

Xvfb -displayfd 7 -screen 0 1024x768x24 -nolisten tcp 7>display 2>xvfb.log &
pids+=($!)
until_true 30 test -s display || fail 'there is no screen'
DISPLAY=:$(cat display)
export DISPLAY
HOME=$work XDG_CONFIG_HOME=$work/config XDG_RUNTIME_DIR=$work/run LIBGL_ALWAYS_SOFTWARE=1 QT_QPA_PLATFORM=xcb \
    obs --multi --profile live --collection live --startstreaming --startrecording >obs.log 2>&1 &
obs=$!
pids+=("$obs")
until_true 60 writer_said 'an encoder publishes' || fail 'OBS does not publish'
ok "it streams: $(sed -n 's/.*an encoder publishes: \(.*\)/\1/p' demo/*/writer.log | head -n 1)"

if command -v node >/dev/null; then
    node "$top/scripts/obs/watch.mjs" "$link" ${OBS_PICTURE:+"$OBS_PICTURE"} || fail 'the browser does not play it'
fi
sleep "$seconds"

# The button for the end, by its key: for long enough to be seen.
press() { xdotool keydown "$1"; sleep 0.3; xdotool keyup "$1"; }
press F10
until_true 30 writer_said 'the encoder has ended the stream' || fail 'OBS did not end the stream'
press F11
until_true 30 writer_said 'live.mp4 is complete' || fail 'the object is not complete'
ok 'stopped by the button: the object is complete'
until_true 20 said 'Recording Stop' obs.log || fail 'OBS did not end its recording'
sleep 1
kill "$obs" 2>/dev/null || true

curl -sS --noproxy '*' --max-time 60 --fail "${link%/play/*}/watch?v=live.mp4" -o object.mp4 || fail 'the recording does not come by the link'
"$top/scripts/obs/compare.py" object.mp4 recordings/*.mkv || fail 'the object is not what OBS recorded'

#!/bin/sh
# Plays a finished playlist of `writer --hls` with the players of this system, and with hls.js, Shaka Player and video.js in
# Chromium and Firefox, and counts the pictures that each decodes:
# of one object, and of two with a discontinuity between them. `make test-players` builds the tools and starts this.
set -eu

cd "$(dirname "$0")/.."
seconds=6
rate=25
# What writer cuts at 5 MB: noise, so that the objects are large enough.
source="testsrc2=size=640x360:rate=$rate:duration=$seconds,noise=alls=60:allf=t"

# shellcheck source=scripts/players/players.sh
. scripts/players/players.sh
# shellcheck disable=SC2119  # its options are not ours
start_store

ffmpeg -nostdin -v error -f lavfi -i "$source" -f lavfi -i "sine=frequency=440:duration=$seconds" \
    -c:v libx264 -preset ultrafast -qp 20 -g $rate -pix_fmt yuv420p -c:a aac \
    -movflags +empty_moov+frag_keyframe+default_base_moof -f mp4 "$dir/video.mp4"
"$built/writer" --part-size 5MB --hls one.mp4 <"$dir/video.mp4" 2>"$dir/writer.log" || { cat "$dir/writer.log" >&2; exit 1; }
"$built/writer" --part-size 5MB --hls --rollover 20MB two.mp4 <"$dir/video.mp4" 2>"$dir/writer.log" || { cat "$dir/writer.log" >&2; exit 1; }
curl -fsS "$address/live/two.m3u8" | grep -q '^#EXT-X-DISCONTINUITY$' || { say "two.m3u8 has no discontinuity"; exit 1; }

with_ffmpeg() {
    ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0 "$1" | head -n 1
}
in_browser() {
    node scripts/players/play.mjs "$1" "$2" "$3"
}

failed=no
for name in $(system_players); do
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
    node scripts/browsers.mjs $browser >/dev/null || { say "$browser: not there, skipped"; continue; }
    for player in hls shaka videojs; do
        for list in one two; do
            count=$(in_browser $browser $player "$address/live/$list.m3u8" || true)
            say "$browser, $player: $count of $((seconds * rate)) pictures of $list.m3u8"
            [ "$count" = $((seconds * rate)) ] || failed=yes
        done
    done
done
[ $failed = no ]

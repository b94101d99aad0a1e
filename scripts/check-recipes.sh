#!/usr/bin/env bash
# Takes the recipes out of README.md and docs/ and runs them, as they stand, against
# local stores: `make test-recipes`. A recipe is a block of shell after a line
# `<!-- recipe: NAME -->`.
set -uo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/started.sh
. "$top/scripts/started.sh"
end_with_script KILL
export PATH="$built:$PATH"

passed=0
failed=0

recipe() {
    awk -v name="<!-- recipe: $1 -->" '
        $0 == name { found = 1; next }
        found && /^```sh$/ { inside = 1; next }
        # In each file anew: a recipe is in one of them, and only once.
        inside && /^```$/ { found = inside = 0; next }
        inside { print }
    ' "$top/README.md" "$top"/docs/*.md
}

# run NAME: runs the recipe here and now, what it says in NAME.log.
run() {
    local text
    text=$(recipe "$1")
    if [ -z "$text" ]; then
        echo "there is no recipe \"$1\" in README.md and docs/" >"$1.log"
        return 1
    fi
    # The last command takes the shell's place, so that a signal reaches it.
    bash -o pipefail -ec "$text" >"$1.log" 2>&1
}

# start NAME: the same in the background; `started` is its process.
start() {
    local text
    text=$(recipe "$1")
    [ -n "$text" ] || text='echo "there is no such recipe in README.md and docs/"; exit 1'
    bash -o pipefail -ec "$text" >"$1.log" 2>&1 </dev/null &
    started=$!
    pids+=("$started")
}

ok() {
    passed=$((passed + 1))
    printf 'recipe %-10s ok\n' "$1"
}
wrong() {
    failed=$((failed + 1))
    printf 'recipe %-10s FAILED: %s\n' "$1" "$2"
    [ ! -f "$1.log" ] || sed 's/^/    | /' "$1.log" | tail -20
}
# judge NAME WHAT COMMAND...: ok when the command succeeds.
judge() {
    local name=$1 what=$2
    shift 2
    if "$@"; then ok "$name"; else wrong "$name" "$what"; fi
}

# A store and a directory of its own, and the environment that points to it.
use_store() {
    mkdir -p "$work/$1"
    cd "$work/$1" || exit 1
    "$built/examples/local_store" --dir store --listen 127.0.0.1:0 \
        --access-key local --secret-key local-secret --bucket demo >store.out 2>store.log &
    pids+=("$!")
    if ! until_true 20 grep -q '^listening on ' store.out; then
        echo "local_store does not start:"
        cat store.log
        exit 1
    fi
    unset AWS_PROFILE AWS_SESSION_TOKEN AWS_DEFAULT_REGION AWS_ENDPOINT_URL_S3
    export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local-secret AWS_REGION=us-east-1 BUCKET_NAME=demo
    export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_PAGER=''
    export AWS_REQUEST_CHECKSUM_CALCULATION=when_required AWS_RESPONSE_CHECKSUM_VALIDATION=when_required
    AWS_ENDPOINT_URL=$(sed -n 's/^listening on //p' store.out)
    export AWS_ENDPOINT_URL
    ln -s "$top/watch_upload.sh" .
}

frames() {
    ffprobe -v error -select_streams v:0 -count_packets -show_entries stream=nb_read_packets -of csv=p=0 "$1" 2>/dev/null | head -n 1 | tr -dc 0-9
}
has_frames() { [ "$(frames "$1")" = "$2" ]; }
same_frames() { [ -n "$(frames "$1")" ] && [ "$(frames "$1")" = "$(frames "$2")" ]; }
in_file() { grep -q -e "$1" "$2" 2>/dev/null; }
not_in_file() { [ -s "$2" ] && ! grep -q -e "$1" "$2"; }
size() { wc -c <"$1" | tr -dc 0-9; }
object() { aws s3api head-object --endpoint-url "$AWS_ENDPOINT_URL" --region us-east-1 --bucket demo --key "$1" >/dev/null 2>&1; }
cors_rules() { aws s3api get-bucket-cors --endpoint-url "$AWS_ENDPOINT_URL" --region us-east-1 --bucket demo; }
fetch() { reader --no-wait "$1" "$2" 2>fetch.log; }
# The port of RTMP is in the recipe; somebody else may have it.
port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# test_stream SECONDS OUTPUT...: a test pattern in real time.
test_stream() {
    ffmpeg -nostdin -loglevel error -re -f lavfi -i testsrc2=size=640x360:rate=30 -re -f lavfi -i sine \
        -t "$1" -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 60 -c:a aac "${@:2}"
}

# --- one live stream, and everything that reads it while it runs ---------------
live_recipes() {
    local pattern play copy hls watch status
    use_store live
    export SDL_VIDEODRIVER=dummy SDL_AUDIODRIVER=dummy
    # Readers first: they wait.
    start play; play=$started
    start copy; copy=$started
    start hls; hls=$started
    start pattern; pattern=$started
    until_true 10 in_upload_list live.mp4
    start watch; watch=$started

    if run what-there-is && in_file '^live .* live\.mp4$' what-there-is.log; then ok what-there-is; else wrong what-there-is "it does not say that it is live"; fi
    if run list && in_file 'live\.mp4' list.log; then ok list; else wrong list "the open upload is not in the list"; fi
    until_true 40 test -s hls/stream.m3u8
    judge hls-live "no live playlist while the upload is open" not_in_file EXT-X-ENDLIST hls/stream.m3u8
    wait "$pattern"; status=$?
    judge pattern "exit code $status" test $status = 0

    wait "$copy"; status=$?
    judge copy "exit code $status, $(frames copy.mp4) frames" eval "[ $status = 0 ] && has_frames copy.mp4 900"
    wait "$hls"; status=$?
    judge hls "exit code $status, or the playlist has no end" eval "[ $status = 0 ] && in_file EXT-X-ENDLIST hls/stream.m3u8"
    wait "$watch"; status=$?
    judge watch "exit code $status" eval "[ $status = 0 ] && in_file '[1-9][0-9]* parts*  [0-9]* bytes' watch.log && in_file 'is complete: $(size copy.mp4) bytes' watch.log"

    if run vod && in_file 'PLAYLIST-TYPE:VOD' hls/vod.m3u8 && in_file EXT-X-ENDLIST hls/vod.m3u8; then ok vod; else wrong vod "not on demand"; fi
    if run remux && has_frames vod.mp4 900; then ok remux; else wrong remux "$(frames vod.mp4) frames"; fi
    mv copy.mp4 live-copy.mp4
    if run finished && cmp copy.mp4 live-copy.mp4 && cmp another-copy.mp4 live-copy.mp4; then ok finished; else wrong finished "the finished object differs"; fi
    if run clip && in_file 'Mbit/s' clip.log; then
        local count; count=$(frames clip.mp4)
        judge clip "$count frames" eval "[ $count -ge 300 ] && [ $count -le 420 ] && [ $(frames from-now-on.mp4) -ge 1 ]"
    else
        wrong clip "$(tail -n 3 clip.log)"
    fi
    wait "$play"; status=$?
    judge play "exit code $status" test $status = 0
}
in_upload_list() { run list && in_file "$1" list.log; }

# --- what has a stream of its own -----------------------------------------------
other_recipes() {
    local pid status
    use_store other

    if run anything && fetch numbers.txt numbers && seq 1 100000 | cmp - numbers; then ok anything; else wrong anything "the object differs"; fi

    : >recording.mp4
    start follow; pid=$started
    test_stream 4 -movflags +empty_moov+frag_keyframe+default_base_moof -f mp4 -y recording.mp4
    kill -INT "$pid"
    wait "$pid"; status=$?
    judge follow "exit code $status" eval "[ $status = 0 ] && fetch live.mp4 followed.mp4 && cmp recording.mp4 followed.mp4"

    if port_is_free 1935; then
        start rtmp; pid=$started
        until_true 10 test_stream 4 -f flv rtmp://127.0.0.1:1935/live/stream 2>publish.log
        wait "$pid"; status=$?
        judge rtmp "exit code $status" eval "[ $status = 0 ] && fetch live.mp4 rtmp.mp4 && has_frames rtmp.mp4 120"

        start story; pid=$started
        until_true 10 test_stream 4 -f flv rtmp://127.0.0.1:1935/live/stream 2>publish.log
        wait "$pid"; status=$?
        judge story "exit code $status, or the playlist does not end" eval "[ $status = 0 ] && fetch evening.m3u8 evening.m3u8 && in_file EXT-X-ENDLIST evening.m3u8 && in_file 'a public bucket has it at http' story.log"
        if run story-recording && has_frames recording.mp4 120; then ok story-recording; else wrong story-recording "$(frames recording.mp4) frames"; fi
    else
        echo "recipes rtmp, story SKIPPED: port 1935 is taken"
    fi

    if command -v Xvfb >/dev/null 2>&1; then
        Xvfb :97 -screen 0 640x480x24 >/dev/null 2>&1 &
        pids+=("$!")
        until_true 10 test -S /tmp/.X11-unix/X97
        export DISPLAY=:97
        mkfifo keyboard
        bash -o pipefail -ec "$(recipe screen)" >screen.log 2>&1 <keyboard &
        pid=$!
        pids+=("$pid")
        exec 4>keyboard
        until_true 20 in_file 'frame= *[1-9][0-9]' screen.log
        # q, as at the keyboard.
        printf q >&4
        exec 4>&-
        wait "$pid"; status=$?
        judge screen "exit code $status" eval "[ $status = 0 ] && fetch screen.mp4 screen.mp4 && [ \$(frames screen.mp4) -ge 10 ]"
    else
        echo "recipe screen     SKIPPED: no Xvfb"
    fi

    run hls-object; status=$?
    judge hls-object "exit code $status, or the playlist does not end" eval "[ $status = 0 ] && fetch live.m3u8 written.m3u8 && in_file EXT-X-ENDLIST written.m3u8"
    run hls-rebuild; status=$?
    judge hls-rebuild "exit code $status, or another playlist" eval "[ $status = 0 ] && fetch live.m3u8 rebuilt.m3u8 && cmp written.m3u8 rebuilt.m3u8"
    run cors; status=$?
    judge cors "exit code $status, or other rules" eval "[ $status = 0 ] && cors_rules | grep -q https://www.example.com"
    run latency; status=$?
    judge latency "exit code $status" eval "[ $status = 0 ] && in_file 'times as much' latency.log && fetch quick.mp4 quick.mp4 && has_frames quick.mp4 300"

    # The gateway by a signed link, out of a private bucket.
    DEMO_SECONDS=6 DEMO_CHECK=1 PORT=0 "$top/scripts/demo-web.sh" >demo-web.log 2>&1; status=$?
    judge demo-web "exit code $status" eval "[ $status = 0 ] && in_file '180 frames came by the link' demo-web.log"

    run any-store; status=$?
    judge any-store "exit code $status" eval "[ $status = 0 ] && fetch anywhere.mp4 anywhere.mp4 && has_frames anywhere.mp4 300 && has_frames copy.mp4 300"

    run hls-anywhere; status=$?
    judge hls-anywhere "exit code $status, or the playlist does not end in the object" eval "[ $status = 0 ] && fetch everywhere.m3u8 everywhere.m3u8 && in_file EXT-X-ENDLIST everywhere.m3u8 && not_in_file _live everywhere.m3u8 && fetch everywhere.mp4 everywhere.mp4 && has_frames everywhere.mp4 300"

    run rollover; status=$?
    judge rollover "exit code $status" eval "[ $status = 0 ] && object match-0002.mp4 && has_frames whole.mp4 600"

    # An upload whose writer was killed stays open.
    mkfifo input
    exec 5<>input
    writer live.mp4 <input 2>cancel-writer.log &
    pid=$!
    pids+=("$pid")
    until_true 10 in_upload_list live.mp4
    UPLOAD_ID=$(awk '$2 == "live.mp4" { print $3 }' list.log)
    export UPLOAD_ID
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
    if run cancel && run list && ! in_file 'live\.mp4' list.log; then ok cancel; else wrong cancel "the upload is still open"; fi
}

for tool in ffmpeg ffprobe ffplay aws jq; do
    command -v $tool >/dev/null || { echo "check-recipes.sh needs $tool"; exit 1; }
done

# Side by side: the live stream takes half a minute by the clock.
(
    trap 'end_started KILL' EXIT
    pids=()
    other_recipes
    echo "$passed $failed" >"$work/other.count"
) &
other=$!
live_recipes
wait $other
read -r other_passed other_failed <"$work/other.count" || { other_passed=0; other_failed=1; echo "the other recipes broke off"; }
passed=$((passed + other_passed))
failed=$((failed + other_failed))
printf 'recipes: %d passed, %d failed\n' $passed $failed
[ $failed = 0 ]

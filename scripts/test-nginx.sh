#!/usr/bin/env bash
# `make test-nginx`: two gateways behind nginx, and encoders through nginx to writer, with packaging/nginx/*.conf as they stand but for
# addresses and files.
# Debian's nginx is unpacked into target/tools/nginx; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
# shellcheck source=scripts/started.sh
. "$top/scripts/started.sh"
end_with_script TERM
tools=$top/target/tools/nginx
# Its workers are somebody else where root starts it.
chmod 755 "$work"

fail() {
    printf 'test-nginx: FAILED: %s\n' "$1" >&2
    tail -n 15 "$work"/*.log >&2 || true
    exit 1
}
ok() { printf 'test-nginx: %s\n' "$1"; }

# Its module for what is not HTTP.
stream=usr/lib/nginx/modules/ngx_stream_module.so
nginx=$(command -v nginx || true)
module=/$stream
if [ -z "$nginx" ]; then
    nginx=$tools/usr/sbin/nginx
    module=$tools/$stream
    if [ ! -x "$nginx" ] || [ ! -e "$tools/$stream" ]; then
        command -v apt-get >/dev/null || { echo 'test-nginx: skipped: there is no nginx, and no apt-get to fetch it with' >&2; exit 0; }
        mkdir -p "$tools/debs"
        (cd "$tools/debs" && apt-get -qq -o APT::Sandbox::User=root download nginx libnginx-mod-stream >&2) || fail 'apt-get could not fetch nginx'
        for deb in "$tools"/debs/*.deb; do dpkg -x "$deb" "$tools"; done
        rm -rf "$tools/debs"
    fi
fi

said() { [ -s "$1" ] && grep -q . "$1"; }

cd "$work"
"$built/examples/local_store" --dir store --listen 127.0.0.1:0 --access-key test --secret-key test-secret --bucket films >store.out 2>store.log &
pids+=($!)
until_true 30 said store.out || fail 'the store does not begin'
AWS_ENDPOINT_URL=$(grep -o 'http://[^ ]*' store.out | head -n 1)
export AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test-secret AWS_REGION=us-east-1 BUCKET_NAME=films
unset AWS_PROFILE AWS_SESSION_TOKEN

(umask 077 && printf 'watch,list viewer-token-0123456789\nwrite writer-token-0123456789\nkey 0123456789abcdef\n' >tokens)
ports=()
gateways=()
for number in 1 2; do
    "$built/reader" --serve 127.0.0.1:0 --auth tokens >"gateway$number.out" 2>"gateway$number.log" &
    gateways+=($!)
    pids+=($!)
    until_true 30 said "gateway$number.out" || fail 'a gateway does not begin'
    ports+=("$(grep -o '[0-9]*/$' "gateway$number.out" | tr -d /)")
done

openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=tv.example -addext subjectAltName=DNS:tv.example -keyout tv.key -out tv.pem 2>openssl.out || fail 'there is no certificate'
port=$((20000 + RANDOM % 20000))
sed -e "s/127.0.0.1:8081/127.0.0.1:${ports[0]}/; s/127.0.0.1:8082/127.0.0.1:${ports[1]}/; s/listen 443/listen 127.0.0.1:$port/" \
    -e "s|/var/cache/nginx/live-read|$work/cache|; s|/etc/ssl/tv.example|$work/tv|; s|/var/log/nginx/live-read.log|$work/access.log|" \
    "$top/packaging/nginx/live-read.conf" >live-read.conf
mkdir temp
rtmp=$((port + 1)) rtmps=$((port + 2)) push=$((port + 3))
"$built/writer" --keys keys.db --add-key camera-1 >key 2>/dev/null || fail 'no stream key is made'
"$built/writer" 'live/{stream}/{session}.mp4' rtmp://127.0.0.1:0/live http://127.0.0.1:0/live --keys keys.db --trusted-proxies 127.0.0.1 2>ingest.log &
pids+=($!)
both() { [ "$(grep -c 'listening at' ingest.log)" = 2 ]; }
until_true 30 both || fail 'writer does not listen'
at() { grep -o "listening at $1://127.0.0.1:[0-9]*" ingest.log | grep -o '[0-9]*$'; }
sed -e "s/127.0.0.1:1936/127.0.0.1:$(at rtmp)/; s/127.0.0.1:8090/127.0.0.1:$(at http)/; s|/etc/ssl/tv.example|$work/tv|" \
    -e "s/listen 1935/listen 127.0.0.1:$rtmp/; s/listen 443/listen 127.0.0.1:$rtmps/; s/listen 8443/listen 127.0.0.1:$push/" \
    "$top/packaging/nginx/live-read-ingest.conf" >live-read-ingest.conf
cat >nginx.conf <<END
load_module $module;
include $work/live-read-ingest.conf;
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.log;
worker_processes 2;
events { worker_connections 1024; }
http {
    client_body_temp_path temp/body; proxy_temp_path temp/proxy; fastcgi_temp_path temp/f; uwsgi_temp_path temp/u; scgi_temp_path temp/s;
    include $work/live-read.conf;
}
END
"$nginx" -p "$work" -c nginx.conf -e "$work/nginx.log" 2>nginx.err.log &
pids+=($!)
ask() { curl -sS --noproxy '*' --resolve "tv.example:$port:127.0.0.1" --cacert tv.pem --max-time 60 "$@"; }
url=https://tv.example:$port
until_true 30 ask -o /dev/null "$url/healthz" 2>/dev/null || fail 'nginx does not begin'
token='Authorization: Bearer viewer-token-0123456789'
direct() { curl -sS --noproxy '*' --max-time 60 -H "$token" "$@"; }

# What grows comes as it comes, by HTTP/2 and HTTP/1.1, to its end.
head -c 12000000 /dev/urandom >whole
mkfifo input
# What runs beside must not hold the other end of this (7>&-): writer would never come to the end of its input.
"$built/writer" shows/match.mp4 -s 5000000 <input 2>writer.log &
pids+=($!)
exec 7>input
head -c 6000000 whole >&7
status() { ask -o /dev/null -w '%{http_code}' -H "$token" "$@"; }
there() { [ "$(status -r 0-9 "$url/watch?v=shows/match.mp4")" = 206 ]; }
until_true 60 there || fail 'what grows cannot be watched'
for version in http1.1 http2; do
    ask "--$version" -N -H "$token" -o "$version.mp4" "$url/watch?v=shows/match.mp4" 7>&- &
    pids+=($!)
    [ $version = http2 ] && by2=$! || by1=$!
done
has() { [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt "$2" ]; }
for version in http1.1 http2; do until_true 60 has $version.mp4 4900000 || fail "$version: what grows is held back"; done
ok 'what grows comes as it comes, by HTTP/1.1 and HTTP/2'

# Two gateways say the same of it, whichever is asked.
tags=$(for at in "${ports[@]}"; do direct -o /dev/null -D - -r 0-9 "http://127.0.0.1:$at/watch?v=shows/match.mp4" | tr -d '\r' | grep -i '^etag'; done | sort -u | wc -l)
[ "$tags" = 1 ] || fail "two gateways have $tags tags for one recording"
for first in 0 1000000 2000000 3000000 4000000; do
    for at in "${ports[@]}"; do direct -r "$first-$((first + 999999))" "http://127.0.0.1:$at/watch?v=shows/match.mp4" >"piece$at"; done
    cmp -s "piece${ports[0]}" "piece${ports[1]}" || fail "two gateways give other bytes at $first"
    cat "piece${ports[0]}"
done >pieces
cmp -s pieces <(head -c 5000000 whole) || fail 'the pieces are not the object'
ok 'two gateways give the same bytes and the same tag'

# A link of one is good at the other, and nowhere without it.
link=$("$built/reader" --serve --auth tokens --link shows/match.mp4 --expires 1h 2>link.log)
root=${link%/play/*}
for at in "${ports[@]}"; do
    [ "$(curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' -r 0-9 "http://127.0.0.1:$at$root/watch?v=shows/match.mp4")" = 206 ] || fail 'a link is not good at each gateway'
done
[ "$(ask -o /dev/null -w '%{http_code}' "$url$link")" = 200 ] || fail 'the page does not come by nginx'
[ "$(ask -o /dev/null -w '%{http_code}' "$url/watch?v=shows/match.mp4")" = 401 ] || fail 'somebody was let in without a token'
ok 'a link is good at each gateway'

# One gateway is killed: whoever watches goes on where he was, by the other.
timeout 30 curl -sS --noproxy '*' --resolve "tv.example:$port:127.0.0.1" --cacert tv.pem --http1.1 -N -H "$token" --retry 20 --retry-all-errors --retry-delay 1 -o before.mp4 "$url/watch?v=shows/match.mp4" 7>&- &
before=$!
pids+=("$before")
until_true 30 has before.mp4 4900000 || fail 'a viewer does not come so far'
# curl begins its file anew when it asks again.
head -c 4000000 before.mp4 >on.mp4
kill -KILL "${gateways[0]}"
until_true 60 there || fail 'with one gateway gone, nothing is served'
etag=$(ask -o /dev/null -D - -r 0-9 -H "$token" "$url/watch?v=shows/match.mp4" | tr -d '\r' | grep -i '^etag' | cut -d ' ' -f 2)
kill "$before" 2>/dev/null || true
ask --http1.1 -H "$token" -H "If-Match: $etag" -r 4000000- -o rest.mp4 "$url/watch?v=shows/match.mp4" 7>&- &
on=$!
pids+=("$on")
tail -c +6000001 whole >&7
exec 7>&-
wait $on || fail 'who goes on does not come to the end'
cat on.mp4 rest.mp4 | cmp -s - whole || fail 'who went on has other bytes'
# One of the two viewers was served by the gateway that was killed, or both: they broke off, and did not end as if that were all.
for version in http1.1 http2; do
    [ $version = http2 ] && pid=$by2 || pid=$by1
    if wait "$pid"; then cmp -s $version.mp4 whole || fail "$version ended with other bytes"; else cmp -s $version.mp4 <(head -c "$(stat -c %s $version.mp4)" whole) || fail "$version broke off with other bytes"; fi
done
ok 'with a gateway gone, who watches goes on by the other, and nobody takes a piece for the whole'

# Uploads go through as they come.
[ "$(ask -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer writer-token-0123456789' -T whole "$url/buckets/films/objects/other.mp4")" = 201 ] || fail 'nothing can be uploaded'
ask -H "$token" "$url/watch?v=other.mp4" | cmp -s - whole || fail 'what was uploaded is something else'
ok 'an upload goes through'

# Requests that can be read in two ways: one answer at most, and nothing of what is hidden in them.
hidden=$'GET /readyz HTTP/1.1\r\nHost: tv.example\r\n\r\n'
for fields in $'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' $'Transfer-Encoding: chunked\r\nContent-Length: 50\r\n\r\n0\r\n\r\n' \
    $'Content-Length: 0\r\nContent-Length: 9\r\n\r\n' $'Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n' $'Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n' $'Content-Length : 5\r\n\r\nhello'; do
    printf 'GET /healthz HTTP/1.1\r\nHost: tv.example\r\nConnection: close\r\n%s%s' "$fields" "$hidden" |
        timeout 20 openssl s_client -quiet -connect "127.0.0.1:$port" -servername tv.example -ign_eof 2>/dev/null >answers || true
    [ "$(grep -ac '^HTTP/1.1 ' answers)" -le 1 ] || fail "two answers to one request: $fields"
done
ok 'a request that can be read in two ways gets one answer at most'
grep -q "${root#/s/}" access.log && fail 'the token of a link is in the log of nginx'
ok 'no token is in its log'

# Without tokens nginx keeps what never changes; and all that is asked of a recording goes to one gateway.
kill -TERM "${gateways[1]}"
ports=()
for number in 3 4; do
    "$built/reader" --serve 127.0.0.1:0 --host tv.example >"gateway$number.out" 2>"gateway$number.log" &
    pids+=($!)
    until_true 30 said "gateway$number.out" || fail 'a gateway does not begin'
    ports+=("$(grep -o '[0-9]*/$' "gateway$number.out" | tr -d /)")
done
ffmpeg -hide_banner -v error -f lavfi -i testsrc2=size=320x180:rate=25:duration=6 -f lavfi -i sine=duration=6 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 25 \
    -c:a aac -f mp4 -movflags +frag_keyframe+empty_moov+default_base_moof - 2>camera.log | tee a.mp4 | "$built/writer" 'shows/two words.mp4' 2>>writer.log || fail 'there is no recording'
"$built/writer" shows/other.mp4 <a.mp4 2>>writer.log || fail 'there is no other recording'
port=$((port + 10))
mkdir open open/temp
sed -e "s/127.0.0.1:8081/127.0.0.1:${ports[0]}/; s/127.0.0.1:8082/127.0.0.1:${ports[1]}/; s/listen 443/listen 127.0.0.1:$port/" \
    -e "s|/var/cache/nginx/live-read|$work/open/cache|; s|/etc/ssl/tv.example|$work/tv|; s|/var/log/nginx/live-read.log|$work/open/access.log|" \
    "$top/packaging/nginx/live-read.conf" >open/live-read.conf
sed "/load_module/d; /live-read-ingest/d; s|$work/|$work/open/|" nginx.conf >open/nginx.conf
"$nginx" -p "$work/open" -c nginx.conf -e "$work/open/nginx.log" 2>open/nginx.err.log &
pids+=($!)
url=https://tv.example:$port
until_true 30 ask -o /dev/null "$url/healthz" 2>/dev/null || fail 'nginx does not begin again'
# What a path gives, how it is kept, and the path of what it names first that ends in this.
got() { ask -g -o got -D heads -w '%{http_code}' --retry 20 --retry-delay 1 "$url/$1"; }
kept() { tr -d '\r' <heads | grep -i '^x-cache' | cut -d ' ' -f 2; }
twice() {
    [ "$(got "$1") $(kept)" = '200 MISS' ] || fail "the first time: $1: $(cat heads)"
    cp got once
    [ "$(got "$1") $(kept)" = '200 HIT' ] || fail "the second time: $1: $(cat heads)"
    cmp -s once got || fail "nginx gives something else the second time: $1"
}
name=shows/two%20words.mp4
[ "$(got "hls/$name/index.m3u8")" = 200 ] || fail 'there is no playlist'
media=hls/$name/$(grep -o '^[^#].*media.m3u8' got)
[ "$(got "$media")" = 200 ] || fail 'there is no playlist of a version'
twice "${media%/*}/$(grep -v '^#' got | grep m4s | head -n 1)"
[ "$(got "${media%/*}/iframes.m3u8")" = 200 ] || fail 'there is no playlist of pictures'
twice "${media%/*}/$(grep -v '^#' got | head -n 1)"
[ "$(got "dash/$name/manifest.mpd")" = 200 ] || fail 'there is no manifest of DASH'
twice "dash/$name/$(grep -o 'initialization="[^"]*"' got | head -n 1 | cut -d '"' -f 2 | sed "s/[$]RepresentationID[$]/$(grep -o '<Representation id="[^"]*"' got | head -n 1 | cut -d '"' -f 2)/")"
[ "$(got "$name.isml/Manifest")" = 200 ] || fail 'there is no manifest of Smooth Streaming'
twice "$name.isml/$(grep -o 'Url="[^"]*"' got | head -n 1 | cut -d '"' -f 2 | sed "s/{bitrate}/$(grep -o 'Bitrate="[0-9]*"' got | head -n 1 | tr -dc 0-9)/; s/{start time}/0/")"
for path in "watch?v=$name" "watch?bucket=films&v=$name" "live/$name" "play/$name"; do [ "$(got "$path")" = 200 ] || fail "nothing comes: $path: $(cat heads)"; done
ask -o /dev/null --max-time 60 "$url/healthz"
answers() { curl -sS --noproxy "*" -H "Host: tv.example" "http://127.0.0.1:$1/metrics" | sed -n "s/^live_read_sent_bytes_total //p"; }
given=("$(answers "${ports[0]}")" "$(answers "${ports[1]}")")
if [ "${given[0]}" -gt 100000 ] && [ "${given[1]}" -gt 100000 ]; then fail "one recording was given by two gateways: ${given[*]} bytes"; fi
ok 'segments, pictures, and what DASH and Smooth name are kept; one recording comes from one gateway'

# Encoders through nginx: each has its own address at writer, whatever it speaks.
key=$(cat key)
camera() {
    ffmpeg -hide_banner -v error -f lavfi -i testsrc2=size=320x180:rate=25:duration=3 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 25 "$@" 2>camera.log ||
        fail "an encoder: $(cat camera.log)"
}
complete() { [ "$(grep -c 'is complete' ingest.log)" = "$1" ]; }
for number in 1 2 3; do
    case $number in
        1) camera -f flv "rtmp://127.0.0.1:$rtmp/live/$key" ;;
        2) camera -f flv "rtmps://127.0.0.1:$rtmps/live/$key" ;;
        3) camera -f mp4 -movflags +frag_keyframe+empty_moov -tls_verify 0 "https://127.0.0.1:$push/live/$key" ;;
    esac
    until_true 30 complete $number || fail "encoder $number: there is no object"
done
[ "$(grep -c 'an encoder publishes: 127.0.0.1:' ingest.log)" = 3 ] || fail 'writer does not hear who is there'
grep -q 'was turned away' ingest.log && fail 'somebody was turned away'
# Without nginx nobody is let in there.
ffmpeg -hide_banner -v error -f lavfi -i testsrc2=duration=1 -c:v libx264 -f flv "rtmp://127.0.0.1:$(at rtmp)/live/$key" 2>/dev/null && fail 'who does not say by the PROXY protocol who he is was let in'
ok 'RTMP, RTMPS and HTTPS reach writer, with the address of the encoder'

"""`reader --serve` beside nginx, and beside a middleware of FastAPI and boto3, from the same store on the same machine.

What counts is the processor time of the server, which other work beside it moves little; times by the clock are worth little on a
busy machine. What cannot be measured is told, and the rest goes on.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import delivery
import gateway_goals
import load
import peers
import player
import servers
import store as stores
from freshness import percentile

MIB = 1 << 20
SEGMENT = 2 * MIB
SEGMENTS = 88  # of a playlist of about 4 KiB
RATE = 6e6 / 8  # bytes a second of a live stream
PAUSE = 0.01  # seconds between two answers whose first byte is waited for
OURS, MIDDLEWARE = "**gateway**", "FastAPI and boto3"
STATIC = "nginx, sendfile"


class Made:
    """What was measured, by name, and why some was not."""

    def __init__(self, quick):
        self.quick, self.of, self.failed, self.busy = quick, {}, {}, 0.0

    def take(self, name, measure, *args):
        """Keeps what `measure` gives, or why it gives nothing."""
        print(f"bench: {name} ({time.strftime('%H:%M:%S')})", file=sys.stderr, flush=True)
        try:
            self.of[name] = measure(*args)
        except Exception as error:  # told in the table, and here; the others go on
            self.failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            print(f"bench: {name}: {error!r}", file=sys.stderr, flush=True)
        return self.of.get(name)


def run(new_store, work, quick):
    """Everything, about 25 minutes; quick: three."""
    made = Made(quick)
    made.take("answers from memory", lambda: from_memory(new_store, work, made))
    crowds = ((1, 0), (100, 0), (1000, 0)) if quick else ((1, 0), (100, 0), (1000, 0), (1000, 500))
    for viewers, stalled in crowds:
        made.take(f"{viewers} viewers, {stalled} stalled", live, new_store, work, viewers, 8 if quick else 60, stalled)
    made.take("1000 viewers, a burst each 250 ms", live, new_store, work, 1000, 8 if quick else 60, 0, False, "250ms")
    made.take("viewers by nginx", live, new_store, work, 100 if quick else 300, 8 if quick else 60, 0, True)
    made.take("delivery", delivery.run, new_store, work, 30 if quick else 240)
    made.take("player", player.run, 20 if quick else 600)
    return made


def from_memory(new_store, work, made):
    """All that is asked again and again."""
    files, quick = os.path.join(work, "files"), made.quick
    os.makedirs(files, exist_ok=True)
    for name, size in (("segment", SEGMENT), ("small", 4096), ("far", (64 if quick else 256) * MIB)):
        with open(os.path.join(files, name), "wb") as file:
            file.write(os.urandom(size))
    running = []
    try:
        with new_store("gateway") as store:
            for key in ("segment", "small", "far"):
                subprocess.run(peers.curl_put(store.endpoint, key, os.path.join(files, key)), check=True)

            def begin(name, how, *args):
                server = made.take(name, how, *args)
                running.extend([server] if server else [])
                return server

            pair = servers.certificate(work)
            ours = begin("gateway", servers.gateway, store, work)
            secret = begin("gateway over TLS", servers.gateway, store, work, pair)
            other = begin("nginx", servers.nginx, work, files, ours.url, pair)
            middle = begin("middleware", servers.middleware, store, work)
            list_url = made.take("a playlist of 4 KiB", playlist, store, ours, files)
            measured = []  # name, server, URL, what of it counts, headers
            served = {OURS: (ours, f"{ours.url}watch?v=")}
            if other:
                served.update({f"nginx, {name}": (other, other.urls[name]) for name in ("sendfile", "copied", "cached")})
            if middle:
                served[MIDDLEWARE] = (middle, f"{middle.url}watch?v=")
            for name, (server, url) in served.items():
                measured.append(((name, "segment"), server, url + "segment", "gib", ()))
                measured += small(name, server, url + "small", "small")
            if list_url:
                measured += small(OURS, ours, list_url, "playlist")
                if other:
                    measured += small(STATIC, other, other.urls["sendfile"] + "playlist", "playlist")
            if secret:
                measured.append(((f"{OURS}, TLS", "segment"), secret, f"{secret.url}watch?v=segment", "gib", ()))
            if other:
                measured.append((("nginx, TLS", "segment"), other, other.urls["tls"] + "segment", "gib", ()))
            rates = {}
            for number in range(1 if quick else 3):
                print(f"bench: round {number + 1} ({time.strftime('%H:%M:%S')})", file=sys.stderr, flush=True)
                for name, server, url, what, headers in measured:
                    try:
                        got = servers.repeated(server, url, 64, 2 if quick else 4, *headers)[what]
                        rates.setdefault(name, []).append(got)
                    except (subprocess.SubprocessError, OSError) as error:
                        made.failed[", ".join(name)] = str(error)[:200]
            made.take("first bytes", first, store, ours, middle, 60 if quick else 250)
            return {name: statistics.median(all_of) for name, all_of in rates.items()}
    finally:
        for server in running:
            server.end()


def small(name, server, url, what):
    """The whole of it, and not sent again."""
    _, tag = servers.asked(url)
    yield (name, what), server, url, "answers", ()
    if tag:
        yield (name, f"{what} 304"), server, url, "answers", (f"if-none-match: {tag}",)


def playlist(store, ours, files):
    """The URL of a media playlist of the gateway; the same is a file for nginx."""
    source = ["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5", "-t", str(2 * SEGMENTS),
              "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10", "-f", "mp4",
              "-movflags", "+empty_moov+frag_keyframe+default_base_moof", "-"]
    video = subprocess.run(source, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run([peers.binary("writer"), "-q", "list.mp4"], env=store.env, input=video, check=True)
    index = f"{ours.url}hls/list.mp4/index.m3u8"
    named, _ = servers.asked(index)
    place = next(line for line in named.decode().splitlines() if line and not line.startswith("#"))
    url = index.rpartition("/")[0] + "/" + place
    text, tag = servers.asked(url)
    if not tag or b"ENDLIST" not in text:
        raise RuntimeError("no playlist of what is recorded")
    with open(os.path.join(files, "playlist"), "wb") as file:
        file.write(text)
    return url


def first_bytes(url, ranges, count):
    """Seconds to the first byte of each answer, on a connection that is kept."""
    client, took = load.Client(url, [], False), []
    for number in range(count):
        client.say([f"range: bytes={ranges(number)}"])
        began = time.perf_counter()
        client.ask()
        while not client.take_head():
            pass
        if client.left == client.length:
            client.left -= client.discard(1)
        took.append(time.perf_counter() - began)
        while client.left > 0:
            client.left -= client.discard(client.left)
        # What is fetched beyond that is not to be waited for by the next.
        time.sleep(PAUSE)
    return took[1:]


def first(store, ours, middle, count):
    """Milliseconds to the first byte: p50 and p99 of each."""
    def times(url, ranges):
        took = first_bytes(url, ranges, count)
        return statistics.median(took) * 1000, percentile(took, 0.99) * 1000

    of_far = lambda number: f"{number * MIB}-{number * MIB + 999}"
    made = {"the store itself": times(peers.presign("GET", store.endpoint, f"/{stores.BUCKET}/far"), of_far),
            f"{OURS}, fetched": times(f"{ours.url}watch?v=far", of_far),
            f"{OURS}, in memory": times(f"{ours.url}watch?v=far", lambda number: "0-999")}
    if middle:
        made[MIDDLEWARE] = times(f"{middle.url}watch?v=far", of_far)
    return made


def live(new_store, work, viewers, seconds, stalled=0, proxied=False, latency="1s"):
    """So many viewers of one stream from its first byte on: how late they were, and what that took."""
    with new_store("gateway-live") as store:
        running, writer, clients = [], None, None
        try:
            served = servers.gateway(store, work)
            running.append(served)
            front, url = served, served.url
            if proxied:
                front = servers.nginx(work, work, served.url, servers.certificate(work))
                running.append(front)
                url = front.urls["proxied"]
            writer = subprocess.Popen([peers.binary("writer"), "-q", "--max-latency", latency, "live"], env=store.env, stdin=subprocess.PIPE)
            store.wait_for("CreateMultipartUpload", 30)
            store.forget_requests()
            command = [sys.executable, servers.LOAD, "watch", f"{url}watch?v=live", str(viewers), str(seconds), str(stalled)]
            clients = subprocess.Popen(servers.pinned("client", command), stdout=subprocess.PIPE, text=True)
            before, began, sent = front.worked(), time.monotonic(), 0
            while (passed := time.monotonic() - began) < seconds:
                due = int(passed * RATE) - sent
                writer.stdin.write(os.urandom(max(0, due)))
                writer.stdin.flush()
                sent += max(0, due)
                time.sleep(0.05)
            worked = (front.worked() - before) / (time.monotonic() - began)
            made = {**json.loads(clients.communicate(timeout=60)[0]), "viewers": viewers, "stalled": stalled, "cpu": worked, "peak": served.peak()}
            # Who watches may not have the newest bytes yet.
            made["upstream"] = store.counted_bytes() / max(made["seen"], edge(f"{served.url}watch?v=live"))
            return made
        finally:
            if clients:
                clients.kill()
            if writer:
                end(writer)
            for server in running:
                server.end()


def end(writer):
    """Ends its input, and it, if it does not end then."""
    writer.stdin.close()
    try:
        writer.wait(60)
    except subprocess.TimeoutExpired:
        writer.kill()


def edge(url):
    """How much of what grows the gateway has."""
    said = subprocess.run(["curl", "-sSI", "-r", "0-", url], capture_output=True, text=True, check=True).stdout.lower()
    ranges = [line.split("-")[-1] for line in said.splitlines() if line.startswith("content-range:")]
    return int(ranges[0].split("/")[0]) + 1 if ranges else 1


def text(made, table):
    """The tables."""
    number = lambda value, form: "–" if value is None else f"{value:{form}}"
    rates = made.of.get("answers from memory") or {}
    names = dict.fromkeys(name for name, _ in rates)
    kinds = (("segment", ".2f"), ("small", ",.0f"), ("small 304", ",.0f"), ("playlist", ",.0f"), ("playlist 304", ",.0f"))
    served = [[name, *(number(rates.get((name, kind)), form) for kind, form in kinds)] for name in names]
    crowds = [(name, one) for name, one in made.of.items() if "viewers" in name]
    rows = [[f"{one['viewers']:,}" + (f", {one['stalled']} of them stalled" if one["stalled"] else "") + (", by nginx" if "nginx" in name else "") + (", 250 ms" if "250" in name else ""),
             f"{one['upstream']:.3f} ×", f"{one['cpu'] * 100:.0f}", number(one["p50"], "d"), number(one["p99"], "d"), f"{one['peak'] / MIB:.0f}"]
            for name, one in crowds]
    times = [[name, f"{p50:.2f}", f"{p99:.2f}"] for name, (p50, p99) in made.of.get("first bytes", {}).items()]
    return (
        table(gateway_goals.HEAD, gateway_goals.rows(made))
        + "".join(f"\nNot measured: {name} ({why}).\n" for name, why in made.failed.items())
        + "\nAnswers from memory over 64 connections: of 2 MiB, in processor seconds of the server a GiB; of objects of 4 KiB and a playlist as "
        "large, whole and not sent again (304), in answers a second of its processor time.\n\n"
        + table(["", "2 MiB, CPU s a GiB", "4 KiB", "304", "playlist", "304"], served)
        + "\nA recording of 6 Mbit/s, which comes as a burst each second (`--max-latency 1s`) or each quarter, watched from its first byte on: what was "
        "read from the store over what there is of the object, the server's processor time in percent of a core, how long after the first viewer the others had each 64 KiB, in "
        "milliseconds, and the gateway's peak memory in MiB.\n\n"
        + table(["viewers", "from the store", "CPU %", "p50 ms", "p99 ms", "MiB"], rows)
        + "\nMilliseconds to the first byte of 1,000, each a MiB further on, 10 ms apart.\n\n" + table(["", "p50", "p99"], times))

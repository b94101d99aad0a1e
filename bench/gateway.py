"""`reader --serve` beside nginx, and beside a middleware of FastAPI and boto3, from the same store on the same machine.

Servers run on the first processor and their clients on the last, where there are several. What counts is the processor time of the
server, which other work beside it moves little; times by the clock are worth little on a busy machine.
"""

import glob
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

import peers
import store as stores
from freshness import percentile

MIB, GIB = 1 << 20, 1 << 30
SEGMENT = 2 * MIB
RATE = 6e6 / 8  # bytes a second of a live stream
LOAD = os.path.join(peers.HERE, "load.py")
TICKS = os.sysconf("SC_CLK_TCK")


def pinned(core, command):
    last = os.cpu_count() - 1
    return ["taskset", "-c", str(0 if core == "server" else last), *command] if last > 0 and shutil.which("taskset") else command


class Server:
    """A server, and what it and its children have worked."""

    def __init__(self, command, env, log):
        self.log = open(log, "wb")
        self.process = subprocess.Popen(pinned("server", command), env=env, stdout=subprocess.PIPE, stderr=self.log)

    def pids(self):
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [self.process.pid, *map(int, children.stdout.split())]

    def worked(self):
        """Processor seconds so far."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def peak(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.log.close()


def gateway(store, work):
    server = Server([peers.binary("reader"), "--serve", "127.0.0.1:0"], store.env, os.path.join(work, "gateway.log"))
    server.url = server.process.stdout.readline().decode().strip()
    return server


def nginx_program():
    """Debian's, unpacked into target/tools where it is not installed."""
    program = shutil.which("nginx")
    tools = os.path.join(peers.ROOT, "target", "tools", "nginx")
    unpacked = os.path.join(tools, "usr", "sbin", "nginx")
    if not program and not os.path.exists(unpacked) and shutil.which("apt-get"):
        debs = os.path.join(tools, "debs")
        os.makedirs(debs, exist_ok=True)
        subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "nginx"], cwd=debs, check=False)
        for deb in glob.glob(os.path.join(debs, "*.deb")):
            subprocess.run(["dpkg", "-x", deb, tools], check=True)
    return program or (unpacked if os.path.exists(unpacked) else None)


def nginx(program, work, files, upstream):
    """Static files with and without sendfile, a cache before the first, and a proxy before the gateway: at four ports."""
    ports = {name: 21700 + os.getpid() % 4000 + number for number, name in enumerate(("sendfile", "copied", "cached", "proxied"))}
    for name in ("cache", "temp"):
        os.makedirs(os.path.join(work, name), exist_ok=True)
    temp = "".join(f"{kind}_temp_path {work}/temp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    root = "user root;" if os.geteuid() == 0 else ""
    listen = lambda name, inside: f"server {{ listen 127.0.0.1:{ports[name]}; {inside} }}"
    proxy = "proxy_http_version 1.1; proxy_set_header Connection '';"
    text = (
        f"{root} worker_processes 1; worker_rlimit_nofile 8192; pid {work}/nginx.pid; daemon off; events {{ worker_connections 4096; }} http {{ access_log off; "
        f"{temp} keepalive_requests 1000000; tcp_nodelay on; proxy_cache_path {work}/cache keys_zone=all:10m max_size=1g; "
        + listen("sendfile", f"root {files}; sendfile on;") + listen("copied", f"root {files}; sendfile off;")
        + listen("cached", f"sendfile off; location / {{ proxy_pass http://127.0.0.1:{ports['sendfile']}; proxy_cache all; proxy_cache_valid 1h; {proxy} }}")
        + listen("proxied", f"location / {{ proxy_pass {upstream}; proxy_buffering off; {proxy} }}") + "}")
    config = os.path.join(work, "nginx.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(text)
    server = Server([program, "-e", os.path.join(work, "nginx-errors.log"), "-p", work, "-c", config], None, os.path.join(work, "nginx.log"))
    server.urls = {name: f"http://127.0.0.1:{port}/" for name, port in ports.items()}
    wait_for(server.urls["sendfile"])
    return server


def wait_for(url):
    for _ in range(200):
        if subprocess.run(["curl", "-s", "-o", os.devnull, url], check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers at {url}")


def load(*args):
    said = subprocess.run(pinned("client", [sys.executable, LOAD, *map(str, args)]), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(said.stdout)


def repeated(server, url, connections, seconds, *headers):
    """Processor seconds of the server for each answer and for each GiB."""
    load("repeat", url, connections, 1, *headers)
    before = server.worked()
    got = load("repeat", url, connections, seconds, *headers)
    worked = server.worked() - before
    return {"gib": worked / max(1, got["bytes"]) * GIB, "answers": got["answers"] / max(worked, 1 / TICKS)}


def first_bytes(url, headers, count, path_of):
    """Seconds to the first byte of each answer, on a connection that is kept."""
    host, _, _ = url.removeprefix("http://").partition("/")
    connection, took = http.client.HTTPConnection(host), []
    for number in range(count):
        began = time.perf_counter()
        connection.request("GET", path_of(number), headers=headers(number))
        answer = connection.getresponse()
        answer.read(1)
        took.append(time.perf_counter() - began)
        answer.read()
    return took[1:]


def live(store, work, viewers, seconds, stalled=0, proxied=False):
    """So many viewers of one stream from its first byte on: how late they were, and what that took."""
    key = f"live-{viewers}-{stalled}-{proxied}"
    served = gateway(store, work)
    front = nginx(nginx_program(), work, work, served.url) if proxied else served
    writer = subprocess.Popen([peers.binary("writer"), "-q", "--max-latency", "1s", key], env=store.env, stdin=subprocess.PIPE)
    try:
        store.wait_for("CreateMultipartUpload", 30)
        store.forget_requests()
        url = (front.urls["proxied"] if proxied else served.url) + f"watch?v={key}"
        clients = subprocess.Popen(pinned("client", [sys.executable, LOAD, "watch", url, str(viewers), str(seconds), str(stalled)]),
                                   stdout=subprocess.PIPE, text=True)
        before, began, sent = front.worked(), time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * RATE) - sent
            writer.stdin.write(os.urandom(max(0, due)))
            writer.stdin.flush()
            sent += max(0, due)
            time.sleep(0.05)
        said = clients.communicate(timeout=60)[0]
        made = {**json.loads(said), "cpu": (front.worked() - before) / seconds, "peak": served.peak()}
        made["upstream"] = store.counted_bytes() / max(1, made["seen"])
        return made
    finally:
        writer.stdin.close()
        writer.wait()
        for server in {served, front}:
            server.end()


def run(new_store, work, quick):
    made, seconds = {"served": {}, "small": {}, "live": []}, 2 if quick else 10
    files = os.path.join(work, "files")
    os.makedirs(files, exist_ok=True)
    for name, size in (("segment", SEGMENT), ("small", 4096)):
        with open(os.path.join(files, name), "wb") as file:
            file.write(os.urandom(size))
    program = nginx_program()
    with new_store("gateway") as store:
        far = os.path.join(work, "far")
        with open(far, "wb") as file:
            file.write(os.urandom(256 * MIB if not quick else 64 * MIB))
        for key, path in (("segment", os.path.join(files, "segment")), ("small", os.path.join(files, "small")), ("far", far)):
            subprocess.run(peers.curl_put(store.endpoint, key, path), check=True)
        ours = gateway(store, work)
        other = nginx(program, work, files, ours.url) if program else None
        middle = middleware(store, work)
        try:
            served = {"**gateway**": (ours, f"{ours.url}watch?v=")}
            if other:
                served.update({f"nginx, {name}": (other, other.urls[name]) for name in ("sendfile", "copied", "cached")})
            if middle:
                served["FastAPI and boto3"] = (middle, f"{middle.url}watch?v=")
            for name, (server, url) in served.items():
                made["served"][name] = repeated(server, url + "segment", 64, seconds)["gib"]
                tag = etag(url + "small")
                whole = repeated(server, url + "small", 64, seconds)["answers"]
                known = repeated(server, url + "small", 64, seconds, f"if-none-match: {tag}")["answers"] if tag else None
                made["small"][name] = (whole, known)
            made["first"] = first(store, ours, middle, 20 if quick else 60)
        finally:
            for server in filter(None, (ours, other, middle)):
                server.end()
        for viewers, stalled in ((1, 0), (100, 0)) if quick else ((1, 0), (100, 0), (1000, 0), (1000, 500)):
            made["live"].append((viewers, stalled, False, live(store, work, viewers, 8 if quick else 60, stalled)))
        if program and not quick:
            made["live"].append((300, 0, True, live(store, work, 300, 60, 0, True)))
    return made


def etag(url):
    said = subprocess.run(["curl", "-sI", "-X", "GET", url], capture_output=True, text=True, check=True).stdout
    found = [line.split(":", 1)[1].strip() for line in said.splitlines() if line.lower().startswith("etag:")]
    return found[0] if found else None


def middleware(store, work):
    """None where its environment is not there (`pip install fastapi uvicorn boto3`)."""
    python = os.environ.get("BENCH_MIDDLEWARE") or os.path.join(peers.ROOT, "target", "tools", "bench", "bin", "python")
    if subprocess.run([python, "-c", "import fastapi, uvicorn, boto3"], capture_output=True, check=False).returncode != 0:
        print("bench: no FastAPI: the middleware is left out", file=sys.stderr)
        return None
    port = 25800 + os.getpid() % 4000
    command = [python, "-m", "uvicorn", "--app-dir", peers.HERE, "--port", str(port), "--log-level", "error", "middleware:app"]
    server = Server(command, store.env, os.path.join(work, "middleware.log"))
    server.url = f"http://127.0.0.1:{port}/"
    wait_for(server.url)
    return server


def first(store, ours, middle, count):
    """Milliseconds to the first byte: p50 and p99 of each."""
    def times(url, headers, path_of):
        took = first_bytes(url, headers, count, path_of)
        return statistics.median(took) * 1000, percentile(took, 0.99) * 1000

    of_far = lambda number: {"range": f"bytes={number * MIB}-{number * MIB + 999}"}
    same = lambda number: {"range": "bytes=0-999"}
    told = peers.presign("GET", store.endpoint, f"/{stores.BUCKET}/far")
    path = "/" + told.split("/", 3)[3]
    made = {"the store itself": times(store.endpoint, of_far, lambda _: path),
            "**gateway**, fetched": times(ours.url, of_far, lambda _: "/watch?v=far"),
            "**gateway**, in memory": times(ours.url, same, lambda _: "/watch?v=far")}
    if middle:
        made["FastAPI and boto3"] = times(middle.url, of_far, lambda _: "/watch?v=far")
    return made


def text(made, table):
    """The tables."""
    number = lambda value, form: "–" if value is None else f"{value:{form}}"
    served = [[name, f"{gib:.2f}", *(number(value, ",.0f") for value in made["small"][name])] for name, gib in made["served"].items()]
    rows = [[f"{viewers:,}" + (f", {stalled} of them stalled" if stalled else "") + (", by nginx" if proxied else ""),
             f"{one['upstream']:.3f} ×", f"{one['cpu'] * 100:.0f}", number(one["p50"], "d"), number(one["p99"], "d"), f"{one['peak'] / MIB:.0f}"]
            for viewers, stalled, proxied, one in made["live"]]
    times = [[name, f"{p50:.2f}", f"{p99:.2f}"] for name, (p50, p99) in made["first"].items()]
    return (
        "Objects of 2 MiB from memory over 64 connections, in processor seconds of the server a GiB; and of 4 KiB, whole and not "
        "sent again (304), in answers a second of its processor time.\n\n"
        + table(["", "CPU s a GiB", "4 KiB", "304"], served)
        + "\nA recording of 6 Mbit/s (`--max-latency 1s`), watched from its first byte on: what was read from the store over what one of "
        "them has seen, the server's processor time in percent of a core, how long after the first viewer the others had each 64 KiB, in "
        "milliseconds, and the gateway's peak memory in MiB.\n\n"
        + table(["viewers", "from the store", "CPU %", "p50 ms", "p99 ms", "MiB"], rows)
        + "\nMilliseconds to the first byte of 1,000, each a MiB further on.\n\n" + table(["", "p50", "p99"], times))

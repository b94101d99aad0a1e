"""The servers that are measured beside each other, their clients, and what a server has worked."""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import peers

LOAD = os.path.join(peers.HERE, "load.py")
TICKS = os.sysconf("SC_CLK_TCK")
GIB = 1 << 30
PLACES = ("sendfile", "copied", "cached", "proxied", "tls")  # of nginx


def pinned(core, command):
    """Servers run on the first processor and their clients on the last, where there are several."""
    last = os.cpu_count() - 1
    return ["taskset", "-c", str(0 if core == "server" else last), *command] if last > 0 and shutil.which("taskset") else command


class Server:
    """A server, and what it and its children have worked."""

    def __init__(self, command, env, log, anywhere=False):
        self.log = open(log, "wb")
        self.process = subprocess.Popen(command if anywhere else pinned("server", command), env=env, stdout=subprocess.PIPE, stderr=self.log)

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
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def gateway(store, work, certificate=None, anywhere=False):
    """`reader --serve`; `certificate`: of files for TLS, and their keys; `anywhere`: on all processors."""
    command = [peers.binary("reader"), "--serve", "127.0.0.1:0"]
    if certificate:
        command += ["--tls-cert", certificate[0], "--tls-key", certificate[1]]
    server = Server(command, store.env, os.path.join(work, "gateway.log"), anywhere)
    server.url = server.process.stdout.readline().decode().strip()
    if not server.url:
        raise RuntimeError("the gateway does not begin")
    return server


def certificate(work):
    """A certificate of this machine alone, and its key."""
    made = [os.path.join(work, name) for name in ("certificate.pem", "key.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-out", made[0], "-keyout", made[1]], check=True, capture_output=True)
    return made


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
    found = program or (unpacked if os.path.exists(unpacked) else None)
    if not found:
        raise RuntimeError("there is no nginx")
    return found


def nginx(work, files, upstream, certificate):
    """Static files with and without sendfile, and over TLS; a cache before the first, and a proxy before the gateway: at five ports."""
    program = nginx_program()
    ports = {name: 21700 + os.getpid() % 4000 + number for number, name in enumerate(PLACES)}
    shutil.rmtree(os.path.join(work, "cache"), ignore_errors=True)
    for name in ("cache", "temp"):
        os.makedirs(os.path.join(work, name), exist_ok=True)
    temp = "".join(f"{kind}_temp_path {work}/temp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    root = "user root;" if os.geteuid() == 0 else ""
    listen = lambda name, inside, how="": f"server {{ listen 127.0.0.1:{ports[name]}{how}; {inside} }}"
    proxy = "proxy_http_version 1.1; proxy_set_header Connection '';"
    secret = f"ssl_certificate {certificate[0]}; ssl_certificate_key {certificate[1]}; ssl_protocols TLSv1.3;"
    text = (
        f"{root} worker_processes 1; worker_rlimit_nofile 8192; pid {work}/nginx.pid; daemon off; events {{ worker_connections 4096; }} http {{ access_log off; "
        f"{temp} keepalive_requests 1000000; tcp_nodelay on; proxy_cache_path {work}/cache keys_zone=all:10m max_size=1g; "
        + listen("sendfile", f"root {files}; sendfile on;") + listen("copied", f"root {files}; sendfile off;")
        + listen("tls", f"root {files}; sendfile off; {secret}", " ssl")
        + listen("cached", f"sendfile off; location / {{ proxy_pass http://127.0.0.1:{ports['sendfile']}; proxy_cache all; proxy_cache_valid 1h; {proxy} }}")
        + listen("proxied", f"location / {{ proxy_pass {upstream}; proxy_buffering off; {proxy} }}") + "}")
    config = os.path.join(work, "nginx.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(text)
    server = Server([program, "-e", os.path.join(work, "nginx-errors.log"), "-p", work, "-c", config], None, os.path.join(work, "nginx.log"))
    server.urls = {name: f"http{'s' if name == 'tls' else ''}://127.0.0.1:{port}/" for name, port in ports.items()}
    return answering(server, server.urls["sendfile"])


def middleware(store, work):
    """A program of FastAPI and boto3 (scripts/install-deps.sh bench)."""
    python = os.environ.get("BENCH_MIDDLEWARE") or os.path.join(peers.ROOT, "target", "tools", "bench", "bin", "python")
    if subprocess.run([python, "-c", "import fastapi, uvicorn, boto3"], capture_output=True, check=False).returncode != 0:
        raise RuntimeError("there is no FastAPI")
    port = 25800 + os.getpid() % 4000
    command = [python, "-m", "uvicorn", "--app-dir", peers.HERE, "--port", str(port), "--log-level", "error", "middleware:app"]
    server = Server(command, store.env, os.path.join(work, "middleware.log"))
    server.url = f"http://127.0.0.1:{port}/"
    return answering(server, server.url)


def answering(server, url):
    """The server, once it answers."""
    for _ in range(200):
        if subprocess.run(["curl", "-s", "-o", os.devnull, url], check=False).returncode == 0:
            return server
        time.sleep(0.05)
    server.end()
    raise RuntimeError(f"nothing answers at {url}")


def load(*args):
    """What load.py says."""
    said = subprocess.run(pinned("client", [sys.executable, LOAD, *map(str, args)]), stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    return json.loads(said.stdout)


def repeated(server, url, connections, seconds, *headers):
    """Processor seconds of the server for each GiB, and answers for each of its processor seconds."""
    load("repeat", url, connections, 0.5, *headers)
    before = server.worked()
    got = load("repeat", url, connections, seconds, *headers)
    worked = max(server.worked() - before, 1 / TICKS)
    return {"gib": worked / max(1, got["bytes"]) * GIB, "answers": got["answers"] / worked}


def asked(url):
    """The body of an answer, and its tag."""
    said = subprocess.run(["curl", "-sS", "--fail", "-i", url], capture_output=True, check=True).stdout
    head, _, body = said.partition(b"\r\n\r\n")
    tags = [line.split(b":", 1)[1].strip().decode() for line in head.splitlines() if line.lower().startswith(b"etag:")]
    return body, tags[0] if tags else None

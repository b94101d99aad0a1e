"""`writer` as a server for encoders, beside `ffmpeg -listen 1 | writer` and nginx-rtmp recording to disk: what a stream costs, how many there
may be, how late they are, and what cut connections and a killed writer leave. Each is held against its goal.

The encoders are one process that sends prepared bytes (pusher.py). What fails says so in its row, and the others go on.
"""

import glob
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import peers
from freshness import percentile
from measure import Watched
from pusher import MARK
from recorded import Counter, sum_of
from store import BUCKET

MIB = 1 << 20
PART = 5 * MIB
TEMPLATE = "live/{stream}/{start}.mp4"
KEY = "0123456789abcdef"
PUSHER = os.path.join(peers.HERE, "pusher.py")
FULL = ["-c", "copy", "-f", "mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof+delay_moov"]
FRAGMENT = 25  # pictures in a second, which a fragment has at most


STARTED = threading.local()  # what a row has started: its end is the row's, whatever fails


def begun(*what, **pipes):
    tool = Watched(*what, **pipes)
    STARTED.__dict__.setdefault("tools", []).append(tool)
    return tool


def clip(work, rate):
    """Pictures and sound of so many Mbit/s, as FLV."""
    path = os.path.join(work, f"clip-{rate}.flv")
    if not os.path.exists(path):
        video = f"{int(rate * 1000 - 160)}k"
        source = "testsrc2=size=640x360:rate=25,noise=alls=24:allf=t"
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "8.2"]
        command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0"]
        command += ["-b:v", video, "-minrate", video, "-maxrate", video, "-bufsize", video, "-c:a", "aac", "-b:a", "160k", "-f", "flv", path + ".new"]
        subprocess.run(command, check=True)
        os.rename(path + ".new", path)
    return path


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def pushing(file, urls, seconds, **more):
    settings = {"urls": urls, "chunk": 4096, "seconds": seconds, **more}
    return subprocess.Popen([sys.executable, PUSHER, file, json.dumps(settings)], stdout=subprocess.PIPE, text=True)


def pushed(pusher, seconds):
    """What it sent."""
    try:
        said = pusher.communicate(timeout=seconds + 90)[0]
    finally:
        pusher.kill()
    if pusher.returncode:
        raise RuntimeError("the encoders could not publish")
    return json.loads(said)


def worked(pid):
    """Processor seconds so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Many:
    """A writer for so many streams, with its URLs."""

    def __init__(self, store, work, count, limit, more=()):
        self.store, self.limit = store, limit
        self.keys = os.path.join(work, f"keys-{os.path.basename(store.dir)}")
        for old in glob.glob(self.keys + "*"):
            os.remove(old)
        self.spool = os.path.join(store.dir, f"spool-{count}")
        os.makedirs(self.spool)
        writer = peers.binary("writer")
        made = [subprocess.run([writer, "-q", "--keys", self.keys, "--add-key", f"camera-{number}"], env=store.env, stdout=subprocess.PIPE, text=True, check=True)
                for number in range(count)]
        address = f"rtmp://127.0.0.1:{free_port()}/live"
        self.urls = [f"{address}/{one.stdout.split()[-1]}" for one in made]
        self.command = [writer, "-q", TEMPLATE, address, "--keys", self.keys, "--spool-dir", self.spool, *more]
        self.start()

    def start(self):
        self.tool = begun(self.command, self.store.env, self.limit, 0.25, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        port = int(self.urls[0].split(":")[2].split("/")[0])
        for _ in range(200):
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        with open(f"/proc/{self.tool.pid}/status", encoding="ascii") as status:
            self.empty = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
        self.before = worked(self.tool.pid)
        return self

    def end(self):
        self.tool.process.send_signal(signal.SIGTERM)
        run = self.tool.wait()
        if run.status:
            raise RuntimeError(f"writer ended with {run.status}")
        return run


def listening(store, key, more=(), muxed=()):
    """`ffmpeg -listen 1 | writer`: both, and where."""
    url = f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-listen", "1", "-i", url, *FULL, *muxed, "-"]
    ffmpeg = begun(command, None, 1800, 0.25, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    writer = begun([peers.binary("writer"), "-q", *more, key], store.env, 1800, 0.25, stdin=ffmpeg.process.stdout, stdout=subprocess.DEVNULL)
    ffmpeg.process.stdout.close()
    return url, ffmpeg, writer


def nginx(work):
    """nginx with its RTMP module, which records to disk; `None` where there is none. Debian's are unpacked into target/tools."""
    tools = os.path.join(peers.ROOT, "target", "tools", "nginx-rtmp")
    if not glob.glob(f"{tools}/usr/lib/nginx/modules/ngx_rtmp_module.so"):
        debs = os.path.join(tools, "debs")
        os.makedirs(debs, exist_ok=True)
        for name in ("nginx", "libnginx-mod-rtmp"):
            subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name], cwd=debs, check=False)
        for deb in glob.glob(os.path.join(debs, "*.deb")):
            subprocess.run(["dpkg", "-x", deb, tools], check=True)
            os.remove(deb)
    program, module = f"{tools}/usr/sbin/nginx", f"{tools}/usr/lib/nginx/modules/ngx_rtmp_module.so"
    if not (os.path.exists(program) and os.path.exists(module)):
        return None
    here, port = os.path.join(work, "nginx-rtmp"), free_port()
    subprocess.run(["rm", "-rf", here], check=True)
    os.makedirs(os.path.join(here, "files"))
    os.chmod(os.path.join(here, "files"), 0o777)
    root = "user root;" if os.geteuid() == 0 else ""
    with open(os.path.join(here, "nginx.conf"), "w", encoding="utf-8") as file:
        file.write(f"load_module {module}; {root} worker_processes 1; master_process off; pid {here}/pid; daemon off; events {{ }} rtmp {{ access_log off; server {{ "
                   f"listen 127.0.0.1:{port}; chunk_size 4096; application live {{ live on; record all; record_path {here}/files; record_unique on; }} }} }}")
    command = [program, "-e", os.path.join(here, "errors.log"), "-p", here, "-c", os.path.join(here, "nginx.conf")]
    return f"rtmp://127.0.0.1:{port}/live", begun(command, None, 1800, 0.25, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def costs(new_store, work, chunk, seconds):
    """What a stream of 6 Mbit/s costs each of them, all at the same time: milliseconds a second, and memory."""
    file, count, made = clip(work, 6), 4, {}
    with new_store(f"ingest-costs-{chunk}") as store:
        many = Many(store, work, count, seconds + 120)
        url, ffmpeg, writer = listening(store, "ffmpeg.mp4")
        other = nginx(work)
        time.sleep(0.5)
        before = {name: worked(tool.pid) for name, tool in (("ffmpeg", ffmpeg), ("writer", writer))}
        pushers = [pushing(file, many.urls, seconds, chunk=chunk), pushing(file, [url], seconds, chunk=chunk)]
        if other:
            at_first = worked(other[1].pid)
            pushers.append(pushing(file, [f"{other[0]}/{KEY}-{number}" for number in range(count)], seconds, chunk=chunk))
        sent = [pushed(pusher, seconds) for pusher in pushers]
        if other:
            made["nginx-rtmp"] = ((worked(other[1].pid) - at_first) / seconds / count, other[1].stop().peak / count)
            subprocess.run(["rm", "-rf", os.path.join(work, "nginx-rtmp", "files")], check=True)
        ours, runs = many.end(), (ffmpeg.wait(), writer.wait())
        made["ours"] = ((ours.cpu - many.before) / seconds / count, ours.peak / count)
        made["ffmpeg"] = ((sum(run.cpu for run in runs) - sum(before.values())) / seconds, sum(run.peak for run in runs))
        counter = Counter(store, BUCKET, False)
        lost(sent[0], [one for one in counter.all() if one.key.startswith("live/")])
    return made


def lost(sent, recordings):
    """How many frames are not in recordings, which are all complete."""
    if not all(one.is_complete for one in recordings):
        raise RuntimeError("a recording is not complete")
    there = sum_of(recordings)
    said = tuple(sum(one[kind] for one in sent["streams"]) for kind in ("pictures", "sounds"))
    if any(here > wanted for here, wanted in zip(there, said)):
        raise RuntimeError(f"{there} frames of {said}")
    return sum(said) - sum(there), sum(said)


def load(new_store, work, count, rate, seconds):
    """So many streams at once: frames sent and lost, and the memory of that."""
    file = clip(work, rate)
    with new_store(f"ingest-{count}") as store:
        counter = Counter(store, BUCKET)
        counter.start()
        many = Many(store, work, count, seconds + 300)
        sent = pushed(pushing(file, many.urls, seconds), seconds)
        run = many.end()
        recordings = counter.all()
        if len(recordings) != count or any(one["connections"] != 1 for one in sent["streams"]):
            raise RuntimeError(f"{len(recordings)} objects of {count} streams")
        missing, frames = lost(sent, recordings)
        return {"lost": missing, "frames": frames, "cpu": (run.cpu - many.before) / seconds, "pusher": sent["cpu"] / seconds,
                "late": max(one["late"] for one in sent["streams"]), "memory": (run.peak - many.empty) / count, "peak": run.peak}


class Marks(threading.Thread):
    """When each picture came, in what `pieces` yields."""

    def __init__(self, pieces):
        super().__init__(daemon=True)
        self.pieces, self.came = pieces, {}

    def run(self):
        held = b""
        for data in self.pieces:
            now, data, at = time.monotonic(), held + data, 0
            while (found := data.find(MARK, at)) >= 0 and found + len(MARK) + 8 <= len(data):
                at = found + len(MARK) + 8
                self.came.setdefault(int(data[found + len(MARK):at]), now)
            held = data[max(at, len(data) - len(MARK) - 7):]


def given(reader):
    """What a reader gives."""
    while data := os.read(reader.process.stdout.fileno(), MIB):
        yield data


def noted(spool, over):
    """What is written into a journal, in which each fragment is when it is handed on to the upload."""
    files = {}
    while not over.is_set():
        for path in sorted(glob.glob(os.path.join(spool, "**", "0*"), recursive=True)):
            if path not in files:
                files[path] = open(path, "rb")
            if data := files[path].read():
                yield data
        over.wait(0.002)


def late(new_store, work, name, begin, seconds):
    """Seconds from the sending of a picture until a reader gives it, p50 and p95; and p95 until it was handed on to the upload, where a
    journal tells that."""
    with new_store(f"ingest-late-{name}") as store, tempfile.TemporaryDirectory(dir=work) as spool:
        url, tools = begin(store, spool)
        over = threading.Event()
        journal = Marks(noted(spool, over))
        journal.start()
        reader = begun([peers.binary("reader"), "-q", "live.mp4"], store.env, seconds + 60, 0.25, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        marks = Marks(given(reader))
        marks.start()
        sent = pushed(pushing(clip(work, 6), [url], seconds, told=True), seconds)
        for tool in tools:
            tool.wait()
        reader.wait()
        marks.join(10)
        over.set()
        journal.join(10)
        # At the end all is sent at once, and what comes first waits for the upload to begin.
        told = sent["streams"][0]["told"]
        told = [(number, when) for number, when in told if 4 < when - told[0][1] < seconds - 2]
        missing = [number for number, _ in told if number not in marks.came]
        if missing or not told:
            raise RuntimeError(f"{len(missing)} of {len(told)} pictures did not come out")
        took = [marks.came[number] - when for number, when in told]
        handed = [journal.came[number] - when for number, when in told if number in journal.came]
        if handed and len(handed) < len(told):
            raise RuntimeError(f"{len(told) - len(handed)} of {len(told)} pictures are not in the journal")
        return percentile(took, 0.5), percentile(took, 0.95), percentile(handed, 0.95) if handed else None


def ours_late(store, spool):
    address = f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
    command = [peers.binary("writer"), "-q", "live.mp4", address, "--max-latency", "1s", "--fragment", "200ms", "--spool-dir", spool]
    return address, [begun(command, store.env, 1800, 0.25, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)]


def ffmpeg_late(store, _):
    url, *tools = listening(store, "live.mp4", ["--max-latency", "1s"], ["-frag_duration", "200000", "-flush_packets", "1"])
    return url, tools


def cuts(new_store, work, count, seconds):
    """An encoder whose connection is cut so many times."""
    with new_store("ingest-cuts") as store:
        spool = os.path.join(store.dir, "spool")
        os.makedirs(spool)
        url = f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
        command = [peers.binary("writer"), "-q", "live.mp4", url, "--hls", "--spool-dir", spool]
        writer = begun(command, store.env, seconds + 120, 0.25, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        sent = pushed(pushing(clip(work, 2), [url], seconds, cuts=count), seconds)
        if writer.wait().status:
            raise RuntimeError("writer failed")
        return {"cuts": sent["streams"][0]["connections"] - 1, **left(store, work, [sent], 1)}


def left(store, work, sent, wanted):
    """What is left of broken streams: objects, playlists, frames lost, and whether all plays."""
    recordings = Counter(store, BUCKET, False).all()
    missing, _ = lost({"streams": [stream for one in sent for stream in one["streams"]]}, recordings)
    faults = [] if len(recordings) == wanted else [f"{len(recordings)} objects"]
    for one in recordings:
        path = os.path.join(work, "recording.mp4")
        with open(path, "wb") as file:
            subprocess.run([peers.binary("reader"), "-q", "--no-wait", one.key], env=store.env, stdout=file, check=True)
        faults += plays(path)
        os.remove(path)
        playlist = subprocess.run([peers.binary("reader"), "-q", "--no-wait", one.key.replace(".mp4", ".m3u8")], env=store.env,
                                  capture_output=True, text=True, check=False).stdout
        if "#EXT-X-ENDLIST" not in playlist:
            faults.append("a playlist without an end")
    return {"lost": missing, "objects": len(recordings), "faults": faults}


def plays(path):
    """What is wrong with the times of a file."""
    said = subprocess.run(["ffprobe", "-v", "warning", "-show_entries", "packet=stream_index,dts", "-of", "csv=p=0", path], capture_output=True, text=True, check=True)
    faults, last = [said.stderr.strip()[:200]] if said.stderr.strip() else [], {}
    for line in said.stdout.split():
        stream, when = line.split(",")[:2]
        if int(when) <= last.get(stream, -1 << 62):
            faults.append(f"stream {stream} goes back to {when}")
            break
        last[stream] = int(when)
    return faults


def killed(new_store, work, seconds):
    """Five streams whose writer is killed and started again."""
    with new_store("ingest-killed") as store:
        many = Many(store, work, 5, seconds + 300, ["--hls"])
        pusher = pushing(clip(work, 2), many.urls, seconds, away=0.3)
        time.sleep(seconds / 2)
        before = {one.path for one in Counter(store, BUCKET, False).all()}
        many.tool.stop()
        time.sleep(1)
        many.start()
        sent = pushed(pusher, seconds)
        many.end()
        after = {one.path for one in Counter(store, BUCKET, False).all()}
        made = left(store, work, [sent], 5)
        if before != after or len(before) != 5:
            made["faults"].append(f"{len(before & after)} of {len(before)} go on")
        return {**made, "same": len(before & after)}


def run(new_store, work, quick):
    """All of it: what was found for each, or what failed."""
    made, long = {}, 30 if quick else 600
    for rate in (2, 6):
        clip(work, rate)

    def row(name, function, *given):
        began = time.monotonic()
        try:
            made[name] = function(new_store, work, *given)
        except Exception as error:  # told in its row; the others go on
            made[name] = f"failed: {error}"
        for tool in STARTED.__dict__.pop("tools", []):
            if tool.process.returncode is None:
                tool.stop()
        print(f"bench: {name}: {made[name]} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)

    made["seconds"], made["cuts planned"] = long, 5 if quick else 20
    for chunk in (128, 4096):
        row(f"cost {chunk}", costs, chunk, 15 if quick else 90)
    row("late", late, "ours", ours_late, 20 if quick else 60)
    row("late ffmpeg", late, "ffmpeg", ffmpeg_late, 20 if quick else 60)
    row("30", load, 30, 6, long)
    # One stream more is nothing beside a hundred.
    beside = threading.Thread(target=row, args=("cuts", cuts, made["cuts planned"], long))
    beside.start()
    row("100", load, 100, 2, long)
    beside.join()
    row("killed", killed, 16 if quick else 40)
    return made


HEAD = ["what", "goal", "writer", "ffmpeg -listen \\| writer", "nginx-rtmp", "held"]


def rows(made):
    """The table of goals."""
    def row(name, what, goal, shown, holds, ffmpeg="–", other="–"):
        found = made[name]
        if isinstance(found, str):
            return [what, goal, found, ffmpeg, other, "**no**"]
        return [what, goal, shown(found), ffmpeg, other, "yes" if holds(found) else "**no**"]

    def of(name, who, at, form):
        found = made[name]
        return "–" if isinstance(found, str) or who not in found else form(found[who][at])

    milli = lambda seconds: f"{seconds * 1000:.1f}"
    mebi = lambda count: f"{count / MIB:.1f}"
    for chunk in (128, 4096):
        name = f"cost {chunk}"
        yield row(name, f"6 Mbit/s in chunks of {chunk}: processor time a stream-second, ms", "≤ 5", lambda found: milli(found["ours"][0]),
                  lambda found: found["ours"][0] <= 0.005, of(name, "ffmpeg", 0, milli), of(name, "nginx-rtmp", 0, milli))
    frames = lambda found: f"{found['lost']} of {found['frames']:,}"
    for count, rate in ((30, 6), (100, 2)):
        yield row(str(count), f"{count} streams of {rate} Mbit/s for {made['seconds']} s: frames lost", "0", frames, lambda found: found["lost"] == 0)
    theirs = made["late ffmpeg"]
    yield row("late", "RTMP byte → `reader`, `--max-latency 1s --fragment 200ms`: p95, s", "≤ 1.4", lambda found: f"{found[1]:.2f}",
              lambda found: found[1] <= 1.4, theirs if isinstance(theirs, str) else f"{theirs[1]:.2f}")
    yield row("late", "RTMP byte → handed on to the upload, `--fragment 200ms`: p95, ms", "≤ 220", lambda found: f"{found[2] * 1000:.0f}",
              lambda found: found[2] <= 0.220)
    for count, rate in ((30, 6), (100, 2)):
        yield row(str(count), f"memory of one of {count} streams of {rate} Mbit/s, MiB", f"≤ {(PART / MIB) + 1.5:g}", lambda found: mebi(found["memory"]),
                  lambda found: found["memory"] <= PART + 1.5 * MIB, of("cost 4096", "ffmpeg", 1, mebi), of("cost 4096", "nginx-rtmp", 1, mebi))
    planned = made["cuts planned"]
    yield row("cuts", f"{planned} cuts in {made['seconds']} s: objects; frames lost a cut", f"1; ≤ {FRAGMENT} pictures and their sound", shown_left,
              lambda found: not found["faults"] and found["cuts"] == planned and found["lost"] <= planned * (FRAGMENT + 47))
    yield row("killed", "`kill -9` with 5 streams: the same objects; frames lost in all", "5", shown_left, lambda found: not found["faults"])


def shown_left(found):
    each = found["lost"] / found["cuts"] if "cuts" in found else found["lost"]
    return f"{found['objects']}; {each:g}" + "".join(f"; {fault}" for fault in found["faults"][:2])


def text(made, table):
    """The table, and what the load took."""
    said = table(HEAD, rows(made))
    for count in ("30", "100"):
        found = made[count]
        if not isinstance(found, str):
            said += (f"\n{count} streams: `writer` worked for {found['cpu']:.2f} s of each second and had {found['peak'] / MIB:.0f} MiB at most; "
                     f"the encoders worked for {found['pusher']:.2f}, and waited {found['late'] / 1000:.1f} s for it at most.")
    return said + "\n"

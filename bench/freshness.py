"""How long bytes take from the writer's standard input to the reader's standard output, at the pace of a live stream.

A source writes blocks and notes when each was there to be read; a tap on the reader's output notes when each piece came.
The store's own log says when it held a part. Several streams run at the same time: each of them hardly works.
"""

import bisect
import hashlib
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field

from measure import Watched
from store import kind

PART = 5 * 1024 * 1024
BLOCK = 0.02  # seconds between two blocks of the source
SEEN = 0.25  # seconds between two looks at the memory of a pair: the kernel keeps the highest


@dataclass
class Stream:
    """One writer and one reader."""

    name: str
    rate: float  # Mbit/s, on average
    seconds: float
    write: list  # commands
    read: list
    key: str
    video: str = None  # a file to be played at its own pace instead of a constant rate
    tail: bool = False  # whether parts that are not full are uploaded
    idle: bool = False  # after `seconds` the source falls silent; nothing ends
    warm_up: int = 3  # parts that come before a rhythm can be known


@dataclass
class Measured:
    """What became of a stream. Latencies in seconds."""

    stream: Stream
    sent: list = field(default_factory=list)  # (offset behind the block, time)
    came: list = field(default_factory=list)
    idle_from: float = None  # wall clock
    idle_to: float = None
    latency: list = field(default_factory=list)  # (seconds since the start, latency) of each block
    stored: list = field(default_factory=list)  # latency from the store to the output, of each part
    stored_warm: list = field(default_factory=list)  # the same once there is a rhythm
    filled_warm: list = field(default_factory=list)  # of the last byte of each full part, from the input on
    requests: dict = field(default_factory=dict)
    reads_per_part: float = 0.0  # once there is a rhythm
    uploaded: int = 0
    cpu: dict = field(default_factory=dict)


def percentile(values, share):
    """Of a list; not a number where it is empty."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Source(threading.Thread):
    """Feeds a pipe at a rate, or as ffmpeg plays a video, and notes when each block was there."""

    def __init__(self, stream, pipe, seconds):
        super().__init__(daemon=True)
        self.stream, self.pipe, self.seconds = stream, pipe, seconds
        self.sent, self.digest, self.failure = [], hashlib.md5(), None

    def run(self):
        try:
            for block in self.video() if self.stream.video else self.steady():
                offset = (self.sent[-1][0] if self.sent else 0) + len(block)
                self.sent.append((offset, time.monotonic()))
                self.digest.update(block)
                while block:
                    block = block[os.write(self.pipe.fileno(), block):]
        except OSError as error:
            self.failure = error
        if not self.stream.idle:
            self.pipe.close()

    def steady(self):
        size = int(self.stream.rate * 1e6 / 8 * BLOCK)
        began = time.monotonic()
        for number in range(int(self.seconds / BLOCK)):
            time.sleep(max(0.0, began + number * BLOCK - time.monotonic()))
            yield os.urandom(size)

    def video(self):
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", self.stream.video,
                   "-t", str(self.seconds), "-c", "copy", "-f", "mp4",
                   "-movflags", "+empty_moov+frag_keyframe+default_base_moof", "-"]
        player = subprocess.Popen(command, stdout=subprocess.PIPE)
        while block := os.read(player.stdout.fileno(), 1 << 16):
            yield block
        player.stdout.close()
        player.wait()


class Tap(threading.Thread):
    """Takes the reader's output and notes when each piece came."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe, self.came, self.digest, self.ended = pipe, [], hashlib.md5(), None

    def run(self):
        offset = 0
        while data := os.read(self.pipe.fileno(), 1 << 20):
            offset += len(data)
            self.came.append((offset, time.monotonic()))
            self.digest.update(data)
        self.ended = time.time()


def run(new_store, streams, idle_seconds):
    """Runs all streams at once, each with a store of its own (whose log names no key for a list); `[Measured, ...]`."""
    results, threads, failures = [], [], []

    def one(stream):
        try:
            with new_store(stream.key) as store:
                results.append(follow(store, stream, idle_seconds))
        except Exception as error:  # told below, in the thread that asked
            failures.append(f"{stream.name}: {error!r}")

    for stream in streams:
        threads.append(threading.Thread(target=one, args=(stream,)))
        threads[-1].start()
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError("; ".join(failures))
    order = {stream.key: number for number, stream in enumerate(streams)}
    return sorted(results, key=lambda measured: order[measured.stream.key])


@dataclass
class Flow:
    """A stream that has gone through a writer and a reader, byte for byte."""

    source: object
    tap: object
    began: float  # wall clock
    flowed: float  # when the input ended
    runs: dict  # what writer and reader took


def flow(store, stream, env=None, silence=0.0):
    """Sends a stream through its pair of commands; `silence` seconds after the last byte the input is closed."""
    env = env or store.env
    writer = Watched(stream.write, env, stream.seconds + silence + 120, SEEN, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    store.wait_for("CreateMultipartUpload")
    reader = Watched(stream.read, env, stream.seconds + silence + 120, SEEN, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    # Ready before the first byte, as it would be beside a stream that runs.
    time.sleep(1.5)
    source, tap = Source(stream, writer.process.stdin, stream.seconds), Tap(reader.process.stdout)
    began = time.time()
    source.start()
    tap.start()
    source.join()
    flowed = time.time()
    if silence:
        time.sleep(silence)
        writer.process.stdin.close()
    runs = {"writer": writer.wait(), "reader": reader.wait()}
    tap.join(10)
    statuses = {name: run.status for name, run in runs.items()}
    if source.failure or any(statuses.values()):
        raise RuntimeError(f"writer and reader ended with {statuses}, the source with {source.failure}")
    if source.digest.digest() != tap.digest.digest():
        raise RuntimeError("what came out is not what went in")
    return Flow(source, tap, began, flowed, runs)


def follow(store, stream, idle_seconds):
    made = flow(store, stream, silence=5 + idle_seconds if stream.idle else 0.0)
    measured = Measured(stream, made.source.sent, made.tap.came)
    measured.cpu = {name: run.cpu for name, run in made.runs.items()}
    if stream.idle:
        measured.idle_from, measured.idle_to = made.flowed + 5, made.flowed + 5 + idle_seconds
    evaluate(store, measured)
    return measured


def evaluate(store, measured):
    stream, sent, came = measured.stream, measured.sent, measured.came
    offsets = [offset for offset, _ in came]
    ends = [offset for offset, _ in sent]
    entered = lambda offset: sent[bisect.bisect_left(ends, offset)][1]
    arrival = lambda offset: came[bisect.bisect_left(offsets, offset)][1]
    began, total = sent[0][1], sent[-1][0]
    # The end of the input sends what is left of a part at once, which says nothing of a live stream.
    until = total - int(2 * stream.rate * 1e6 / 8) if stream.tail else total // PART * PART
    measured.latency = [(at - began, arrival(offset) - at) for offset, at in sent if offset <= until]

    shift = time.monotonic() - time.time()
    entries = store.logged()
    done = lambda entry: (entry["time_ms"] + entry["duration_ms"]) / 1000
    parts = [entry for entry in entries if entry["operation"] == "UploadPart" and entry["status"] == 200]
    measured.uploaded = sum(entry["bytes_in"] for entry in parts)
    for entry in parts:
        end = (entry["part_number"] - 1) * PART + entry["bytes_in"]
        if end <= until and end > 0:
            # The store's clock has milliseconds, so that this may come out a little below nothing.
            took = max(0.0, arrival(end) - (done(entry) + shift))
            measured.stored.append(took)
            if entry["part_number"] > stream.warm_up:
                measured.stored_warm.append(took)
                if entry["bytes_in"] == PART:
                    measured.filled_warm.append(arrival(end) - entered(end))
    for entry in entries:
        measured.requests[kind(entry["operation"])] = measured.requests.get(kind(entry["operation"]), 0) + 1
    # Reads from the moment when the store held the last part of the warm-up to that of the last full part.
    full = {entry["part_number"]: done(entry) for entry in parts if entry["bytes_in"] == PART}
    first, last = stream.warm_up, max(full, default=0)
    if last > first and first in full:
        between = [e for e in entries if kind(e["operation"]) == "reads" and full[first] < e["time_ms"] / 1000 <= full[last]]
        measured.reads_per_part = len(between) / (last - first)
    if stream.idle:
        window = [entry for entry in entries if measured.idle_from <= entry["time_ms"] / 1000 <= measured.idle_to]
        minutes = (measured.idle_to - measured.idle_from) / 60
        kinds = [kind(entry["operation"]) for entry in window]
        measured.requests = {name: kinds.count(name) / minutes for name in ("uploads", "reads", "lists")}


def encode(path, seconds):
    """A video of about 6 Mbit/s whose difficulty changes, so that its parts fill in unequal times."""
    source = "testsrc2=size=640x360:rate=30,noise=alls=24:allf=t,eq=contrast='1+0.4*sin(t/5)':eval=frame"
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", source, "-t", str(seconds),
               "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60", "-b:v", "6M", path]
    subprocess.run(command, check=True)

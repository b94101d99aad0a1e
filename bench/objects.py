"""Live objects beside Live Read: how long bytes take, what is uploaded and asked for, and how soon the end is seen.

Each pair has a store of its own. Those with live objects run on one without Live Read and without versions, as most
stores are; `Live Read` beside them is the same input on a store that has it.
"""

import os
import subprocess
import threading
import time
from dataclasses import dataclass, field

import peers
from freshness import Source, Stream, Tap, percentile

ORDINARY = ["--no-live-read", "--quirk", "unversioned"]


@dataclass
class Pair:
    """What runs: a rate in Mbit/s, and how long a byte may wait in the writer (None: until a part is full)."""

    name: str
    rate: float
    latency: str
    objects: bool
    seconds: float


@dataclass
class Measured:
    """What became of it. Seconds, and counts."""

    pair: Pair
    latency: list = field(default_factory=list)
    uploaded: float = 0.0  # bytes sent to the store for each byte of the input
    writes: float = 0.0  # PUT, POST and copies a minute
    objects: int = 0
    gets: float = 0.0  # GETs of the reader for each live object
    heads: float = 0.0  # HEADs a minute, of both
    lists: int = 0
    ending: float = 0.0  # from the completion to the end of the reader
    left: int = 0  # objects below _live/ in the end


def pairs(quick):
    """What is measured."""
    seconds = 20 if quick else 60
    made = []
    for rate in (0.128, 6, 50):
        for objects in (True, False):
            made.append(Pair(f"{rate:g} Mbit/s", rate, "1s", objects, seconds if rate < 50 else min(seconds, 30)))
    made.append(Pair("6 Mbit/s", 6, "500ms", True, seconds))
    for objects in (True, False):
        made.append(Pair("6 Mbit/s", 6, None, objects, seconds))
    return made


def run(new_store, quick):
    """All pairs, two at a time; `[Measured, ...]`."""
    todo = pairs(quick)
    results, failures = {}, []

    def one(number, pair):
        try:
            with new_store(f"objects-{number}", ORDINARY if pair.objects else []) as store:
                results[number] = measure(store, pair)
        except Exception as error:  # told below, in the thread that asked
            failures.append(f"{pair}: {error!r}")

    for first in range(0, len(todo), 2):
        threads = [threading.Thread(target=one, args=(number, todo[number])) for number in range(first, min(first + 2, len(todo)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise RuntimeError("; ".join(failures))
    return [results[number] for number in range(len(todo))]


def measure(store, pair):
    mode = ["--live", "objects"] if pair.objects else []
    late = ["--max-latency", pair.latency] if pair.latency else []
    quiet = {"env": store.env, "stderr": subprocess.DEVNULL}
    writer = subprocess.Popen([peers.binary("writer"), "-q", *mode, *late, "live.mp4"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, **quiet)
    store.wait_for("CreateMultipartUpload")
    reader = subprocess.Popen([peers.binary("reader"), "-q", *mode, "live.mp4"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, **quiet)
    time.sleep(1.5)
    stream = Stream(pair.name, pair.rate, pair.seconds, [], [], "live.mp4")
    source, tap = Source(stream, writer.stdin, pair.seconds), Tap(reader.stdout)
    began = time.time()
    source.start()
    tap.start()
    source.join()
    flowed = time.time()
    statuses = writer.wait(60), reader.wait(60)
    tap.join(10)
    if source.failure or any(statuses) or source.digest.digest() != tap.digest.digest():
        raise RuntimeError(f"writer and reader ended with {statuses}, the source with {source.failure}")
    return evaluate(store, pair, source, tap, (began, flowed))


def evaluate(store, pair, source, tap, times):
    began, flowed = times
    made, total = Measured(pair), source.sent[-1][0]
    # The end of the input sends what is left at once, which says nothing of a live stream.
    until = total - int(2 * pair.rate * 1e6 / 8) if pair.latency else total // (5 << 20) * (5 << 20)
    came = iter(tap.came)
    offset, at = next(came)
    for sent, when in source.sent:
        if sent > until:
            break
        while offset < sent:
            offset, at = next(came)
        made.latency.append(at - when)
    entries = store.logged()
    flowing = [entry for entry in entries if began <= entry["time_ms"] / 1000 <= flowed]
    minutes = (flowed - began) / 60
    of = lambda *names: [entry for entry in flowing if entry["operation"] in names]
    made.uploaded = sum(entry["bytes_in"] for entry in entries if entry["operation"] in ("PutObject", "UploadPart")) / total
    made.writes = len(of("PutObject", "UploadPart", "UploadPartCopy", "CreateMultipartUpload")) / minutes
    stored = [entry for entry in of("PutObject") if entry["bytes_in"] > 2_000]
    made.objects = len(stored)
    made.gets = len(of("GetObject")) / len(stored) if stored else len(of("GetObject")) / max(1, len(of("UploadPart")))
    made.heads = len(of("HeadObject")) / minutes
    made.lists = len(of("ListObjectsV2", "ListMultipartUploads", "ListParts"))
    completed = [entry for entry in entries if entry["operation"] == "CompleteMultipartUpload" and entry["status"] == 200]
    made.ending = tap.ended - (completed[-1]["time_ms"] + completed[-1]["duration_ms"]) / 1000
    made.left = store.count("_live/")
    return made


def rows(results):
    """For a table."""
    for made in results:
        pair = made.pair
        shown = [f"{percentile(made.latency, share):.2f}" for share in (0.5, 0.95, 1.0)]
        yield [
            "live objects" if pair.objects else "Live Read", pair.name, pair.latency or "a part", *shown, f"{made.uploaded:.2f}",
            f"{made.writes:.0f}", f"{made.gets:.1f}", f"{made.heads:.1f}", made.lists, f"{made.ending:.1f}", made.left,
        ]


HEAD = ["by", "input", "waits at most", "p50 s", "p95 s", "worst s", "uploaded", "writes a minute", "GETs", "HEADs a minute", "lists",
        "end s", "left"]

"""Live objects beside Live Read: how long bytes take, what is uploaded and asked for, how soon the end is seen, and what a
reader that comes late needs. Each is held against its goal.

Each pair has a store of its own. Those with live objects run on one without Live Read and without versions, as most
stores are; `Live Read` beside them is the same input on a store that has it.
"""

import bisect
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import cost
import freshness
import peers
import recording
from freshness import Stream, percentile
from measure import Watched, run_reader, run_writer
from store import kind

ORDINARY = ["--no-live-read", "--quirk", "unversioned"]
PART, MIB = 5 << 20, 1 << 20
OBJECTS, LIVE_READ = "live objects", "Live Read"
LAID = 100_000  # bytes of a live object of the recording that is joined: 0.8 Mbit/s
ROUND_TRIP = 50  # ms, of the pair that is far from its store


@dataclass
class Pair:
    """What runs: a rate in Mbit/s, and how long a byte may wait in the writer (None: until a part is full)."""

    rate: float
    latency: str
    objects: bool
    seconds: float
    far: bool = False  # whether the store is a round trip away
    short: bool = False  # only the end of it counts

    @property
    def by(self):
        return OBJECTS if self.objects else LIVE_READ

    @property
    def name(self):
        return f"{self.rate:g} Mbit/s" + (f", {ROUND_TRIP} ms away" if self.far else "")


@dataclass
class Measured:
    """What became of it. Seconds, and counts."""

    pair: Pair
    latency: list = field(default_factory=list)
    filled: list = field(default_factory=list)  # from the last byte of a part to the reader
    uploaded: float = 0.0  # bytes sent to the store for each byte of the input
    writes: float = 0.0  # PUT, POST and copies a minute
    hourly: float = 0.0  # dollars for the writer's requests, on Amazon S3
    gets: float = 0.0  # GETs of the reader for each live object
    heads: float = 0.0  # HEADs a minute, of both
    lists: int = 0
    ending: float = 0.0  # from the completion to the end of the reader
    left: int = 0  # objects, versions, marks and uploads beside the object in the end
    peaks: dict = field(default_factory=dict)


def pairs(quick):
    """What is measured."""
    seconds = 20 if quick else 60
    made = []
    for rate in (0.128, 6, 50):
        for objects in (True, False):
            made.append(Pair(rate, "1s", objects, seconds if rate < 50 else min(seconds, 30)))
    for latency in ("500ms", None):
        for objects in (True, False):
            made.append(Pair(6, latency, objects, seconds))
    for objects in (True, False):
        made.append(Pair(6, "1s", objects, seconds, far=True))
    return made


def endings(quick):
    """Short ones whose ends come at any moment of a beat."""
    chance = random.Random(12)
    for number in range(8 if quick else 24):
        for objects in (True, False):
            latency = ("1s", None)[number % 2]
            yield Pair(6, latency, objects, chance.uniform(4, 7) if latency else chance.uniform(16, 24), short=True)


def run(new_store, quick):
    """Everything; a dictionary for `rows` and `goals`."""
    pairs_made = in_turn(new_store, pairs(quick), 2)
    say("ends")
    ends = in_turn(new_store, list(endings(quick)), 6)
    say("who comes late")
    made = {"pairs": pairs_made, "ends": ends}
    made["join"] = join(new_store, 300 if quick else 10_800)
    made["catch_up"] = catch_up(new_store, 128 if quick else 1024)
    made["bulk"] = bulk(new_store, 128 if quick else 512)
    return made


def in_turn(new_store, todo, at_once):
    """All pairs, so many at a time."""
    results, failures = {}, []

    def one(number, pair):
        try:
            with new_store(f"objects-{number}", ORDINARY if pair.objects else []) as store:
                results[number] = measure(store, pair)
        except Exception as error:  # told below, in the thread that asked
            failures.append(f"{pair}: {error!r}")

    for first in range(0, len(todo), at_once):
        numbers = range(first, min(first + at_once, len(todo)))
        threads = [threading.Thread(target=one, args=(number, todo[number])) for number in numbers]
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
    stream = Stream(pair.name, pair.rate, pair.seconds, [peers.binary("writer"), "-q", *mode, *late, "live.mp4"],
                    [peers.binary("reader"), "-q", *mode, "live.mp4"], "live.mp4", tail=pair.latency is not None)
    if not pair.far:
        return evaluate(store, pair, freshness.flow(store, stream))
    target = store.endpoint.split("://")[1]
    delay = subprocess.Popen([sys.executable, os.path.join(peers.HERE, "delay.py"), target, str(ROUND_TRIP)],
                             stdout=subprocess.PIPE, text=True)
    try:
        env = {**store.env, "AWS_ENDPOINT_URL": "http://" + delay.stdout.readline().strip()}
        return evaluate(store, pair, freshness.flow(store, stream, env))
    finally:
        delay.kill()
        delay.wait()


def evaluate(store, pair, flow):
    made, sent, came = Measured(pair), flow.source.sent, flow.tap.came
    total = sent[-1][0]
    # The end of the input sends what is left at once, which says nothing of a live stream.
    until = total - int(2 * pair.rate * 1e6 / 8) if pair.latency else total // PART * PART
    offsets, ends = [offset for offset, _ in came], [offset for offset, _ in sent]
    arrival = lambda offset: came[bisect.bisect_left(offsets, offset)][1]
    entered = lambda offset: sent[bisect.bisect_left(ends, offset)][1]
    made.latency = [arrival(offset) - at for offset, at in sent if offset <= until]
    # Those before there is a rhythm are left out, as among the figures of Live Read.
    warm = freshness.Stream.warm_up * PART
    made.filled = [arrival(end) - entered(end) for end in range(warm + PART, until + 1, PART)]
    entries = store.logged()
    flowing = [entry for entry in entries if flow.began <= entry["time_ms"] / 1000 <= flow.flowed]
    minutes = (flow.flowed - flow.began) / 60
    of = lambda *names: [entry for entry in flowing if entry["operation"] in names]
    carried = lambda some: sum(entry["bytes_in"] for entry in some if entry["operation"] in ("PutObject", "UploadPart"))
    # Of whole parts the last, which is none, is sent once more; what counts is the rest.
    made.uploaded = carried(entries) / total if pair.latency else carried(flowing) / max(1, until)
    made.writes = len(of("PutObject", "UploadPart", "UploadPartCopy", "CreateMultipartUpload")) / minutes
    # Of the reads, two looks at the pointer a minute are the writer's.
    made.hourly = 60 * (made.writes * cost.AMAZON["uploads"] + 2 * cost.AMAZON["reads"])
    stored = [entry for entry in of("PutObject") if entry["bytes_in"] > 2_000] or of("UploadPart")
    made.gets = len(of("GetObject")) / max(1, len(stored))
    made.heads = len(of("HeadObject")) / minutes
    made.lists = sum(kind(entry["operation"]) == "lists" for entry in flowing)
    completed = [entry for entry in entries if entry["operation"] == "CompleteMultipartUpload" and entry["status"] == 200]
    made.ending = flow.tap.ended - (completed[-1]["time_ms"] + completed[-1]["duration_ms"]) / 1000
    made.left = store.left("live.mp4")
    made.peaks = {name: run.peak for name, run in flow.runs.items()}
    return made


def join(new_store, seconds):
    """Joins a recording live that runs for so long, a key frame and a live object each second: requests and seconds to the
    first byte."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=1", "-t", str(seconds),
               "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "1", "-f", "mp4",
               "-movflags", "+empty_moov+frag_keyframe+default_base_moof", "-"]
    video = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with new_store("objects-join", ORDINARY) as store:
        recording.lay(store, "live.mp4", (padded(fragment) for fragment in fragments(video)))
        rounds = []
        for _ in range(5):
            before = len(store.logged())
            began, wall = time.monotonic(), time.time()
            reader = subprocess.Popen([peers.binary("reader"), "-q", "--live", "objects", "--from", "live", "live.mp4"], env=store.env,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            watchdog = threading.Timer(60, reader.kill)
            watchdog.start()
            first = os.read(reader.stdout.fileno(), 1)
            took = time.monotonic() - began
            watchdog.cancel()
            reader.kill()
            reader.wait()
            reader.stdout.close()
            if not first:
                raise RuntimeError("nothing came of a recording that is joined")
            asked = [entry for entry in store.logged()[before:] if entry["time_ms"] / 1000 <= wall + took]
            rounds.append((len(asked), took))
    return {"seconds": seconds, "requests": max(asked for asked, _ in rounds), "took": percentile([took for _, took in rounds], 0.5)}


def fragments(video):
    """The header with the first fragment, and each fragment that follows."""
    starts, at = [], 0
    while at < len(video):
        size = int.from_bytes(video[at:at + 4], "big")
        if video[at + 4:at + 8] == b"moof":
            starts.append(at)
        at += size
    cuts = [0, *starts[1:], len(video)]
    return [video[begin:end] for begin, end in zip(cuts, cuts[1:])]


def padded(fragment):
    """The same, as large as a live object of the picture that such a recording has would be at the least."""
    size = LAID - len(fragment)
    return fragment + size.to_bytes(4, "big") + b"free" + bytes(size - 8) if size >= 8 else fragment


def catch_up(new_store, mebibytes):
    """Reads so much out of live objects of 750 kB that lie there."""
    block = os.urandom(750_000)
    count = mebibytes * MIB // len(block)
    rounds = []
    with new_store("objects-catch-up", ORDINARY) as store:
        size = recording.lay(store, "live.mp4", (block for _ in range(count)))
        for _ in range(3):
            reader = Watched([peers.binary("reader"), "-q", "--live", "objects", "live.mp4"], store.env, 120,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            began, taken = time.monotonic(), 0
            while taken < size and (data := os.read(reader.process.stdout.fileno(), MIB)):
                taken += len(data)
            took = time.monotonic() - began
            peak = reader.stop().peak
            reader.process.stdout.close()
            if taken < size:
                raise RuntimeError(f"{taken} of {size} bytes came")
            rounds.append((size / MIB / took, peak))
    return {"mebibytes": mebibytes, "speed": percentile([speed for speed, _ in rounds], 0.5), "peak": max(peak for _, peak in rounds)}


def bulk(new_store, mebibytes):
    """A writer whose input is as fast as it is let, and a reader of what it made: the most memory of each."""
    made = {}
    file = os.path.join(peers.ROOT, "target", "bench", "bulk")
    with open(file, "wb") as target:
        for _ in range(mebibytes // 16):
            target.write(os.urandom(16 * MIB))
    try:
        for objects in (True, False):
            for latency in ("1s", None):
                with new_store("objects-bulk", ORDINARY if objects else []) as store:
                    mode = ["--live", "objects"] if objects else []
                    late = ["--max-latency", latency] if latency else []
                    wrote = run_writer([peers.binary("writer"), "-q", *mode, *late, "bulk"], store.env, file, 300)
                    read = run_reader([peers.binary("reader"), "-q", "--no-wait", *mode, "bulk"], store.env, 300)
                    if wrote.status or read.status or read.bytes_out != mebibytes * MIB:
                        raise RuntimeError(f"writer and reader ended with {wrote.status}, {read.status} and {read.bytes_out} bytes")
                    made[objects, latency] = {"writer": wrote.peak, "reader": read.peak, "speed": mebibytes / wrote.wall}
    finally:
        os.remove(file)
    return made


HEAD = ["by", "input", "waits at most", "p50 s", "p95 s", "worst s", "uploaded", "writes a minute", "GETs", "HEADs a minute", "lists",
        "end s", "left"]


def rows(made):
    """For a table of all pairs."""
    for one in made["pairs"]:
        pair = one.pair
        shown = [f"{percentile(one.latency, share):.2f}" for share in (0.5, 0.95, 1.0)]
        yield [pair.by, pair.name, pair.latency or "a part", *shown, f"{one.uploaded:.2f}", f"{one.writes:.0f}", f"{one.gets:.1f}",
               f"{one.heads:.1f}", one.lists, f"{one.ending:.1f}", one.left]


GOALS_HEAD = ["what", "goal", OBJECTS, LIVE_READ, "held"]


def goals(made):
    """For a table of goals: what, the goal, by live objects, by Live Read, and whether it is held."""
    found = {(one.pair.rate, one.pair.latency, one.pair.far, one.pair.objects): one for one in made["pairs"]}

    def row(what, goal, limit, value, form="{:.2f}", most=True):
        ours, theirs = value(True), value(False)
        held = "–" if limit is None else ("yes" if (ours <= limit if most else ours >= limit) else "**no**")
        return [what, goal, form.format(ours), "–" if theirs is None else form.format(theirs), held]

    def late(rate, latency, share, far=False):
        return lambda objects: percentile(found[rate, latency, far, objects].latency, share)

    def fact(rate, latency, name):
        return lambda objects: getattr(found[rate, latency, False, objects], name)

    yield row("byte in → byte out, 6 Mbit/s, `--max-latency 1s`: p95, s", "≤ 1.10", 1.10, late(6, "1s", 0.95))
    yield row("worst, s", "≤ 1.3", 1.3, late(6, "1s", 1.0))
    yield row("the same at 500 ms: p95, s", "≤ 0.60", 0.60, late(6, "500ms", 0.95))
    yield row("worst, s", "≤ 0.8", 0.8, late(6, "500ms", 1.0))
    yield row("128 kbit/s, 1 s: p95, s", "≤ 1.10", 1.10, late(0.128, "1s", 0.95))
    yield row("50 Mbit/s, 1 s: p95, s", "≤ 1.0", 1.0, late(50, "1s", 0.95))
    yield row(f"6 Mbit/s, 1 s, {ROUND_TRIP} ms round trips: p95, s", "≤ 1.35", 1.35, late(6, "1s", 0.95, True))
    yield row("whole parts, 6 Mbit/s: part full → reader, p95, ms", "≤ 100", 100,
              lambda objects: 1000 * percentile(found[6, None, False, objects].filled, 0.95), "{:.0f}")
    yield row("uploaded for a byte of input, 6 Mbit/s, 1 s", "≤ 2.02", 2.02, fact(6, "1s", "uploaded"))
    yield row("at 128 kbit/s", "≤ 2.02", 2.02, fact(0.128, "1s", "uploaded"))
    yield row("whole parts", "≤ 1.01", 1.01, fact(6, None, "uploaded"))
    yield row("requests that write, a minute, 6 Mbit/s, 1 s", "≤ 84", 84, fact(6, "1s", "writes"), "{:.0f}")
    yield row("the writer's requests of an hour on Amazon S3, $", "≤ 0.025", 0.0255, fact(6, "1s", "hourly"), "{:.3f}")
    yield row("GETs for each live object (part), 6 Mbit/s, 1 s", "≤ 2.5", 2.5, fact(6, "1s", "gets"), "{:.1f}")
    yield row("whole parts, which come each 7 s", "≤ 2.5", 2.5, fact(6, None, "gets"), "{:.1f}")
    yield row("HEADs a minute while it flows, 6 Mbit/s, 1 s", "≤ 2", 2, fact(6, "1s", "heads"), "{:.1f}")
    yield row("lists while it flows", "0", 0, fact(6, "1s", "lists"), "{:.0f}")
    for latency, name in (("1s", "1 s"), (None, "whole parts")):
        ends = lambda objects, latency=latency: percentile(
            [one.ending for one in made["ends"] if (one.pair.latency, one.pair.objects) == (latency, objects)], 0.95)
        yield row(f"from the completion to the end of the reader, {name}: p95, s", "≤ 1.5", 1.5, ends)
    joined = made["join"]
    nothing = lambda value: lambda objects: value if objects else None
    hours = f"{joined['seconds'] / 3600:.2g} h old, {joined['seconds']} live objects of {LAID // 1000} kB"
    yield row(f"`--from live`, {hours}: requests to the first byte", "≤ 8", 8, nothing(joined["requests"]), "{:.0f}")
    yield row("and seconds", "≤ 0.5", 0.5, nothing(joined["took"]))
    caught = made["catch_up"]
    yield row(f"catching up with {caught['mebibytes']} MiB in live objects of 750 kB, MiB/s", "≥ 200", 200, nothing(caught["speed"]),
              "{:.0f}", most=False)
    for tool in ("writer", "reader"):
        def most(objects, tool=tool):
            live = [one.peaks[tool] for one in made["pairs"] if one.pair.objects == objects]
            fast = [peaks[tool] for (by, _), peaks in made["bulk"].items() if by == objects]
            late_one = [caught["peak"]] if objects and tool == "reader" else []
            return max(live + fast + late_one) / MIB
        yield row(f"memory of `{tool}`, the most of all these, MiB", "≤ 48", 48, most, "{:.0f}")
    yield row("left beside the object: objects, versions, marks, uploads", "0", 0,
              lambda objects: sum(one.left for one in made["pairs"] + made["ends"] if one.pair.objects == objects), "{:.0f}")


def say(what):
    print(f"bench: {what} ({time.strftime('%H:%M:%S')})", file=sys.stderr, flush=True)

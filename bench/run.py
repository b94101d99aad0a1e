"""`make bench`: measures writer and reader beside what else there is, in one sitting, and writes docs/performance.md.

    bench/run.py             about ten minutes
    BENCH=quick bench/run.py about two; prints, and leaves the document as it is
    BENCH=tls bench/run.py   about one; only what is measured over TLS, which replaces its section of the document
    BENCH=objects bench/run.py  about ten; only live objects beside Live Read, likewise
    BENCH=objects-quick bench/run.py  about three, which only prints
    BENCH=gateway bench/run.py  about twenty-five; only `reader --serve` beside nginx and a middleware, likewise
    BENCH=gateway-quick bench/run.py  about four, which only prints
    BENCH=ingest bench/run.py  about half an hour; only encoders that publish, beside ffmpeg and nginx-rtmp, likewise
    BENCH=ingest-quick bench/run.py  about three, which only prints
"""

import os
import subprocess
import sys
import time

import freshness
import gateway
import ingest
import memory
import objects
import peers
import report
import throughput
import tls
from store import Store

WORK = os.path.join(peers.ROOT, "target", "bench")
MIB = 1 << 20


def main():
    quick = os.environ.get("BENCH") == "quick"
    os.makedirs(WORK, exist_ok=True)
    machine = Machine()
    if os.environ.get("BENCH") == "tls":
        report.write_tls(over_tls(False), machine)
        return
    if os.environ.get("BENCH", "").startswith("objects"):
        only_prints = os.environ["BENCH"] == "objects-quick"
        report.write_objects(live_objects(only_prints, machine), machine, only_prints)
        return
    if os.environ.get("BENCH", "").startswith("gateway"):
        only_prints = os.environ["BENCH"] == "gateway-quick"
        report.write_gateway(served(only_prints, machine), machine, only_prints)
        return
    if os.environ.get("BENCH", "").startswith("ingest"):
        only_prints = os.environ["BENCH"] == "ingest-quick"
        report.write_ingest(encoders(only_prints, machine), machine, only_prints)
        return
    with new_store("all") as store:
        say("throughput")
        large, small = os.path.join(WORK, "large"), os.path.join(WORK, "small")
        throughput.make_file(large, (256 if quick else 1024) * MIB)
        throughput.make_file(small, 16 * MIB)
        results = {"quick": quick, "throughput": throughput.run(store, large, 2 if quick else 4)}
        say("start-up")
        results["start"] = memory.start_up(store, small, 2 if quick else 5)
        say("memory")
        seconds = 8 if quick else 20
        results["slow_store"] = memory.slow_store(store, large, seconds)
        subprocess.run(peers.curl_put(store.endpoint, "memory", large), check=True)
        results["slow_consumer"] = memory.slow_consumer(store, "memory", seconds)
        os.remove(large)
        store.drop("memory")
    results["tls"] = over_tls(quick)
    results["objects"] = live_objects(quick, machine)
    say("freshness")
    video = os.path.join(WORK, "x264.mp4")
    if not os.path.exists(video):
        freshness.encode(video, 60)
    busy, began = machine.busy(), time.monotonic()
    results["freshness"] = freshness.run(new_store, streams(quick, video), 30 if quick else 120)
    results["busy"] = (machine.busy() - busy) / (time.monotonic() - began) / machine.cores
    report.write(results, machine)


def over_tls(quick):
    say("TLS")
    large, small = os.path.join(WORK, "large-tls"), os.path.join(WORK, "small-tls")
    throughput.make_file(large, (128 if quick else 512) * MIB)
    throughput.make_file(small, 16 * MIB)
    try:
        return tls.run(new_store, large, small, 2 if quick else 5)
    finally:
        os.remove(large)


def live_objects(quick, machine):
    say("live objects")
    busy, began = machine.busy(), time.monotonic()
    made = objects.run(lambda name, more: new_store(name, more=more), quick)
    made["busy"] = (machine.busy() - busy) / (time.monotonic() - began) / machine.cores
    return made


def served(quick, machine):
    say("gateway")
    busy, began = machine.busy(), time.monotonic()
    made = gateway.run(new_store, WORK, quick)
    made.busy = (machine.busy() - busy) / (time.monotonic() - began) / machine.cores
    return made


def encoders(quick, machine):
    say("encoders")
    busy, began = machine.busy(), time.monotonic()
    made = ingest.run(new_store, WORK, quick)
    made["busy"] = (machine.busy() - busy) / (time.monotonic() - began) / machine.cores
    return made


def new_store(name, tls=False, more=()):
    """A store with its data in a directory of that name."""
    return Store(peers.binary(os.path.join("examples", "local_store")), os.path.join(WORK, f"store-{name}"), tls, more)


def streams(quick, video):
    """What runs at the same time."""
    seconds = 45 if quick else 240
    made = []

    def pair(name, rate, key, latency=None, **more):
        given = {"seconds": seconds, "tail": latency is not None, **more}
        made.append(freshness.Stream(
            name, rate, write=peers.live_writer(key, latency), read=peers.live_reader(key), key=key, **given))

    def boto3(name, key, **more):
        peer = next(peer for peer in peers.all_peers() if peer.name == "boto3")
        given = {"seconds": seconds, **more}
        made.append(freshness.Stream(name, 6, write=peer.write(key), read=peer.read(key), key=key, **given))

    fast = min(60, seconds)
    pair("1 Mbit/s", 1, "r1", warm_up=1)
    pair("6 Mbit/s", 6, "r6")
    pair("50 Mbit/s", 50, "r50", seconds=fast)
    pair("x264, 6 Mbit/s", 6, "x264", video=video)
    boto3("6 Mbit/s", "boto3")
    if peers.has_max_latency():
        pair("128 kbit/s", 0.128, "r0t", latency="1s")
        pair("1 Mbit/s", 1, "r1t", latency="1s", warm_up=1)
        pair("6 Mbit/s", 6, "r6t", latency="1s")
        pair("50 Mbit/s", 50, "r50t", latency="1s", seconds=fast)
        pair("x264, 6 Mbit/s", 6, "x264t", latency="1s", video=video)
    silence = 30 if quick else 100
    pair("idle", 6, "idle", seconds=silence, idle=True)
    boto3("idle", "idle-boto3", seconds=silence, idle=True)
    return made


class Machine:
    """Where this runs."""

    def __init__(self):
        self.cores = os.cpu_count()
        self.model = "?"
        try:
            with open("/proc/cpuinfo", encoding="utf-8") as lines:
                self.model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        except (OSError, StopIteration):
            pass
        self.system = " ".join((os.uname().sysname, os.uname().release.split("-")[0], os.uname().machine))

    @staticmethod
    def busy():
        """Processor seconds that the whole machine has worked since it started."""
        with open("/proc/stat", encoding="ascii") as lines:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, next(lines).split()[1:9])
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def say(what):
    print(f"bench: {what} ({time.strftime('%H:%M:%S')})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.setswitchinterval(0.0005)
    main()

"""The most memory that each program takes when the two ends of it are not equally fast, and its start-up time.

All programs of a kind run at the same time: they wait more than they work.
"""

import statistics
import subprocess
import threading

import peers
from measure import SlowSink, Watched, run_reader, run_writer

MIB = 1 << 20


def side_by_side(jobs):
    """Runs `{name: function}` at once; `{name: result}`."""
    results, failures = {}, []

    def work(name, job):
        try:
            results[name] = job()
        except Exception as error:  # told below, in the thread that asked
            failures.append(f"{name}: {error}")

    threads = [threading.Thread(target=work, args=item) for item in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError("; ".join(failures))
    return results


def slow_store(store, file, seconds):
    """Writers with a fast source and a store that takes 1 MiB/s of each request."""
    store.faults({"throttle_upload": MIB})
    try:
        # What is not through after this time is ended; its memory counts all the same.
        return side_by_side({
            peer.writer: lambda peer=peer: run_writer(peer.write(f"slow-{peer.name}"), store.env, file, seconds)
            for peer in peers.all_peers()
        })
    finally:
        store.faults()


def slow_consumer(store, key, seconds):
    """Readers of a finished object whose output is taken at 8 MiB/s."""
    return side_by_side({
        peer.reader: lambda peer=peer: run_reader(peer.read(key), store.env, seconds, rate=8 * MIB)
        for peer in peers.all_peers()
    })


def start_up(store, file, rounds, who=None):
    """Seconds from the start of a program to its first request: `{name: median}`, for writers and for readers."""
    took = {"write": {}, "read": {}}

    def first(tool):
        # The log names no key for a list; nothing else is running. Its clock has milliseconds.
        entries = [entry for entry in store.logged() if entry["operation"] != "DeleteObject"]
        times = [entry["time_ms"] / 1000 - tool.began_wall for entry in entries]
        return max(0.0, min(time for time in times if time > -0.001))

    for number in range(rounds):
        for peer in who or peers.all_peers():
            key = f"start-{peer.name}-{number}"
            with open(file, "rb") as source:
                tool = Watched(peer.write(key), store.env, 60, stdin=source, stdout=subprocess.DEVNULL)
                tool.wait()
            took["write"].setdefault(peer.writer, []).append(first(tool))
            tool = Watched(peer.read(key), store.env, 60, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            sink = SlowSink(tool.process.stdout, None)
            tool.wait()
            sink.join()
            took["read"].setdefault(peer.reader, []).append(first(tool))
            store.drop(key)
    return {side: {name: statistics.median(times) for name, times in table.items()} for side, table in took.items()}

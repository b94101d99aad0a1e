"""From a part at the store to its last byte at a viewer of the gateway, beside `reader` at the same time."""

import socket
import subprocess
import time
from urllib.parse import urlsplit

import freshness
import peers
import servers
from measure import Watched
from freshness import percentile

RATE = 6
SHARE = 0.95


def view(url):
    """A connection by which the bytes of an answer come just as they are, as from the output of `reader`."""
    place = urlsplit(url)
    viewer = socket.create_connection((place.hostname, place.port))
    viewer.sendall(f"GET {place.path}?{place.query} HTTP/1.0\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        came = viewer.recv(1)
        if not came:
            raise RuntimeError(head.decode("latin-1"))
        head += came
    if b" 200 " not in head.splitlines()[0]:
        raise RuntimeError(head.decode("latin-1").splitlines()[0])
    return viewer


def run(new_store, work, seconds):
    """Milliseconds at p95, once there is a rhythm, of either; and of how many parts."""
    stream = freshness.Stream("delivery", RATE, seconds, peers.live_writer("live"), peers.live_reader("live"), "live")
    with new_store("gateway-delivery") as store:
        # Where `reader` runs, too.
        served, viewer = servers.gateway(store, work, anywhere=True), None
        writer = Watched(stream.write, store.env, seconds + 120, 1, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            store.wait_for("CreateMultipartUpload")
            reader = Watched(stream.read, store.env, seconds + 120, 1, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            viewer = view(f"{served.url}watch?v=live")
            # Ready before the first byte.
            time.sleep(1.5)
            source = freshness.Source(stream, writer.process.stdin, seconds)
            taps = {"reader": freshness.Tap(reader.process.stdout), "gateway": freshness.Tap(viewer)}
            for thread in (source, *taps.values()):
                thread.start()
            source.join()
            statuses = (writer.wait().status, reader.wait().status)
            for tap in taps.values():
                tap.join(20)
            digests = {tap.digest.digest() for tap in taps.values()}
            if source.failure or any(statuses) or digests != {source.digest.digest()}:
                raise RuntimeError(f"what came out is not what went in: {statuses}, {source.failure}")
            made = {}
            for name, tap in taps.items():
                measured = freshness.Measured(stream, source.sent, tap.came)
                freshness.evaluate(store, measured)
                made[name] = percentile(measured.stored_warm or measured.stored, SHARE) * 1000
                made["parts"] = len(measured.stored_warm)
            return made
        finally:
            if viewer:
                viewer.close()
            if writer.process.returncode is None:
                writer.stop()
            served.end()

"""Clients of an HTTP server (over TLS, too) in one process, which look at no byte of what they get: as many as one likes, at little cost.

    load.py repeat URL CONNECTIONS SECONDS [HEADER: VALUE]   the same request again and again; prints answers and bytes of bodies
    load.py watch URL VIEWERS SECONDS [STALLED]              one answer without an end each; prints how late bytes were
"""

import json
import resource
import selectors
import socket
import ssl
import sys
import time
from urllib.parse import urlsplit

MARK = 64 * 1024  # of each so manieth byte it is noted when it came
MOST = 1 << 20
NOWHERE = memoryview(bytearray(MOST))


class Client:
    """A connection."""

    def __init__(self, url, headers, first):
        place = urlsplit(url)
        path = place.path + (f"?{place.query}" if place.query else "")
        self.opening = [f"GET {path} HTTP/1.1", f"host: {place.netloc}"]
        self.say(headers)
        self.socket = socket.create_connection((place.hostname, place.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.flags = socket.MSG_TRUNC
        if place.scheme == "https":
            # Nobody else can be there.
            context = ssl._create_unverified_context()
            self.socket, self.flags = context.wrap_socket(self.socket), 0
        self.head, self.length, self.left, self.got, self.stalls = b"", 0, 0, 0, False
        if first:
            self.ask()

    def say(self, headers):
        """What is asked for from now on."""
        self.request = ("\r\n".join([*self.opening, *headers]) + "\r\n\r\n").encode()

    def ask(self):
        self.head = b""
        self.socket.sendall(self.request)

    def take_head(self):
        """Whether the head of the answer has come; what came with it counts."""
        self.head += self.socket.recv(16384)
        head, found, body = self.head.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 206", b"HTTP/1.1 304")):
            raise RuntimeError(head.decode("latin-1").splitlines()[0])
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        self.length = int(fields.get(b"content-length", 0)) if not head.startswith(b"HTTP/1.1 304") else 0
        self.left = self.length - len(body)
        self.got += len(body)
        return True

    def discard(self, most):
        """Takes bytes that nobody wants, without a copy of them but over TLS: there no more than a record at once, so that none is left
        that nothing tells of."""
        count = self.socket.recv_into(NOWHERE, min(most, MOST), self.flags)
        self.got += count
        return count


def repeat(url, connections, seconds, headers):
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        client = Client(url, headers, True)
        selector.register(client.socket, selectors.EVENT_READ, client)
    answers, end, in_head = 0, time.monotonic() + seconds, {key.data for key in selector.get_map().values()}
    while time.monotonic() < end:
        for key, _ in selector.select(0.1):
            client = key.data
            if client in in_head:
                if not client.take_head():
                    continue
                in_head.discard(client)
            else:
                count = client.discard(client.left)
                if count == 0:
                    raise RuntimeError("the connection was closed")
                client.left -= count
            if client.left <= 0:
                answers += 1
                in_head.add(client)
                client.ask()
    return {"answers": answers, "bytes": sum(key.data.got for key in selector.get_map().values())}


def watch(url, viewers, seconds, stalled):
    """How late the viewers were behind the first of them, for each mark that all could have seen."""
    selector = selectors.DefaultSelector()
    for number in range(viewers):
        client = Client(url, [], True)
        client.stalls = number < stalled
        selector.register(client.socket, selectors.EVENT_READ, client)
    first, late, end, began = {}, {}, time.monotonic() + seconds, set()
    while time.monotonic() < end and selector.get_map():
        for key, _ in selector.select(0.1):
            client = key.data
            if client not in began:
                if client.take_head():
                    began.add(client)
                continue
            before = client.got // MARK
            # Through a chunked body, whose few bytes of framing are of no account here.
            if client.discard(MOST) == 0 or (client.stalls and client.got > MARK):
                selector.unregister(client.socket)
                continue
            now = time.monotonic()
            for mark in range(before + 1, client.got // MARK + 1):
                behind = now - first.setdefault(mark, now)
                bucket = int(behind * 1000)
                late[bucket] = late.get(bucket, 0) + 1
    seen = max((client.got for client in began), default=0)
    total = sum(late.values())

    def at(share):
        passed = 0
        for bucket in sorted(late):
            passed += late[bucket]
            if passed >= share * total:
                return bucket
        return None

    return {"seen": seen, "marks": total, "p50": at(0.5), "p99": at(0.99), "worst": max(late, default=None)}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    what, address, count, length = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    if what == "repeat":
        print(json.dumps(repeat(address, count, length, sys.argv[5:])))
    else:
        print(json.dumps(watch(address, count, length, int(sys.argv[5]) if len(sys.argv) > 5 else 0)))

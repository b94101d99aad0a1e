"""Encoders in one process: each publishes the same clip over RTMP, again and again, at the pace of the clock. The bytes are made once for
each turn of the clip and shared by all, so that hundreds of them cost next to nothing.

    pusher.py CLIP.flv '{"urls": [...], "chunk": 4096, "seconds": 30}'

Further settings: `cuts` (so many times the connection is cut in the middle of a frame), `away` (seconds until an encoder is back), `told` (when each
picture was sent is told, too). Prints what was sent as JSON. A picture bears a number, by which it can be found again: MARK and eight digits.
"""

import heapq
import json
import resource
import select
import socket
import struct
import sys
import time
from bisect import bisect_right
from urllib.parse import urlsplit

MARK = b"live-read-number"  # the 16 bytes of an SEI's uuid
TICK = 0.02  # seconds between two sends of an encoder
PATIENCE = 10
SPREAD = 8.0  # seconds in which they begin
VIDEO, AUDIO = 9, 8
PERIOD = 8000  # ms of a turn: whole pictures at 25 a second, and whole frames of AAC at 48 kHz


def text(value):
    return b"\x02" + struct.pack(">H", len(value)) + value.encode()


def number(value):
    return b"\x00" + struct.pack(">d", value)


def fields(**values):
    named = b"".join(struct.pack(">H", len(name)) + name.encode() + text(value) for name, value in values.items())
    return b"\x03" + named + b"\x00\x00\x09"


def message(kind, when, body, chunk, channel=3, stream=0):
    """A message in chunks."""
    head = bytes([channel]) + when.to_bytes(3, "big") + len(body).to_bytes(3, "big") + bytes([kind]) + stream.to_bytes(4, "little")
    between = bytes([0xC0 | channel])
    return head + between.join(body[at:at + chunk] for at in range(0, len(body), chunk))


class Clip:
    """The messages of a turn, in chunks of this size."""

    def __init__(self, path, chunk):
        self.chunk = chunk
        with open(path, "rb") as file:
            data = file.read()
        headers, frames, at = {}, {VIDEO: [], AUDIO: []}, 13
        while at + 11 <= len(data):
            kind, size = data[at], int.from_bytes(data[at + 1:at + 4], "big")
            body = data[at + 11:at + 11 + size]
            at += 15 + size
            if kind in frames and body[1:2] == b"\x00":
                headers.setdefault(kind, body)
            elif kind in frames and not (kind == VIDEO and body[1] == 2):
                frames[kind].append(body)
        self.headers = [(kind, headers[kind]) for kind in (VIDEO, AUDIO)]
        pictures = [(number * 40, VIDEO, marked(body)) for number, body in enumerate(frames[VIDEO][:PERIOD // 40])]
        sounds = [(round(number * 64 / 3), AUDIO, body) for number, body in enumerate(frames[AUDIO][:PERIOD * 3 // 64])]
        if len(pictures) != PERIOD // 40 or len(sounds) != PERIOD * 3 // 64:
            raise SystemExit(f"pusher: {path} has {len(pictures)} pictures and {len(sounds)} sounds")
        self.times, self.ends, self.numbers, self.begins, out = [], [], [], [], bytearray()
        for when, kind, body in sorted(pictures + sounds, key=lambda one: one[0]):
            self.times.append(when)
            self.begins.append(len(out))
            self.numbers.append(len(out) + 12 + body.index(MARK) + len(MARK) if kind == VIDEO else None)
            out += message(kind, 0, body, chunk, 4 + (kind == VIDEO), 1)
            self.ends.append(len(out))
        self.bytes, self.turns = out, {}
        self.pictures = [0]
        for place in self.numbers:
            self.pictures.append(self.pictures[-1] + (place is not None))

    def turn(self, number):
        """The bytes of this turn."""
        if number not in self.turns:
            made = bytearray(self.bytes)
            for at, when, place, before in zip(self.begins, self.times, self.numbers, self.pictures):
                made[at + 1:at + 4] = (number * PERIOD + when).to_bytes(3, "big")
                if place is not None:
                    made[place:place + 8] = b"%08d" % (number * self.pictures[-1] + before)
            self.turns[number] = memoryview(made)
            # Those who began last are a turn behind.
            self.turns.pop(number - 3, None)
        return self.turns[number]


def marked(body):
    """A picture with a message in it that no decoder minds."""
    said = MARK + b"00000000"
    unit = bytes([6, 5, len(said)]) + said + b"\x80"
    return body[:5] + len(unit).to_bytes(4, "big") + unit + body[5:]


class Encoder:
    """One of them. `place` is where it is in the clip: the turn, and how many of its messages are sent."""

    def __init__(self, url, clip, settings):
        self.url, self.clip, self.settings = url, clip, settings
        self.until, self.asked = None, time.monotonic()
        self.left = settings.get("cuts", 0)
        self.told = [] if settings.get("told") else None
        self.sent = {"pictures": 0, "sounds": 0, "connections": 0, "late": 0.0}
        self.socket = None

    def connect(self):
        """Says all that is to be said before the first frame; raises OSError."""
        place = urlsplit(self.url)
        app, _, key = place.path[1:].rpartition("/")
        sock = socket.create_connection((place.hostname, place.port), PATIENCE)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(b"\x03" + bytes(1536))
            heard = exactly(sock, 3073)
            sock.sendall(heard[1:1537])
            self.said = b""
            about = fields(app=app, type="nonprivate", flashVer="FMLE/3.0 (compatible; bench)", tcUrl=f"rtmp://{place.netloc}/{app}")
            sock.sendall(message(20, 0, text("connect") + number(1) + about, 128))
            self.hear(sock, b"NetConnection.Connect.Success")
            chunk = self.clip.chunk
            sock.sendall(message(1, 0, chunk.to_bytes(4, "big"), 128, 2))
            sock.sendall(message(20, 0, text("releaseStream") + number(2) + b"\x05" + text(key), chunk))
            sock.sendall(message(20, 0, text("FCPublish") + number(3) + b"\x05" + text(key), chunk))
            sock.sendall(message(20, 0, text("createStream") + number(4) + b"\x05", chunk))
            self.hear(sock, b"_result", number(4))
            sock.sendall(message(20, 0, text("publish") + number(5) + b"\x05" + text(key) + text("live"), chunk, 8, 1))
            self.hear(sock, b"NetStream.Publish.Start")
            for kind, body in self.clip.headers:
                sock.sendall(message(kind, 0, body, chunk, 4 + (kind == VIDEO), 1))
        except BaseException:
            sock.close()
            raise
        sock.setblocking(False)
        self.socket, self.key = sock, key
        self.sent["connections"] += 1

    def hear(self, sock, *wanted):
        while not all(word in self.said for word in wanted):
            some = sock.recv(4096)
            if not some:
                raise OSError(f"it says {self.said[-200:]}")
            self.said += some

    def begin(self, now):
        """Whether it publishes from now on."""
        try:
            self.connect()
        except OSError as error:
            # Whoever is to listen may not have begun.
            if self.until is None and now > self.asked + PATIENCE:
                raise SystemExit(f"pusher: {self.url}: {error}") from error
            return False
        self.began, self.turn, self.done, self.at = now, 0, 0, 0
        if self.until is None:
            self.until = now + self.settings["seconds"]
            share = self.settings["seconds"] / (self.left + 1)
            self.cuts = [now + share * (at + 1) for at in range(self.left)]
        return True

    def due(self, now):
        """Sends what is due; when it wants to be asked again, `None` at its end."""
        if self.socket is None:
            return now + (TICK if self.begin(now) else 0.2)
        try:
            return self.send(now)
        except OSError:
            return self.lost(now)

    def send(self, now):
        passed, clip = (min(now, self.until) - self.began) * 1000, self.clip
        while True:
            here = passed - self.turn * PERIOD
            wanted = bisect_right(clip.times, here)
            end = clip.ends[wanted - 1] if wanted else 0
            data = clip.turn(self.turn)
            if self.at < end:
                try:
                    self.at += self.socket.send(data[self.at:end])
                except BlockingIOError:
                    pass
                self.count(bisect_right(clip.ends, self.at), now)
                if self.at < end:
                    self.sent["late"] = max(self.sent["late"], here - clip.times[self.done])
                    return now + TICK
            if wanted < len(clip.times):
                break
            self.turn, self.done, self.at = self.turn + 1, 0, 0
        if self.cuts and now >= self.cuts[0]:
            self.cuts.pop(0)
            # In the middle of the next frame.
            self.socket.send(data[self.at:(self.at + clip.ends[self.done]) // 2])
            return self.lost(now)
        if now >= self.until:
            return self.end()
        if select.select([self.socket], [], [], 0)[0] and not self.socket.recv(65536):
            return self.lost(now)
        return now + TICK

    def count(self, done, now):
        """So many messages of this turn are sent."""
        pictures = self.clip.pictures[done] - self.clip.pictures[self.done]
        if self.told is not None:
            first = self.turn * self.clip.pictures[-1] + self.clip.pictures[self.done]
            self.told += [(first + more, now) for more in range(pictures)]
        self.sent["pictures"] += pictures
        self.sent["sounds"] += done - self.done - pictures
        self.done = done

    def lost(self, now):
        self.socket.close()
        self.socket = None
        if now + self.settings.get("away", 1) >= self.until:
            return None
        return now + self.settings.get("away", 1)

    def end(self):
        self.socket.settimeout(PATIENCE)
        chunk = self.clip.chunk
        self.socket.sendall(message(20, 0, text("FCUnpublish") + number(6) + b"\x05" + text(self.key), chunk))
        self.socket.sendall(message(20, 0, text("deleteStream") + number(7) + b"\x05" + number(1), chunk))
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(65536):
                pass
        except OSError:
            pass  # it is over either way
        self.socket.close()
        return None


def exactly(sock, count):
    heard = b""
    while len(heard) < count:
        some = sock.recv(count - len(heard))
        if not some:
            raise OSError("it hangs up")
        heard += some
    return heard


def main():
    path, settings = sys.argv[1], json.loads(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    clip = Clip(path, settings["chunk"])
    encoders = [Encoder(url, clip, settings) for url in settings["urls"]]
    began = time.monotonic()
    # One after the other, so that neither their sends nor their key frames nor the ends of their parts come at once.
    apart = SPREAD / len(encoders)
    queue = [(began + apart * place, place) for place in range(len(encoders))]
    while queue:
        when, place = heapq.heappop(queue)
        now = time.monotonic()
        if when > now:
            time.sleep(when - now)
            now = time.monotonic()
        again = encoders[place].due(now)
        if again is not None:
            heapq.heappush(queue, (again, place))
    used = resource.getrusage(resource.RUSAGE_SELF)
    streams = [{**encoder.sent, "told": encoder.told} for encoder in encoders]
    print(json.dumps({"streams": streams, "cpu": used.ru_utime + used.ru_stime, "took": time.monotonic() - began}))


if __name__ == "__main__":
    main()

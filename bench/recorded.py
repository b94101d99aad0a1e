"""What is in recordings, found in the local store's own directory: how many frames each has, and which of the objects there are.

A recording may be counted while it grows, and taken off the disk as it is counted: half an hour of a hundred streams is more than a disk has.
"""

import glob
import json
import os
import threading

ENOUGH = 16  # bytes of the head of a box


class Frames:
    """Counts the samples of a fragmented MP4 that comes in pieces, by the track's handler (`vide`, `soun`)."""

    def __init__(self):
        self.held, self.skip, self.tracks, self.counts = b"", 0, {}, {}

    def feed(self, piece):
        at = min(self.skip, len(piece))
        self.skip -= at
        data, at = (self.held + piece[at:], 0) if self.held or at else (piece, 0)
        self.held = b""
        while at < len(data):
            size = int.from_bytes(data[at:at + 4], "big")
            kind = data[at + 4:at + 8]
            if kind in (b"moov", b"moof") and at + size <= len(data):
                getattr(self, kind.decode())(data[at + 8:at + size])
            elif len(data) - at < ENOUGH or kind in (b"moov", b"moof"):
                self.held = data[at:]
                return
            elif size < 8:
                raise ValueError(f"a box of {size} bytes")
            at += size
        self.skip += max(0, at - len(data))

    def moov(self, body):
        for track in inside(body, b"trak"):
            head = next(inside(track, b"tkhd"))
            number = int.from_bytes(head[20:24] if head[0] else head[12:16], "big")
            media = next(inside(track, b"mdia"))
            self.tracks[number] = next(inside(media, b"hdlr"))[8:12].decode()

    def moof(self, body):
        for traf in inside(body, b"traf"):
            kind = self.tracks[int.from_bytes(next(inside(traf, b"tfhd"))[4:8], "big")]
            for run in inside(traf, b"trun"):
                self.counts[kind] = self.counts.get(kind, 0) + int.from_bytes(run[4:8], "big")


def inside(body, wanted):
    """The bodies of the boxes of this kind."""
    at = 0
    while at + 8 <= len(body):
        size = max(8, int.from_bytes(body[at:at + 4], "big"))
        if body[at + 4:at + 8] == wanted:
            yield body[at + 8:at + size]
        at += size


class Recording:
    """An object that grows, or is complete."""

    def __init__(self, path):
        self.path, self.frames, self.next = path, Frames(), 1
        self.key, self.is_complete = "", False

    def look(self, empties):
        """Counts what is new."""
        try:
            with open(os.path.join(self.path, "version.json"), encoding="utf-8") as file:
                about = json.load(file)
        except (OSError, ValueError):
            return
        self.key = about["key"]
        if not self.key.endswith(".mp4"):
            return
        is_complete = about["state"]["is"] == "object"
        while parts := sorted(glob.glob(os.path.join(self.path, f"part-{self.next:05}-*"))):
            # One that is not full is replaced by a longer one.
            if not is_complete and not glob.glob(os.path.join(self.path, f"part-{self.next + 1:05}-*")):
                break
            with open(parts[-1], "rb") as file:
                self.frames.feed(file.read())
            if empties:
                os.truncate(parts[-1], 0)
            self.next += 1
        self.is_complete = is_complete


class Counter(threading.Thread):
    """Counts all recordings of a store as they grow, and empties what is counted."""

    def __init__(self, store, bucket, empties=True):
        super().__init__(daemon=True)
        self.place, self.empties = os.path.join(store.dir, "data", bucket), empties
        self.recordings, self.over, self.failure = {}, threading.Event(), None

    def run(self):
        try:
            while not self.over.wait(1):
                self.look()
        except (OSError, ValueError, KeyError, StopIteration) as error:
            self.failure = error

    def look(self):
        for path in glob.glob(os.path.join(self.place, "*", "")):
            self.recordings.setdefault(path, Recording(path)).look(self.empties)

    def all(self):
        """All that there is: the recordings, complete or not."""
        if self.is_alive():
            self.over.set()
            self.join()
        if self.failure:
            raise RuntimeError(f"a recording cannot be counted: {self.failure!r}")
        self.look()
        return [recording for recording in self.recordings.values() if recording.key.endswith(".mp4")]


def sum_of(recordings):
    """Pictures and sounds in all of them."""
    return tuple(sum(one.frames.counts.get(kind, 0) for one in recordings) for kind in ("vide", "soun"))

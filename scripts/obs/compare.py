#!/usr/bin/env python3
"""compare.py OBJECT RECORDING: whether both have the same packets where they overlap, and all of the object decodes."""

import subprocess
import sys


def packets(path, stream):
    said = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-map", stream, "-c", "copy", "-f", "framemd5", "-"],
                          capture_output=True, text=True, check=True)
    if said.stderr:
        sys.exit(f"{path}: {said.stderr}")
    return [line.split(",")[5].strip() for line in said.stdout.splitlines() if not line.startswith("#")]


def main():
    here, there = sys.argv[1:]
    codecs = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", here], capture_output=True, text=True, check=True)
    if codecs.stdout.split() != ["h264", "aac"]:
        sys.exit(f"it has {codecs.stdout.split()}")
    for stream, least in (("0:v", 150), ("0:a", 150)):
        ours, theirs = packets(here, stream), packets(there, stream)
        # Either may have begun first.
        first = next((at for at, one in enumerate(ours) if one in theirs), None)
        if first is None:
            sys.exit(f"{stream}: nothing of {len(ours)} packets is in the recording")
        other = theirs.index(ours[first])
        length = min(len(ours) - first, len(theirs) - other)
        if ours[first:first + length] != theirs[other:other + length]:
            sys.exit(f"{stream}: packets differ")
        # The first packet of an output has what the encoder says of itself before it.
        if length < least or min(first, other) > 1:
            sys.exit(f"{stream}: only {length} packets are in both, from {first} and {other} on")
        print(f"check-obs: {stream}: {length} packets are those of OBS's own recording")
    decoded = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", here, "-f", "null", "-"], capture_output=True, text=True, check=False)
    if decoded.returncode or decoded.stderr:
        sys.exit(f"it does not decode: {decoded.stderr}")


main()

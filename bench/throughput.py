"""Copying as fast as it goes: time, processor time, memory and requests per GiB, all programs interleaved."""

import os
import subprocess

import peers
from measure import run_reader, run_writer

GIB = 1 << 30
LIMIT = 180


def make_file(path, size):
    """Random bytes, so that nothing can be compressed."""
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))


def run(store, file, rounds):
    """`{"write": {name: [Run, ...]}, "read": ..., "requests": ...}`; a round runs everything once."""
    size = os.path.getsize(file)
    write, read, requests = {}, {}, {"write": {}, "read": {}}

    def note(table, name, made, counted=None):
        if made.status != 0:
            raise RuntimeError(f"{name} ended with status {made.status}")
        table.setdefault(name, []).append(made)
        if counted is not None:
            requests[counted].setdefault(name, store.requests())

    for number in range(rounds):
        keys = []
        for peer in peers.all_peers():
            key = f"{peer.name}-{number}"
            keys.append((peer, key))
            store.forget_requests()
            note(write, peer.writer, run_writer(peer.write(key), store.env, file, LIMIT), "write")
        key = f"curl-{number}"
        store.forget_requests()
        note(write, "curl -T", run_writer(peers.curl_put(store.endpoint, key, file), store.env, os.devnull, LIMIT), "write")
        note(write, "openssl md5", run_writer(["openssl", "md5"], store.env, file, LIMIT))

        # Everyone reads what `writer` wrote.
        written = keys[0][1]
        for peer in peers.all_peers():
            store.forget_requests()
            made = run_reader(peer.read(written), store.env, LIMIT)
            if made.bytes_out != size:
                raise RuntimeError(f"{peer.reader} gave {made.bytes_out} bytes instead of {size}")
            note(read, peer.reader, made, "read")
        store.forget_requests()
        note(read, "curl", run_reader(peers.curl_get(store.endpoint, written), store.env, LIMIT), "read")
        check(store, written, file)
        for _, key in keys:
            store.drop(key)
        store.drop(f"curl-{number}")
    return {"size": size, "write": write, "read": read, "requests": requests}


def check(store, key, file):
    """What `reader` gives is what went into `writer`, to the byte."""
    reader = subprocess.Popen([peers.binary("reader"), "-q", "--no-wait", key], env=store.env, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    same = subprocess.run(["cmp", "-", file], stdin=reader.stdout, check=False).returncode
    reader.stdout.close()
    if reader.wait() != 0 or same != 0:
        raise RuntimeError("the copy differs from the original")

"""The same over TLS, as with every real store: processor time, memory, and the first request, beside boto3."""

import os

import memory
import peers
from measure import run_reader, run_writer

LIMIT = 180


def compared():
    """The pair by either hash of the parts (the machine chooses one of them by itself), and boto3."""
    ours, theirs = peers.all_peers()[:2]

    def by(hash_name):
        write = lambda key: ["env", f"LIVE_READ_PART_HASH={hash_name}", *ours.write(key)]
        return peers.Peer(f"live-read-{hash_name}", f"writer, parts by {hash_name}", "reader", write, ours.read)

    return [by("md5"), by("sha256"), theirs]


def run(new_store, file, small, rounds):
    """`{"write": {name: [Run, ...]}, "read": …, "start": …}`; every copy is compared with the original."""
    size = os.path.getsize(file)
    made = {"size": size, "write": {}, "read": {}}
    with new_store("tls", tls=True) as store:
        for number in range(rounds):
            for peer in compared():
                key = f"{peer.name}-{number}"
                wrote = run_writer(peer.write(key), store.env, file, LIMIT)
                read = run_reader(peer.read(key), store.env, LIMIT)
                if wrote.status != 0 or read.status != 0 or read.bytes_out != size:
                    raise RuntimeError(f"{peer.name} over TLS: {wrote.status}, {read.status}, {read.bytes_out} bytes")
                made["write"].setdefault(peer.writer, []).append(wrote)
                if peer.name != "live-read-sha256":
                    made["read"].setdefault(peer.reader, []).append(read)
                store.drop(key)
        made["start"] = memory.start_up(store, small, rounds, compared())
    return made

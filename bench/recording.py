"""A recording with live objects as its writer would have left them, laid into the store by hand: hours of it in seconds."""

import http.client
import json
import queue
import threading
import urllib.parse

from presign import presign
from store import BUCKET

RECORDING = "20261121T143349Z-9f3c2a7b"
FULL = 256  # live objects of an index page
TYPE = "application/json"


def lay(store, key, pieces, latency=1000):
    """Lays these bytes as live objects, with their pages, the head and the pointer. The upload stays open for ever."""
    folder = f"_live/{key}/{RECORDING}"
    jobs, offset, page, pages = queue.Queue(64), 0, {"v": 1, "from": 0, "spans": []}, 0
    failures = []
    threads = [threading.Thread(target=work, args=(store, jobs, failures)) for _ in range(4)]
    for thread in threads:
        thread.start()
    lengths = []
    for piece in pieces:
        jobs.put((f"{folder}/0/{offset:016}{extension(key)}", piece, {"x-amz-meta-live-read-length": str(len(piece))}))
        lengths.append(len(piece))
        offset += len(piece)
        if len(lengths) == FULL:
            page["spans"] = [{"run": 0, "lengths": lengths}]
            jobs.put((f"{folder}/index/{pages:06}", json.dumps(page).encode(), {}))
            lengths, page, pages = [], {"v": 1, "from": offset, "spans": []}, pages + 1
    if lengths:
        page["spans"] = [{"run": 0, "lengths": lengths}]
    for _ in threads:
        jobs.put(None)
    for thread in threads:
        thread.join()
    head = {"v": 1, "recording": RECORDING, "upload_id": "laid-by-hand", "part_size": 5 << 20, "state": "open", "max_latency": latency,
            "runs": [{"run": 0, "from": 0, "same_input": False}], "pages": pages, "page": page}
    last = queue.Queue()
    last.put((f"{folder}/head", json.dumps(head).encode(), {}))
    last.put((f"_live/{key}/now", json.dumps({"v": 1, "recording": RECORDING}).encode(), {}))
    last.put(None)
    work(store, last, failures)
    if failures:
        raise RuntimeError(failures[0])
    return offset


def extension(key):
    name = key.rsplit("/", 1)[-1]
    return "." + name.rsplit(".", 1)[1] if "." in name else ""


def work(store, jobs, failures):
    """Puts what it is given, on one connection."""
    host = urllib.parse.urlsplit(store.endpoint).netloc
    connection = http.client.HTTPConnection(host)
    while job := jobs.get():
        name, body, headers = job
        url = presign("PUT", store.endpoint, f"/{BUCKET}/{name}")
        connection.request("PUT", url[len(store.endpoint):], body=body, headers={"content-type": TYPE, **headers})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            failures.append(f"{name}: {answer.status} {said[:300]}")
    connection.close()

"""The local store in a process of its own, its request counts and its faults."""

import collections
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.request

from presign import presign

BUCKET = "bench"

# Operations by the kind that is billed; all others are uploads (start, parts, completion).
READS = ("GetObject", "HeadObject", "HeadBucket")
LISTS = ("ListMultipartUploads", "ListParts", "ListObjects", "ListObjectsV2", "ListObjectVersions", "ListBuckets")


def kind(operation):
    """`reads`, `lists` or `uploads`."""
    return "reads" if operation in READS else "lists" if operation in LISTS else "uploads"


def _direct(authority=None):
    """Whatever proxy the environment names is not for the loopback."""
    handlers = [urllib.request.ProxyHandler({})]
    if authority:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)))
    return urllib.request.build_opener(*handlers)


class Store:
    """A store with an empty bucket. Use as a context; its data go with it."""

    def __init__(self, binary, directory, tls=False, more=()):
        self.binary, self.dir, self.more = binary, directory, list(more)
        self.authority = os.path.join(directory, "authority.pem") if tls else None
        self.log = os.path.join(directory, "requests.jsonl")

    def __enter__(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        command = [self.binary, "--dir", os.path.join(self.dir, "data"), "--bucket", BUCKET]
        command += ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--request-log", self.log]
        command += ["--tls", self.authority] if self.authority else []
        command += self.more
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.endpoint = self.process.stdout.readline().split()[-1]
        self.control = self.process.stdout.readline().split()[-1]
        # As on Backblaze B2: no integrity headers. No settings of the person who runs this.
        nowhere = os.path.join(self.dir, "no-such-file")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_", "RUST_LOG"))}
        self.env.update(
            AWS_ENDPOINT_URL=self.endpoint, AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local-secret",
            AWS_REGION="us-east-1", AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true",
            AWS_CONFIG_FILE=nowhere, AWS_SHARED_CREDENTIALS_FILE=nowhere, NO_PROXY="127.0.0.1", BUCKET_NAME=BUCKET,
            AWS_REQUEST_CHECKSUM_CALCULATION="when_required", AWS_RESPONSE_CHECKSUM_VALIDATION="when_required",
            RCLONE_CONFIG=nowhere, RCLONE_CONFIG_BENCH_TYPE="s3", RCLONE_CONFIG_BENCH_PROVIDER="Other",
            RCLONE_CONFIG_BENCH_ENV_AUTH="true", RCLONE_CONFIG_BENCH_ENDPOINT=self.endpoint,
            RCLONE_CONFIG_BENCH_REGION="us-east-1", RCLONE_CONFIG_BENCH_NO_CHECK_BUCKET="true",
        )
        if self.authority:
            self.env.update(AWS_CA_BUNDLE=self.authority)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _control(self, method, path, body=None):
        request = urllib.request.Request(self.control + path, method=method, data=body)
        with _direct().open(request, timeout=10) as answer:
            return json.load(answer)

    def faults(self, *rules):
        """Puts rules in force (see examples/local_store/faults.rs); none: all goes well."""
        self._control("PUT", "/faults", json.dumps(rules).encode())

    def forget_requests(self):
        self._control("DELETE", "/requests")

    def requests(self):
        """Requests since the last `forget_requests`, by kind."""
        answer = self._control("GET", "/requests")
        counts = collections.Counter(uploads=0, reads=0, lists=0)
        for table in (answer["operations"], answer["live"]):
            for operation, by_status in table.items():
                counts[kind(operation)] += sum(by_status.values())
        return dict(counts)

    def counted_bytes(self):
        """Bytes of bodies that went out since the last `forget_requests`."""
        return self._control("GET", "/requests")["bytes_out"]

    def drop(self, key):
        """Removes an object's bytes from the disk by way of the API."""
        request = urllib.request.Request(presign("DELETE", self.endpoint, f"/{BUCKET}/{key}"), method="DELETE")
        _direct(self.authority).open(request, timeout=10).close()

    def left(self, key):
        """How much there is but the newest version of this key, a thousand at the most: objects, versions, marks, open uploads."""
        count = -1
        for query, elements in (({"versions": ""}, (b"<Version>", b"<DeleteMarker>")), ({"uploads": ""}, (b"<Upload>",))):
            with _direct(self.authority).open(presign("GET", self.endpoint, f"/{BUCKET}", query=query), timeout=10) as answer:
                text = answer.read()
            count += sum(text.count(element) for element in elements)
        return count

    def logged(self):
        """The request log so far; what lists has no key there."""
        with open(self.log, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait_for(self, operation, limit=10.0):
        """Waits until such a request has been answered."""
        deadline = time.monotonic() + limit
        while not any(entry["operation"] == operation for entry in self.logged()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {operation} within {limit} s")
            time.sleep(0.02)

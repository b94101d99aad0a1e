"""What is compared, and how each of them is called."""

import os
import shutil
import subprocess
from dataclasses import dataclass

from presign import presign
from store import BUCKET

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
VENV_PYTHON = os.path.join(ROOT, "target", "tools", "bench", "bin", "python")


@dataclass
class Peer:
    """A pair of commands: one takes bytes on standard input, one gives them on standard output."""

    name: str
    writer: str
    reader: str
    write: object  # key -> command
    read: object  # key -> command


def binary(name):
    """A program of this project, as `make bench` builds it."""
    target = os.environ.get("CARGO_TARGET_DIR") or "target"
    return os.path.join(os.environ.get("LIVE_READ_BUILT") or os.path.join(ROOT, target, "release"), name)


def boto3_python():
    return VENV_PYTHON if os.path.exists(VENV_PYTHON) else "python3"


def aws_program():
    """The AWS CLI itself: a version manager's wrapper would be billed for it."""
    program = shutil.which("aws")
    if program and shutil.which("pyenv") and os.sep + "shims" + os.sep in program:
        found = subprocess.run(["pyenv", "which", "aws"], capture_output=True, text=True, check=False)
        program = found.stdout.strip() or program
    return program


def all_peers():
    """The tools first, then everything that they are compared with."""
    aws = aws_program()
    python = boto3_python()
    script = lambda name: os.path.join(HERE, name)
    return [
        Peer("live-read", "writer", "reader",
             lambda key: [binary("writer"), "-q", key],
             lambda key: [binary("reader"), "-q", "--no-wait", key]),
        Peer("boto3", "boto3, as the demo", "boto3, as the demo",
             lambda key: [python, script("boto3_writer.py"), BUCKET, key],
             lambda key: [python, script("boto3_reader.py"), BUCKET, key]),
        Peer("aws", "aws s3 cp -", "aws s3 cp … -",
             lambda key: [aws, "s3", "cp", "--only-show-errors", "-", f"s3://{BUCKET}/{key}"],
             lambda key: [aws, "s3", "cp", "--only-show-errors", f"s3://{BUCKET}/{key}", "-"]),
        Peer("rclone", "rclone rcat", "rclone cat",
             lambda key: ["rclone", "-q", "rcat", f"bench:{BUCKET}/{key}"],
             lambda key: ["rclone", "-q", "cat", f"bench:{BUCKET}/{key}"]),
    ]


def curl_put(endpoint, key, file):
    return ["curl", "-sf", "-o", os.devnull, "-T", file, presign("PUT", endpoint, f"/{BUCKET}/{key}")]


def curl_get(endpoint, key):
    return ["curl", "-sf", presign("GET", endpoint, f"/{BUCKET}/{key}")]


def live_writer(key, max_latency=None):
    more = ["--max-latency", max_latency] if max_latency else []
    return [binary("writer"), "-q", *more, key]


def live_reader(key):
    return [binary("reader"), "-q", key]


def has_max_latency():
    """Whether this build of the writer knows `--max-latency`."""
    said = subprocess.run([binary("writer"), "--help"], capture_output=True, text=True, check=True)
    return "--max-latency" in said.stdout


def versions():
    """What was compared, in words."""
    def first(command, take=0):
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = (said.stdout or said.stderr).splitlines()
        return lines[take].strip() if lines else "?"

    boto3 = first([boto3_python(), "-c", "import boto3, sys; print('boto3', boto3.__version__, 'on Python', sys.version.split()[0])"])
    return [first([binary("writer"), "--version"]), boto3, first([aws_program(), "--version"]),
            first(["rclone", "version"]), " ".join(first(["curl", "--version"]).split()[:2]), first(["openssl", "version"])]

"""Runs a program and says what it took: time, processor time, memory."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

SAMPLE = 0.02  # seconds between two looks at the memory


@dataclass
class Run:
    """What a program took."""

    status: int
    wall: float  # seconds
    cpu: float  # seconds, of the program and its children
    peak: int  # bytes of resident memory, the most
    bytes_out: int = 0  # on standard output
    trace: list = field(default_factory=list)  # (seconds since the start, bytes of resident memory)


class Watched:
    """A running program whose memory is watched. `wait` gives what it took."""

    def __init__(self, command, env, limit, sample=SAMPLE, **pipes):
        self._sample_every = sample
        self.began = time.monotonic()
        self.began_wall = time.time()
        self._said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, env=env, stderr=self._said, **pipes)
        self.pid = self.process.pid
        self.peak, self.trace = 0, []
        self._deadline = self.began + limit
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._watch.start()

    def _sample(self):
        while not self._over.is_set():
            self._look()
            if time.monotonic() > self._deadline:
                self.process.kill()
                return
            self._over.wait(self._sample_every)

    def _look(self):
        # The high-water mark that wait4 gives begins with that of the parent, before exec; this one does not.
        try:
            with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
                fields = dict(line.split(":", 1) for line in status)
        except (OSError, ValueError):
            return
        try:
            rss, peak = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        except (KeyError, IndexError, ValueError):
            return  # just ending
        self.peak = max(self.peak, peak)
        self.trace.append((time.monotonic() - self.began, rss))

    def wait(self):
        _, status, usage = os.wait4(self.pid, 0)
        wall = time.monotonic() - self.began
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self._over.set()
        self._watch.join()
        if self.process.returncode > 0:
            self._said.seek(0)
            sys.stderr.buffer.write(self._said.read()[-2000:])
        self._said.close()
        peak = self.peak or usage.ru_maxrss * 1024
        return Run(self.process.returncode, wall, usage.ru_utime + usage.ru_stime, peak, 0, self.trace)

    def stop(self):
        """Ends it at once and gives what it took."""
        self.process.send_signal(signal.SIGKILL)
        return self.wait()


class SlowSink(threading.Thread):
    """Takes bytes from a pipe at no more than `rate` a second (None: as they come) and counts them."""

    def __init__(self, pipe, rate):
        super().__init__(daemon=True)
        self.pipe, self.rate, self.count = pipe, rate, 0
        self.start()

    def run(self):
        began = time.monotonic()
        while data := os.read(self.pipe.fileno(), 64 * 1024 if self.rate else 1 << 20):
            self.count += len(data)
            if self.rate:
                time.sleep(max(0.0, began + self.count / self.rate - time.monotonic()))


def run_writer(command, env, file, limit):
    """Runs `command` with the bytes of `file` on standard input, through a pipe."""
    feeder = subprocess.Popen(["cat", file], stdout=subprocess.PIPE)
    try:
        tool = Watched(command, env, limit, stdin=feeder.stdout, stdout=subprocess.DEVNULL)
        feeder.stdout.close()
        return tool.wait()
    finally:
        feeder.kill()
        feeder.wait()


def run_reader(command, env, limit, rate=None):
    """Runs `command` and takes its standard output through a pipe, at `rate` bytes a second if that is given."""
    if rate is None:
        # A process of its own, so that this one does not get in the way.
        read, write = os.pipe()
        counter = subprocess.Popen(["wc", "-c"], stdin=read, stdout=subprocess.PIPE)
        os.close(read)
        tool = Watched(command, env, limit, stdin=subprocess.DEVNULL, stdout=write)
        os.close(write)
        run = tool.wait()
        run.bytes_out = int(counter.communicate()[0])
        return run
    tool = Watched(command, env, limit, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    sink = SlowSink(tool.process.stdout, rate)
    run = tool.wait()
    # What is still in the pipe is not worth the wait.
    sink.rate = None
    sink.join(5)
    run.bytes_out = sink.count
    return run

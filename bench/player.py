"""hls.js in Chromium before the gateway, by bench/player.mjs."""

import json
import os
import signal
import subprocess

import peers


def run(seconds):
    """How far it was behind the camera, and how often it stood still."""
    command = ["node", os.path.join(peers.HERE, "player.mjs"), str(seconds)]
    env = {**os.environ, "LIVE_READ_BUILT": os.path.dirname(peers.binary("reader"))}
    playing = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, trouble = playing.communicate(timeout=seconds + 240)
    except subprocess.TimeoutExpired:
        # The browser, the camera and all others with it.
        os.killpg(playing.pid, signal.SIGKILL)
        raise
    if playing.returncode != 0:
        lines = [line for line in trouble.splitlines() if "Error" in line] or [f"node ended with {playing.returncode}"]
        raise RuntimeError(lines[0])
    return json.loads(said.splitlines()[-1])

"""hls.js in Chromium before the gateway, by bench/player.mjs."""

import json
import os
import subprocess

import peers


def run(seconds):
    """How far it was behind the camera, and how often it stood still."""
    command = ["node", os.path.join(peers.HERE, "player.mjs"), str(seconds)]
    env = {**os.environ, "LIVE_READ_BUILT": os.path.dirname(peers.binary("reader"))}
    said = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds + 240, check=False)
    if said.returncode != 0:
        raise RuntimeError((said.stderr.strip() or f"node ended with {said.returncode}").splitlines()[-1])
    return json.loads(said.stdout.splitlines()[-1])

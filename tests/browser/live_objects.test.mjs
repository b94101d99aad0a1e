// On a store without Live Read: ffmpeg → writer --hls --live objects → a public bucket, and index.html from another origin, which
// asks for no byte range and sends no special header while it is live, and goes on over the end.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { PATIENCE } from './chromium.mjs';
import { Lab, assertPictures, built, frames, goOn, position, skip, state } from './lab.mjs';

const FPS = 30;
const SECONDS = 14;

describe('index.html with writer --hls --live objects', { timeout: 300_000 }, () => {
  let lab, store;
  before(async () => {
    if (skip) return;
    lab = await Lab.open();
    store = await lab.store('live', ['--listen', '127.0.0.1:0', '--public-bucket', 'live', '--no-live-read', '--quirk', 'unversioned', '--control', '127.0.0.1:0']);
  });
  after(() => lab?.close());

  test('live, over the end, and every frame of it', { skip }, async (t) => {
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(state('waiting'), 'the page waits');
    const writer = lab.start(path.join(built, 'writer'), ['--hls', '--live', 'objects', '--max-latency', '1s', 'live.mp4'], { env: store.env, cwd: lab.dir });
    const encoder = lab.start('ffmpeg', [
      '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=${FPS}`, '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000',
      '-t', String(SECONDS), '-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', String(FPS),
      '-b:v', '2M', '-c:a', 'aac', '-movflags', '+empty_moov+frag_keyframe+default_base_moof', '-f', 'mp4', '-',
    ]);
    const began = performance.now();
    // How many fragments of a second there are: on a busy machine the encoder is late, too.
    let [fragments, tail] = [0, ''];
    encoder.stdout.on('data', (data) => {
      const text = tail + data.toString('latin1');
      fragments += text.split('moof').length - 1;
      tail = text.slice(-3);
    });
    encoder.stdout.pipe(writer.stdin);
    await page.until(state('live'), 'live playback');
    t.diagnostic(`plays ${((performance.now() - began) / 1000).toFixed(1)} s after the encoder began`);
    await page.value(goOn(1));
    await assertPictures(page);
    const at = await page.value(position);
    const lag = fragments + 1 - at;
    t.diagnostic(`${lag.toFixed(1)} s behind the encoder`);
    assert.ok(lag < 8, `${lag} s behind`);
    const list = await (await fetch(`${store.address}live.m3u8`)).text();
    assert.ok(!list.includes('BYTERANGE') && list.includes('_live/live.mp4/'), list);
    assert.equal(await encoder.ended, 0, encoder.words);
    await page.until(state('ended'), 'it becomes a recording');
    await page.until('document.querySelector("video").ended', 'the end', PATIENCE + SECONDS);
    assert.equal(await page.value('performance.getEntriesByType("navigation").length'), 1);
    assert.deepEqual(page.errors, []);
    // Back to what it played when it was live, of which the live objects are gone.
    assert.equal(await writer.ended, 0, writer.words);
    await page.value('document.querySelector("video").currentTime = 0');
    await page.value('document.querySelector("video").play()');
    await page.value(goOn(2));
    assert.deepEqual(page.errors, []);
    await page.close();

    const again = await lab.look(`${store.address}live.m3u8`);
    await again.until(state('ended'), 'a recording');
    await again.value('document.querySelector("video").playbackRate = 8');
    await again.until('document.querySelector("video").ended', 'the end', PATIENCE);
    const shown = await again.value(frames);
    t.diagnostic(`${shown} frames decoded of ${SECONDS * FPS}`);
    assert.ok(Math.abs(shown - SECONDS * FPS) <= 2, `${shown} frames`);
    assert.deepEqual(again.errors, []);
    await again.close();
  });
});

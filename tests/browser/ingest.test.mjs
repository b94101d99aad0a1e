// ffmpeg, again and again → writer rtmp:// --hls → a public bucket of the local store, and index.html from another origin:
// one object, whose timeline is closed up where an encoder came back, with a discontinuity there in the playlist.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { PATIENCE } from './chromium.mjs';
import { Lab, assertPictures, built, frames, goOn, position, skip, state } from './lab.mjs';

const FPS = 25;
/** How often an encoder is cut off; `make test-viewers` has twenty. */
const CUTS = Number(process.env.CUTS ?? 2);

describe('an encoder that breaks off and comes back', { timeout: 600_000 }, () => {
  let lab, store;
  before(async () => {
    if (skip) return;
    lab = await Lab.open();
    store = await lab.store('live', ['--listen', '127.0.0.1:0', '--public-bucket', 'live']);
  });
  after(() => lab?.close());

  const encoder = (url, seconds) => lab.start('ffmpeg', [
    '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', `testsrc2=size=320x180:rate=${FPS}`,
    '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-t', String(seconds), '-pix_fmt', 'yuv420p',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', String(FPS), '-c:a', 'aac', '-f', 'flv', url,
  ]);
  /** Waits until a program has said something so many times. */
  const said = async (child, words, times = 1) => {
    const until = performance.now() + PATIENCE * 1000;
    while (child.words.split(words).length <= times) {
      assert.ok(performance.now() < until && child.exitCode === null, `${words}: ${child.words}`);
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  };

  test('plays through live, and again as a recording', { skip }, async (t) => {
    const writer = lab.start(path.join(built, 'writer'), [
      'live.mp4', 'rtmp://127.0.0.1:0/live/key', '--hls', '--hls-time', '1', '--max-latency', '500ms', '--fragment', '500ms',
    ], { env: store.env, cwd: lab.dir });
    await said(writer, 'listening at');
    const url = `${/listening at (\S+)/.exec(writer.words)[1]}/key`;
    const page = await lab.look(`${store.address}live.m3u8`);
    // Some that are cut off while somebody watches, and one that ends.
    for (let cut = 1; cut <= CUTS; cut += 1) {
      const cam = encoder(url, 300);
      await said(writer, /an encoder (?:publishes|is back)/, cut);
      await page.until(`${state('live', 'behind')} && ${position} > ${cut * 2}`, `it plays, encoder ${cut}`);
      cam.kill('SIGKILL');
      await said(writer, 'the encoder is gone', cut);
    }
    const last = encoder(url, 6);
    assert.equal(await last.ended, 0, last.words);
    assert.equal(await writer.ended, 0, writer.words);
    const list = await (await fetch(`${store.address}live.m3u8`)).text();
    assert.equal(list.split('#EXT-X-DISCONTINUITY\n').length, CUTS + 1, list);
    assert.equal(list.split('#EXT-X-MAP').length, 2, list);
    await page.until(state('ended'), 'it becomes a recording');
    await page.until('document.querySelector("video").ended', 'the end');
    assert.deepEqual(page.errors, []);
    await page.close();

    const again = await lab.look(`${store.address}live.m3u8`);
    await again.until(state('ended'), 'a recording');
    await again.value(goOn(0.5));
    await assertPictures(again);
    const seconds = await again.value('document.querySelector("video").duration');
    await again.value('document.querySelector("video").playbackRate = 4');
    await again.until('document.querySelector("video").ended', 'the end', PATIENCE + seconds);
    const shown = await again.value(frames);
    const probe = lab.start('ffprobe', ['-v', 'error', '-select_streams', 'v', '-count_packets', '-show_entries', 'stream=nb_read_packets', '-of', 'csv=p=0',
      `${store.address}live.mp4`], { env: { ...process.env, no_proxy: '*' } });
    let packets = '';
    probe.stdout.on('data', (data) => { packets += data; });
    assert.equal(await probe.ended, 0, probe.words);
    t.diagnostic(`${shown} of ${packets.trim()} frames decoded in ${seconds.toFixed(2)} s of recording`);
    // hls.js puts the next segment where the one before ends by its pictures, so that their last may be covered.
    assert.ok(Math.abs(shown - Number(packets)) <= CUTS * FPS / 4, `${shown} of ${packets} frames in ${seconds} s`);
    assert.deepEqual(again.errors, []);
    await again.close();
  });
});

// HLS from reader --serve in hls.js: a private object, parts of half a second, no more than three seconds behind the camera,
// without a stall, and over the end of the upload. By the clock: make test-viewers.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { PATIENCE } from './chromium.mjs';
import { Lab, built, skip, sleep } from './lab.mjs';

const SECONDS = 40;
const WATCHED = 20;
const BEHIND = 3;

describe('low-latency HLS from a gateway', { skip, timeout: PATIENCE * 4000 }, () => {
  let lab;
  let url;
  let env;

  before(async () => {
    lab = await Lab.open();
    ({ env } = await lab.store('private', ['--listen', '127.0.0.1:0', '--bucket', 'private']));
    url = await lab.gateway(env);
  });
  after(() => lab?.close());

  test(`hls.js stays within ${BEHIND} s of the camera without a stall, and plays to the end`, async () => {
    const writer = lab.start(path.join(built, 'writer'), ['live.mp4', '--max-latency', '1s'], { env });
    const camera = lab.start('ffmpeg', [
      '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25', '-re', '-f', 'lavfi', '-i', 'sine',
      '-t', String(SECONDS), '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '50', '-pix_fmt', 'yuv420p',
      '-c:a', 'aac', '-f', 'mp4', '-movflags', 'empty_moov+frag_keyframe+default_base_moof', '-frag_duration', '500000', '-',
    ]);
    // How much has been recorded: a fragment is given away when its half second is over. On a busy machine the camera is late.
    let [fragments, tail, newest] = [0, '', 0];
    camera.stdout.on('data', (data) => {
      const text = tail + data.toString('latin1');
      const count = text.split('moof').length - 1;
      if (count > 0) [fragments, newest] = [fragments + count, Date.now()];
      tail = text.slice(-3);
    });
    camera.stdout.pipe(writer.stdin);
    const page = await lab.browser.open(`${url}healthz`);
    await page.value(`(async () => {
      const list = '/hls/live.mp4/index.m3u8';
      while ((await fetch(list)).status !== 200) await new Promise((resolve) => { setTimeout(resolve, 200); });
      await new Promise((resolve, reject) => {
        const script = document.createElement('script');
        Object.assign(script, { src: ${JSON.stringify(`${lab.address}page/vendor/hls.min.js`)}, onload: resolve, onerror: reject });
        document.head.append(script);
      });
      document.body.innerHTML = '<video muted autoplay></video>';
      const video = document.querySelector('video');
      window.stalls = [];
      window.errors = [];
      // What it took to begin is a delay that hls.js keeps for ever, unless it may play a little faster until it is where the
      // playlist has it (PART-HOLD-BACK).
      window.hls = new Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.2 });
      hls.on(Hls.Events.ERROR, (event, data) => errors.push(data.details));
      video.addEventListener('waiting', () => stalls.push(video.currentTime));
      hls.loadSource(list);
      hls.attachMedia(video);
    })()`);
    await page.until('document.querySelector("video").currentTime > 0', 'it plays');
    // It takes a few seconds to find its place.
    await sleep(8);
    await page.value('stalls.length = 0');
    const behind = [];
    for (let at = 0; at < WATCHED; at += 1) {
      await sleep(1);
      const current = await page.value('document.querySelector("video").currentTime');
      behind.push(fragments / 2 + Math.min((Date.now() - newest) / 1000, 0.5) - current);
    }
    const figures = behind.map((seconds) => seconds.toFixed(2)).join(' ');
    console.log(`seconds behind: ${figures}; by hls.js: ${await page.value('hls.latency')} of ${await page.value('hls.targetLatency')}`);
    assert.deepEqual(await page.value('stalls'), [], `stalls; seconds behind: ${figures}; ${await page.value('errors.join()')}`);
    const middle = behind.toSorted((a, b) => a - b)[WATCHED / 2];
    assert.ok(middle <= BEHIND, `seconds behind: ${figures}`);
    assert.ok(await page.value('hls.levels[0].details.partList?.length > 0'), 'parts are listed');
    await page.until('document.querySelector("video").ended', 'it ends');
    const end = await page.value('document.querySelector("video").currentTime');
    assert.ok(Math.abs(end - SECONDS) < 0.5, `it ended at ${end} s of ${SECONDS}`);
    assert.equal(await writer.ended, 0, writer.words);
  });
});

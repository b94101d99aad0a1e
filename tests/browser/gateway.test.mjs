// reader --serve: a <video> without a script plays a private object while it grows, from its beginning and from its newest
// key frame, to the end of the upload.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createInterface } from 'node:readline';

import { PATIENCE } from './chromium.mjs';
import { Lab, built, skip } from './lab.mjs';

const SECONDS = 12;

describe('a gateway', { skip, timeout: PATIENCE * 4000 }, () => {
  let lab;
  let url;
  let env;

  before(async () => {
    lab = await Lab.open();
    ({ env } = await lab.store('private', ['--listen', '127.0.0.1:0', '--bucket', 'private']));
    const gateway = lab.start(path.join(built, 'reader'), ['--serve', '127.0.0.1:0'], { env });
    for await (const line of createInterface({ input: gateway.stdout })) {
      url = line;
      break;
    }
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/);
  });
  after(() => lab?.close());

  test('a growing object plays to its end without a script', async () => {
    const camera = lab.start('ffmpeg', [
      '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25,noise=alls=40:allf=t',
      '-re', '-f', 'lavfi', '-i', 'sine', '-t', String(SECONDS), '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '25',
      '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-f', 'mp4', '-movflags', 'empty_moov+frag_keyframe+default_base_moof', '-',
    ]);
    const writer = lab.start(path.join(built, 'writer'), ['live.mp4', '--max-latency', '200ms'], { env });
    camera.stdout.pipe(writer.stdin);
    // The gateway has no page yet: any of its answers is as good.
    const page = await lab.browser.open(`${url}healthz`);
    await page.value(`(async () => {
      const looked = () => fetch('/watch?v=live.mp4', { headers: { range: 'bytes=0-99999' } });
      while ((await looked()).status !== 206) await new Promise((resolve) => { setTimeout(resolve, 200); });
    })()`);
    await page.value(`document.body.innerHTML = '<video muted autoplay src="/watch?v=live.mp4"></video><video muted autoplay src="/live/live.mp4"></video>'`);
    const all = (what) => `[...document.querySelectorAll('video')].every((video) => ${what})`;
    await page.until(all('video.currentTime > 0 && video.error === null'), 'they play');
    assert.equal(writer.exitCode, null, 'they play while it grows');
    await page.until(all('video.ended || video.error'), 'they end');
    assert.deepEqual(await page.value(`[...document.querySelectorAll('video')].map((video) => video.error?.message ?? null)`), [null, null]);
    const ends = await page.value(`[...document.querySelectorAll('video')].map((video) => video.currentTime)`);
    for (const end of ends) assert.ok(Math.abs(end - SECONDS) < 0.5, `it ended at ${end} s of ${SECONDS}`);
    assert.equal(await writer.ended, 0, writer.words);
  });
});

// reader --serve: a <video> without a script plays a private object while it grows, from its beginning and from its newest
// key frame, to the end of the upload; so does the player in the program, by a signed link; the front page shows what there is.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { PATIENCE } from './chromium.mjs';
import { Lab, built, skip } from './lab.mjs';

const SECONDS = 12;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

describe('a gateway', { skip, timeout: PATIENCE * 4000 }, () => {
  let lab;
  let url;
  let env;

  before(async () => {
    lab = await Lab.open();
    ({ env } = await lab.store('private', ['--listen', '127.0.0.1:0', '--bucket', 'private']));
    url = await lab.gateway(env);
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

  /** A camera and a writer of so many seconds. */
  function record(key, seconds, picture = 'testsrc2=size=640x360:rate=25,noise=alls=40:allf=t') {
    const camera = lab.start('ffmpeg', [
      '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', picture, '-t', String(seconds),
      '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '25', '-pix_fmt', 'yuv420p',
      '-f', 'mp4', '-movflags', 'empty_moov+frag_keyframe+default_base_moof', '-',
    ]);
    const writer = lab.start(path.join(built, 'writer'), [key, '--max-latency', '200ms'], { env });
    camera.stdout.pipe(writer.stdin);
    return { camera, writer };
  }

  test('the front page shows what is live and what is recorded, with a picture of each, and axe finds nothing', async () => {
    const old = record('shows/old.mp4', 2);
    assert.equal(await old.writer.ended, 0, old.writer.words);
    const { camera, writer } = record('shows/now.mp4', 600);
    const page = await lab.browser.open(url);
    const pictured = (state, key) => `document.querySelector('li.${state}[data-key="${key}"] canvas') !== null`;
    // It finds what begins by itself.
    await page.until(pictured('live', 'shows/now.mp4'), 'a picture of what is live');
    await page.until(pictured('recorded', 'shows/old.mp4'), 'a picture of what is recorded');
    const blank = await page.value(`[...document.querySelectorAll('canvas')].map((canvas) => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size)`);
    for (const colours of blank) assert.ok(colours > 8, `${colours} values in a picture`);
    for (const scheme of ['light', 'dark']) {
      for (const at of [url, `${url}docs`]) {
        const seen = await lab.browser.open(at);
        await seen.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
        await seen.until('document.readyState === "complete"', 'it is there');
        await seen.send('Runtime.evaluate', { expression: axe });
        const found = await seen.value("axe.run(document).then((all) => all.violations.map((one) => one.id + ': ' + one.nodes.map((node) => node.target).join(' ') + ' ' + (one.nodes[0].any[0]?.message ?? '')))");
        assert.deepEqual(found, [], `${at}, ${scheme}`);
        await seen.close();
      }
    }
    await page.close();
    camera.kill('SIGTERM');
    await writer.ended;
  });

  test('the player in the program plays a private object by a signed link, while it grows', async () => {
    const tokens = path.join(lab.dir, 'tokens');
    writeFileSync(tokens, 'watch viewer-token-0123456789\n', { mode: 0o600 });
    const own = await lab.gateway(env, ['--auth', tokens]);
    const { camera, writer } = record('linked.mp4', 600);
    const link = await lab.said(['--serve', '--auth', tokens, '--link', 'linked.mp4', '--expires', '1h', '--base-url', own], env);
    const page = await lab.browser.open(link);
    await page.until('document.querySelector("video").currentTime > 1', 'it plays');
    assert.equal(writer.exitCode, null, 'it plays while it grows');
    assert.equal(await page.value('document.querySelector("#name").textContent'), 'linked.mp4');
    // Nothing of it came from elsewhere.
    const places = await page.value('[...new Set(performance.getEntriesByType("resource").map((one) => new URL(one.name).origin))]');
    assert.deepEqual(places, [new URL(own).origin]);
    await page.close();
    camera.kill('SIGTERM');
    await writer.ended;
  });

  test('the page plays a private object by HLS, while it grows, to its end, and from its beginning afterwards', async () => {
    const { writer } = record('shows/page.mp4', 10, 'testsrc2=size=320x180:rate=25');
    const page = await lab.browser.open(`${url}play/shows/page.mp4`);
    // What is there from the beginning on is waited for by the page.
    await page.until('document.querySelector("video").currentTime > 0', 'it plays');
    assert.equal(writer.exitCode, null, 'it plays while it grows');
    assert.equal(await writer.ended, 0, writer.words);
    await page.until('document.querySelector("video").ended', 'it ends');
    const asked = '[...new Set(performance.getEntriesByType("resource").map((one) => new URL(one.name).pathname))]';
    const { paths, end } = await page.value(`({ paths: ${asked}, end: document.querySelector("video").currentTime })`);
    assert.ok(Math.abs(end - 10) < 0.5, `it ended at ${end} s`);
    assert.ok(paths.some((one) => /^\/hls\/shows\/page\.mp4\/[^/]+\/\d+-\d*\.m4s$/.test(one)), `by HLS: ${paths}`);
    assert.ok(!paths.some((one) => one.startsWith('/watch')), `by HLS alone: ${paths}`);
    await page.close();
    const again = await lab.browser.open(`${url}play/shows/page.mp4`);
    await again.until('document.querySelector("video").currentTime > 0', 'it plays again');
    const { first, length } = await again.value('(({ played, duration }) => ({ first: played.start(0), length: duration }))(document.querySelector("video"))');
    assert.ok(first < 1 && Math.abs(length - 10) < 0.5, `from ${first} s, of ${length} s`);
    await again.close();
  });
});

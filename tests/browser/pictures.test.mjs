// Small pictures of what was not played, where the pointer is on the bar: from the playlist of key frames that a gateway has, of
// a recording and of what grows, with few requests, and none where nobody looks or a line is paid by the byte.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { PATIENCE } from './chromium.mjs';
import { Lab, built, position, skip, state } from './lab.mjs';

const SECONDS = 240;
/** Each so many seconds the picture is a little lighter. */
const STEP = 8;
const RATE = 10;
const light = (seconds) => (32 + 6 * Math.floor(seconds / STEP) - 16) * 255 / 219;

const preview = "document.querySelector('#preview')";
const shown = `!${preview}.hidden && !${preview}.classList.contains('coming') && ${preview}.complete && ${preview}.naturalWidth === 160`;
const tip = "document.querySelector('#tip')";
/** How light the picture on the bar is. */
const seen = `(() => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [1, 1];
  const context = canvas.getContext('2d');
  context.drawImage(${preview}, 80, 40, 1, 1, 0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data[1];
})()`;
const asked = `(() => {
  const names = performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname);
  return { lists: names.filter((one) => one.endsWith('/iframes.m3u8')), pictures: names.filter((one) => one.includes('/iframe/')), all: names };
})()`;

/** Of the bar, where a position is. */
const placeOf = (page, seconds) => page.value(`(() => {
  const { x, y, width } = document.querySelector('#scrub').getBoundingClientRect();
  const { from, to } = span();
  return { x: x + width * (${seconds} - from) / (to - from), y: y + 18 };
})()`);
/** The pointer goes to a position, by a move before, which brings the controls. */
async function point(page, seconds) {
  const { x, y } = await placeOf(page, seconds);
  for (const by of [-1, 0]) await page.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x: x + by, y });
}
const leave = (page) => page.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x: 5, y: 5 });
async function assertShows(page, seconds) {
  await page.until(shown, `a picture of ${seconds} s`);
  const [is, wanted] = [await page.value(seen), light(seconds)];
  assert.ok(Math.abs(is - wanted) < 3, `at ${seconds} s it is ${is} light instead of ${wanted}`);
}

describe('pictures of what was not played', { skip, timeout: PATIENCE * 4000 }, () => {
  let lab;
  let url;
  let env;

  before(async () => {
    lab = await Lab.open();
    ({ env } = await lab.store('private', ['--listen', '127.0.0.1:0', '--bucket', 'private']));
    url = await lab.gateway(env, ['--allow-origin', new URL(lab.address).origin]);
    const { writer } = record('shows/film.mp4', ['-t', String(SECONDS)]);
    assert.equal(await writer.ended, 0, writer.words);
  });
  after(() => lab?.close());

  /** A camera, in real time or as fast as can be, with a sound track, and a writer. */
  function record(key, length, pace = []) {
    const camera = lab.start('ffmpeg', [
      '-loglevel', 'error', ...pace, '-f', 'lavfi', '-i', `nullsrc=size=160x90:rate=${RATE},geq=lum='32+6*floor(T/${STEP})':cb=128:cr=128`,
      ...pace, '-f', 'lavfi', '-i', 'sine', ...length, '-c:v', 'libx264', '-preset', 'ultrafast', '-g', String(2 * RATE), '-pix_fmt', 'yuv420p',
      '-c:a', 'aac', '-f', 'mp4', '-movflags', 'empty_moov+frag_keyframe+default_base_moof', '-',
    ]);
    const writer = lab.start(path.join(built, 'writer'), [key, '--max-latency', '1s'], { env });
    camera.stdout.pipe(writer.stdin);
    return { camera, writer };
  }
  /** The page on a recording, not playing. `before` runs first in it. */
  async function open(address, before = '') {
    const page = await lab.browser.open('about:blank');
    await page.send('Page.addScriptToEvaluateOnNewDocument', { source: before });
    await page.send('Page.navigate', { url: address });
    await page.until(`${position} > 0.2`, 'it plays');
    await page.value("document.querySelector('video').pause()");
    return page;
  }
  const film = () => `${url}play/shows/film.mp4`;

  test('of a recording: of the time under the pointer, with one request each, and none for media', async () => {
    const page = await open(film());
    assert.deepEqual((await page.value(asked)).lists, [], 'nothing before somebody looks');
    await point(page, 204);
    await assertShows(page, 204);
    let { lists, pictures, all } = await page.value(asked);
    assert.deepEqual([lists.length, pictures.length], [1, 1], `${lists} ${pictures}`);
    assert.ok(!all.includes(pictures[0].replace('/iframe/', '/')), 'not the segment that it is of');
    // What is known is not asked for again.
    await point(page, 100);
    await assertShows(page, 100);
    await point(page, 204);
    await assertShows(page, 204);
    // Over all of the bar: the newest place counts.
    const [begin, end] = [await placeOf(page, 60), await placeOf(page, 180)];
    for (let i = 0; i <= 60; i += 1) await page.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x: begin.x + (end.x - begin.x) * i / 60, y: begin.y });
    await point(page, 180);
    await assertShows(page, 180);
    ({ lists, pictures, all } = await page.value(asked));
    assert.equal(lists.length, 1);
    assert.ok(pictures.length < 30, `${pictures.length} pictures for 60 moves`);
    assert.equal(new Set(pictures).size, pictures.length, 'none twice');
    await leave(page);
    await page.until(`${tip}.hidden`, 'nothing is shown any more');
    assert.equal(await page.value('document.querySelector("video").error'), null);
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('by another page with the playlist of the gateway, and under a finger', async () => {
    const page = await open(`${lab.address}?src=${encodeURIComponent(`${url}hls/shows/film.mp4/index.m3u8`)}`);
    const touch = async (type, seconds) => {
      const { x, y } = await placeOf(page, seconds);
      await page.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x, y }] });
    };
    await touch('touchStart', 150);
    await assertShows(page, 150);
    await touch('touchMove', 220);
    await assertShows(page, 220);
    await touch('touchEnd', 220);
    await page.until(`${tip}.hidden && ${position} >= 219 && document.querySelector('video').readyState >= 2`, 'it goes there');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('nothing is loaded over a line that is paid by the byte', async () => {
    const page = await open(film(), 'window.line = { saveData: true }; Object.defineProperty(navigator, "connection", { value: line })');
    await point(page, 100);
    await page.until(`!${tip}.hidden && ${preview}.hidden`, 'the time alone');
    await page.value('line.saveData = false');
    await point(page, 204);
    await assertShows(page, 204);
    const { pictures } = await page.value(asked);
    assert.equal(pictures.length, 1, `${pictures}`);
    await page.close();
  });

  test('where none can be decoded, or the list cannot be read, there is the time alone', async () => {
    for (const [broken, least, most] of [['/iframe/', 3, 3], ['/iframes.m3u8', 1, 2]]) {
      const page = await open(film(), `window.counted = 0; const real = fetch;
        window.fetch = (what, how) => String(what).includes('${broken}') ? (counted += 1, Promise.resolve(new Response('none'))) : real(what, how)`);
      for (const seconds of [100, 130, 160, 190, 220]) {
        await point(page, seconds);
        await page.until(`!looking && !${tip}.hidden && ${preview}.hidden`, `nothing of ${seconds} s`);
      }
      const counted = await page.value('counted');
      assert.ok(counted >= least && counted <= most, `${counted} requests for ${broken}`);
      assert.deepEqual(page.errors, []);
      await page.close();
    }
  });

  test('of what grows: the list is read again only for what is newer than it', async () => {
    const { camera, writer } = record('grows.mp4', [], ['-re']);
    const waits = await lab.browser.open(`${url}healthz`);
    await waits.value(`(async () => {
      const text = async (address) => (await fetch(address)).text();
      for (let media = ''; (media.match(/#EXTINF/g) ?? []).length < 6;) {
        await new Promise((resolve) => { setTimeout(resolve, 300); });
        const named = /^[^#\\s].*m3u8$/m.exec(await text('/hls/grows.mp4/index.m3u8'));
        if (named) media = await text('/hls/grows.mp4/' + named[0]);
      }
    })()`);
    await waits.close();
    const page = await open(`${url}play/grows.mp4`);
    assert.ok(await page.value(state('live', 'paused', 'behind')));
    await point(page, 3);
    await assertShows(page, 3);
    await point(page, 4.5);
    await page.until(`${shown} && !looking`, 'another one');
    assert.equal((await page.value(asked)).lists.length, 1);
    const end = await page.value('listed.end');
    await page.until(`span().to > ${end} + 10`, 'it grows');
    assert.equal((await page.value(asked)).lists.length, 1, 'nobody looked');
    await point(page, end + 5);
    await assertShows(page, end + 5);
    assert.equal((await page.value(asked)).lists.length, 2);
    assert.deepEqual(page.errors, []);
    await page.close();
    camera.kill('SIGTERM');
    assert.equal(await writer.ended, 0, writer.words);
  });
});

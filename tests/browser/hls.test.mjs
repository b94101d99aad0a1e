// The real thing: ffmpeg → writer --hls → a public bucket of the local store, and index.html from another origin.
// PAGE_MINUTES=2 watches live for two minutes instead of some seconds, and has a longer outage.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { PATIENCE } from './chromium.mjs';
import { Lab, assertPictures, built, chooseQuality, frames, goOn, position, press, shows, skip, sleep, state } from './lab.mjs';

const MINUTES = Number(process.env.PAGE_MINUTES ?? 0);
const WATCH = MINUTES > 0 ? MINUTES * 60 : 8;
const OUTAGE = MINUTES > 0 ? 20 : 12;
const FPS = 30;
const SEGMENT = 2;
const PART = 5_000_000;
const BITS = 12_000_000;
const PART_SECONDS = PART * 8 / BITS;

/** ffmpeg in real time, which knows how far it has got. */
class Encoder {
  #made = 0;
  #at = performance.now();
  constructor(lab) {
    this.process = lab.start('ffmpeg', [
      '-loglevel', 'error', '-progress', 'pipe:3', '-stats_period', '0.1',
      '-re', '-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=${FPS}`,
      '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-pix_fmt', 'yuv420p',
      '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', String(SEGMENT * FPS), '-keyint_min', String(SEGMENT * FPS),
      '-b:v', String(BITS), '-minrate', String(BITS), '-maxrate', String(BITS), '-bufsize', String(BITS / 2), '-x264-params', 'nal-hrd=cbr',
      '-c:a', 'aac', '-movflags', '+empty_moov+frag_keyframe+default_base_moof', '-f', 'mp4', '-',
    ], { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
    this.process.stdio[3].on('data', (text) => {
      const made = [...String(text).matchAll(/^out_time_us=(\d+)/gm)].pop();
      if (made) [this.#made, this.#at] = [Number(made[1]) / 1e6, performance.now()];
    });
  }
  /** Seconds that have been encoded; between two reports as the clock goes. */
  get position() { return this.#made + Math.min(0.5, (performance.now() - this.#at) / 1000); }
  async end() {
    this.process.stdin.write('q');
    assert.equal(await this.process.ended, 0, this.process.words);
  }
}

describe('index.html with writer --hls', { timeout: 900_000 + MINUTES * 60_000 }, () => {
  let lab, store;
  before(async () => {
    if (skip) return;
    lab = await Lab.open();
    store = await lab.store('live', ['--listen', '127.0.0.1:0', '--public-bucket', 'live', '--bucket', 'private', '--control', '127.0.0.1:0']);
  });
  after(() => lab?.close());
  const faults = async (rules) => {
    const answer = await fetch(`${store.control}/faults`, { method: 'PUT', body: JSON.stringify(rules) });
    assert.equal(answer.status, 200, await answer.text());
  };
  const requests = async () => (await fetch(`${store.control}/requests`)).json();

  test('a private bucket is named as such', { skip }, async () => {
    const page = await lab.look(store.address.replace(/live\/$/, 'private/live.m3u8'));
    await page.until(`${state('error')} && ${shows('Is the bucket private?')}`, 'the page says so');
    await page.close();
  });

  test('near the encoder, back and live again, through an outage, and as a recording', { skip }, async (t) => {
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(`${state('waiting')} && ${shows('has not begun')}`, 'the page waits');
    const writer = lab.start(path.join(built, 'writer'), ['--part-size', String(PART), '--hls', '--hls-time', String(SEGMENT), 'live.mp4'],
      { env: store.env, cwd: lab.dir });
    const encoder = new Encoder(lab);
    encoder.process.stdout.pipe(writer.stdin);
    await page.until(state('live'), 'live playback');
    await page.value(goOn(1));
    await assertPictures(page);

    // How far behind, and whether every frame is decoded. It may take some bursts to learn when they come.
    const measure = async () => {
      const [at, count, dropped, how] = await page.value(`[${position}, ${frames},
        document.querySelector('video').getVideoPlaybackQuality().droppedVideoFrames, document.querySelector('main').dataset.state]`);
      return { at, count, dropped, how, lag: encoder.position - at };
    };
    // The short run is also for machines that are busy with other things: it tells how near that is, and is content.
    const limit = PART_SECONDS + 2 * SEGMENT + (MINUTES > 0 ? 0 : PATIENCE);
    let first = await measure();
    const live = performance.now();
    while (first.lag > limit - 0.2 && performance.now() < live + 30_000) {
      await sleep(0.5);
      first = await measure();
    }
    t.diagnostic(`near the encoder ${((performance.now() - live) / 1000).toFixed(1)} s after playback began`);
    const end = performance.now() + WATCH * 1000;
    const lags = [];
    let last = first;
    while (performance.now() < end) {
      await sleep(0.5);
      last = await measure();
      if (MINUTES > 0) assert.equal(last.how, 'live', `${last.lag} s behind: ${writer.words}`);
      lags.push(last.lag);
    }
    await page.until(state('live'), 'still live');
    const settled = [...lags].sort((a, b) => a - b);
    t.diagnostic(`${lags.length} looks in ${WATCH} s: median ${settled[settled.length >> 1].toFixed(1)} s behind the encoder, at most `
      + `${settled.at(-1).toFixed(1)} s, allowed ${limit.toFixed(1)} s; ${last.count - first.count} frames in ${(last.at - first.at).toFixed(2)} s, `
      + `${last.dropped - first.dropped} not shown`);
    assert.ok(settled.at(-1) <= limit, `${settled.at(-1)} s behind the encoder, allowed are ${limit}`);
    const whole = (from, to) => assert.ok(Math.abs((to.at - from.at) * FPS - (to.count - from.count)) <= 8,
      `${to.count - from.count} frames in ${to.at - from.at} s`);
    whole(first, last);

    await press(page, 'ArrowLeft');
    await page.until(state('behind'), 'behind live');
    await page.value(goOn(0.5));
    await press(page, 'End');
    await page.until(state('live'), 'live again');
    await page.value(goOn(1));
    assert.ok((await measure()).lag <= limit + 1, 'near the encoder again');

    // The store is away for writer and for the page; nobody touches anything.
    const before = await measure();
    await faults([{ refuse: true }]);
    const went = performance.now();
    await page.until(state('waiting'), 'nothing is left to play');
    assert.ok(await page.value(shows('cannot be reached')));
    await sleep((went + OUTAGE * 1000 - performance.now()) / 1000);
    await faults([]);
    await page.until(state('live', 'behind'), 'it plays again by itself');
    await page.value(goOn(2));
    whole(before, await measure());
    assert.equal(await page.value('performance.getEntriesByType("navigation").length'), 1);

    await encoder.end();
    const ended = performance.now();
    assert.equal(await writer.ended, 0, writer.words);
    await page.until(state('ended'), 'it becomes a recording');
    t.diagnostic(`a recording ${((performance.now() - ended) / 1000).toFixed(1)} s after the end of the input`);
    t.diagnostic(`requests: ${JSON.stringify(await requests())}`);

    // All of it, fast: not one frame is missing.
    const seconds = await page.value('document.querySelector("video").duration');
    await page.close();
    const again = await lab.look(`${store.address}live.m3u8`);
    await again.until(state('ended'), 'a recording');
    await again.value('document.querySelector("video").playbackRate = 8');
    await again.until('document.querySelector("video").ended', 'the end', PATIENCE + seconds / 4);
    const made = Math.round(encoder.position * FPS);
    const shown = await again.value(frames);
    t.diagnostic(`${shown} frames decoded in ${seconds.toFixed(2)} s of recording`);
    assert.ok(Math.abs(shown - seconds * FPS) <= 2 && Math.abs(shown - made) < 60, `${shown} frames in ${seconds} s`);
    assert.deepEqual(page.errors, []);
    assert.deepEqual(again.errors, []);
    await again.close();
  });

  test('three renditions by three writers: a switch by hand, and a recording', { skip }, async (t) => {
    const sizes = ['640x360', '480x270', '320x180'];
    const source = lab.start('ffmpeg', [
      '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=${FPS}`,
      '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000',
      '-filter_complex', `[0:v]format=yuv420p,split=3[a][b][c];[b]scale=480:270[d];[c]scale=320:180[e]`,
      ...['[a]', '[d]', '[e]'].flatMap((video, i) => [
        '-map', video, '-map', '1:a', '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '30', '-keyint_min', '30',
        '-b:v', `${1200 >> i}k`, '-maxrate', `${1200 >> i}k`, '-bufsize', `${1200 >> i}k`, '-c:a', 'aac',
        '-movflags', '+empty_moov+frag_keyframe+default_base_moof', '-f', 'mp4', `pipe:${3 + i}`,
      ]),
    ], { stdio: ['pipe', 'ignore', 'pipe', 'pipe', 'pipe', 'pipe'] });
    const writers = sizes.map((size, i) => {
      const writer = lab.start(path.join(built, 'writer'), [
        '--max-latency', '1.5', '--hls', '--hls-time', '1', '--hls-master', 'three.m3u8', '--hls-name', `${size.split('x')[1]}p`, `${size}.mp4`,
      ], { env: store.env, cwd: lab.dir });
      source.stdio[3 + i].pipe(writer.stdin);
      return writer;
    });
    const master = `${store.address}three.m3u8`;
    await until(async () => (await fetch(master).then((answer) => answer.text())).split('#EXT-X-STREAM-INF').length === 4, PATIENCE, () => writers.map((one) => one.words).join(''));
    const page = await lab.look(master);
    await page.until(`${state('live')} && ${position} > 0`, 'live playback');
    await page.until('document.querySelectorAll("#quality option").length === 4', 'three qualities and the choice among them');
    for (const height of [180, 360, 270]) {
      await chooseQuality(page, height);
      await page.value(goOn(1));
    }
    t.diagnostic(`after three switches: ${await page.value('document.querySelector("#delay").textContent')} behind`);
    source.stdin.write('q');
    assert.equal(await source.ended, 0, source.words);
    for (const writer of writers) assert.equal(await writer.ended, 0, writer.words);
    await page.until(state('ended'), 'it becomes a recording');
    await page.value(goOn(0.5));
    await page.until('document.querySelector("video").ended', 'the end');
    assert.deepEqual(page.errors, []);
    await page.close();
  });
});

/** Waits until `met()` gives true; looks ten times a second. */
async function until(met, seconds, why) {
  const end = performance.now() + seconds * 1000;
  while (!await met()) {
    assert.ok(performance.now() < end, why());
    await sleep(0.1);
  }
}

// index.html in a headless Chromium, with a stream that comes out of a reader.
// `make test` builds the tools and starts this; by hand:
//   cargo build --release --bins --example local_store && node --test tests/browser/page.test.mjs
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { serve } from '../../scripts/serve.mjs';
import { Chromium, findChromium } from './chromium.mjs';

const top = fileURLToPath(new URL('../..', import.meta.url));
const built = process.env.LIVE_READ_BUILT ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(top, 'target'), 'release');
const chromium = findChromium();
const skip = chromium ? false : 'no Chromium or Chrome on this machine (CHROMIUM can name one)';
if (skip) console.error(`\n*** SKIPPED: the test of index.html: ${skip} ***\n`);

const STREAM_SECONDS = 18;
const children = [];

/** Starts a program that must not outlive the test. */
function start(program, args, { stdio, ...options } = {}) {
  const child = spawn(program, args, { stdio: stdio ?? ['pipe', 'pipe', 'pipe'], ...options });
  child.words = '';
  child.stderr?.on('data', (data) => { child.words += data; });
  child.stdin?.on('error', () => {});
  child.ended = new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal ?? code));
  });
  children.push(child);
  return child;
}

/** store ← writer ← ffmpeg, and reader → ffmpeg → HLS files in `hls`. */
class Stream {
  static async start(dir, hls) {
    const stream = new Stream();
    const store = start(path.join(built, 'examples', 'local_store'), [
      '--dir', path.join(dir, 'store'), '--listen', '127.0.0.1:0',
      '--access-key', 'test', '--secret-key', 'test-secret', '--bucket', 'page',
    ]);
    const lines = createInterface({ input: store.stdout });
    const [line] = await Promise.race([
      once(lines, 'line'),
      store.ended.then((how) => { throw new Error(`local_store ended with ${how}: ${store.words}`); }),
    ]);
    const env = {
      ...process.env,
      AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test-secret', AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL: line.replace('listening on ', '').trim(), BUCKET_NAME: 'page',
      AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    };
    delete env.AWS_PROFILE;
    delete env.AWS_SESSION_TOKEN;
    const at = { env, cwd: dir };

    stream.writer = start(path.join(built, 'writer'), ['--part-size', '5000000', 'page.mp4'], at);
    stream.reader = start(path.join(built, 'reader'), ['page.mp4'], at);
    stream.hls = start('ffmpeg', [
      '-nostdin', '-loglevel', 'error', '-i', '-', '-c', 'copy', '-f', 'hls',
      '-hls_time', '2', '-hls_playlist_type', 'event', path.join(hls, 'stream.m3u8'),
    ]);
    // 12 Mbit/s: a part fills every 3 or 4 s.
    stream.source = start('ffmpeg', [
      '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=30',
      '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000',
      '-t', String(STREAM_SECONDS), '-pix_fmt', 'yuv420p',
      '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '60', '-keyint_min', '60',
      '-b:v', '12M', '-minrate', '12M', '-maxrate', '12M', '-bufsize', '6M', '-x264-params', 'nal-hrd=cbr',
      '-c:a', 'aac', '-movflags', '+empty_moov+frag_keyframe+default_base_moof', '-f', 'mp4', '-',
    ]);
    stream.source.stdout.pipe(stream.writer.stdin);
    stream.reader.stdout.pipe(stream.hls.stdin);
    return stream;
  }

  async end() {
    for (const name of ['source', 'writer', 'reader', 'hls']) {
      assert.equal(await this[name].ended, 0, `${name}: ${this[name].words}`);
    }
  }
}

/** Mean and standard deviation of the brightness of what the video shows. */
const PIXELS = `(() => {
  const video = document.querySelector('video');
  const canvas = document.createElement('canvas');
  canvas.width = 160; canvas.height = 90;
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, 160, 90);
  const data = context.getImageData(0, 0, 160, 90).data;
  let sum = 0, squares = 0;
  const count = data.length / 4;
  for (let i = 0; i < data.length; i += 4) {
    const light = 0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2];
    sum += light; squares += light * light;
  }
  const mean = sum / count;
  return { mean, deviation: Math.sqrt(squares / count - mean * mean) };
})()`;

/** Waits until the video has gone on by so many seconds of its time. */
const goOn = (seconds) => `new Promise((resolve, reject) => {
  const video = document.querySelector('video');
  const from = video.currentTime;
  const timer = setTimeout(() => reject(new Error('currentTime stays near ' + video.currentTime)), 20000);
  video.addEventListener('timeupdate', () => {
    if (video.currentTime < from + ${seconds}) return;
    clearTimeout(timer);
    resolve(video.currentTime - from);
  });
})`;

async function assertPictures(page) {
  const pixels = await page.value(PIXELS);
  assert.ok(pixels.mean > 20 && pixels.mean < 235, `mean brightness ${pixels.mean}`);
  assert.ok(pixels.deviation > 20, `deviation of the brightness ${pixels.deviation}`);
}

const state = (name) => `document.querySelector('.player').dataset.state === '${name}'`;

describe('index.html', { timeout: 100_000 }, () => {
  let dir, site, server, browser, address;

  before(async () => {
    if (skip) return;
    for (const file of ['writer', 'reader', 'examples/local_store']) {
      assert.ok(existsSync(path.join(built, file)), `${file} is not built in ${built}`);
    }
    assert.ok(existsSync(path.join(top, 'node_modules/hls.js')), 'hls.js is not installed: scripts/install-deps.sh page');
    dir = mkdtempSync(path.join(tmpdir(), 'live-read-page-'));
    site = path.join(dir, 'site');
    mkdirSync(path.join(site, 'hls'), { recursive: true });
    cpSync(path.join(top, 'index.html'), path.join(site, 'index.html'));
    symlinkSync(path.join(top, 'node_modules'), path.join(site, 'node_modules'));
    server = await serve(site);
    address = `http://127.0.0.1:${server.address().port}/`;
    browser = await Chromium.start(chromium);
  });

  after(async () => {
    await browser?.close();
    for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await Promise.all(children.map((child) => child.ended));
    server?.closeAllConnections?.();
    server?.close();
    if (dir) rmSync(dir, { recursive: true, force: true });
  });

  test('says what is wrong', { skip }, async () => {
    writeFileSync(path.join(site, 'other.m3u8'), '<!doctype html><title>not a playlist</title>');
    const page = await browser.open(`${address}?src=other.m3u8`);
    await page.until(state('error'), 'the error is shown');
    assert.match(await page.value('document.body.innerText'), /not an HLS playlist/);
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('waits for the stream, plays it live, and goes on when it has ended', { skip }, async () => {
    const page = await browser.open(address);
    await page.until(state('waiting'), 'the page waits');
    assert.match(await page.value('document.body.innerText'), /has not begun/);

    const stream = await Stream.start(dir, path.join(site, 'hls'));
    await page.until(state('live'), 'the page says that it is live', 40);
    await page.value(goOn(2));
    await assertPictures(page);
    const playlist = readFileSync(path.join(site, 'hls', 'stream.m3u8'), 'utf8');
    assert.doesNotMatch(playlist, /EXT-X-ENDLIST/, 'the stream is still live');
    assert.equal(stream.writer.exitCode, null, 'writer is still writing');

    await stream.end();
    await page.until(state('ended'), 'the page sees that the stream has ended');
    await page.value(goOn(0.5));
    await page.value(`new Promise((resolve) => {
      const video = document.querySelector('video');
      video.addEventListener('ended', resolve, { once: true });
      video.currentTime = video.duration - 1;
    })`);
    assert.ok(Math.abs(await page.value('document.querySelector("video").duration') - STREAM_SECONDS) < 1);
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('plays the recording from its beginning, on a narrow screen and by keyboard', { skip }, async () => {
    const page = await browser.open(address, { width: 390, height: 780 });
    await page.until(state('ended'), 'the page shows a recording');
    await page.value(goOn(1));
    await assertPictures(page);
    assert.ok(await page.value('document.querySelector("video").currentTime') < 6, 'from the beginning');
    assert.ok(await page.value('document.documentElement.scrollWidth <= 390'), 'nothing sticks out');

    const press = async (key, code, text) => {
      await page.send('Input.dispatchKeyEvent', { type: 'keyDown', key, code, text });
      await page.send('Input.dispatchKeyEvent', { type: 'keyUp', key, code });
    };
    await press(' ', 'Space', ' ');
    await page.until('document.querySelector("video").paused', 'the space bar pauses');
    const from = await page.value('document.querySelector("video").currentTime');
    await press('ArrowRight', 'ArrowRight');
    await page.until(`document.querySelector("video").currentTime >= ${from} + 9`, 'the arrow goes on 10 s');
    await press('m', 'KeyM', 'm');
    await page.until('!document.querySelector("video").muted', 'm turns the sound on');
    if (process.env.SCREENSHOT) writeFileSync(process.env.SCREENSHOT, await page.screenshot());
    assert.deepEqual(page.errors, []);
    await page.close();
  });
});

// What the tests of index.html have in common: a site with the page, a browser, programs that do not outlive a test.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { findChromium } from '../../scripts/browsers.mjs';
import { serve } from '../../scripts/serve.mjs';
import { Chromium, PATIENCE } from './chromium.mjs';
import { GrowingStore, makeVideo } from './fixture.mjs';

const top = fileURLToPath(new URL('../..', import.meta.url));
export const built = process.env.LIVE_READ_BUILT ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(top, 'target'), 'release');
const chromium = findChromium();
export const skip = chromium ? false : 'no Chromium or Chrome on this machine (CHROMIUM can name one)';
if (skip) console.error(`\n*** SKIPPED: the test of index.html: ${skip} ***\n`);

/** A site with the page, and a browser to look at it. */
export class Lab {
  children = [];
  stores = [];

  /** `seconds`: makes `video`, what is played where a test names nothing else. */
  static async open({ seconds = 0 } = {}) {
    const lab = new Lab();
    lab.dir = mkdtempSync(path.join(tmpdir(), 'live-read-page-'));
    lab.site = path.join(lab.dir, 'site');
    lab.bare = path.join(lab.dir, 'bare'); // the page without hls.js
    mkdirSync(path.join(lab.site, 'hls'), { recursive: true });
    cpSync(path.join(top, 'index.html'), path.join(lab.site, 'index.html'));
    cpSync(path.join(top, 'page'), path.join(lab.site, 'page'), { recursive: true });
    cpSync(lab.site, lab.bare, { recursive: true, filter: (file) => !file.includes('vendor') });
    lab.server = await serve(lab.site);
    lab.address = `http://127.0.0.1:${lab.server.address().port}/`;
    lab.browser = await Chromium.start(chromium);
    if (seconds) lab.video = await makeVideo(lab.dir, { seconds, segment: 1 });
    return lab;
  }

  /** A tab that plays `src`; `size` is that of a phone, say. */
  look(src, size = null) {
    return this.browser.open(src === undefined ? this.address : `${this.address}?src=${encodeURIComponent(src)}`, size);
  }

  /** A store in which objects grow as a test tells it. */
  async grow(files = { 'live.mp4': this.video }, options = {}) {
    const store = await GrowingStore.open(files, options);
    this.stores.push(store);
    return store;
  }

  /** A store with the same picture in several sizes. */
  async growRenditions(sizes) {
    return this.grow(Object.fromEntries(await Promise.all(sizes.map(async (size, i) => [
      `${size}.mp4`, await makeVideo(this.dir, { name: size, seconds: 90, fps: 15, size, bitrate: `${1600 >> i}k` }),
    ]))));
  }

  /** Starts a program that must not outlive the test. */
  start(program, args, { stdio, ...options } = {}) {
    const child = spawn(program, args, { stdio: stdio ?? ['pipe', 'pipe', 'pipe'], ...options });
    child.words = '';
    child.stderr?.on('data', (data) => { child.words += data; });
    child.stdin?.on('error', () => {});
    child.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('close', (code, signal) => resolve(signal ?? code));
    });
    this.children.push(child);
    return child;
  }

  /** A local store; gives the environment of the tools that use it. */
  async store(bucket, args, name = 'store') {
    for (const file of ['writer', 'reader', 'examples/local_store']) {
      assert.ok(existsSync(path.join(built, file)), `${file} is not built in ${built}`);
    }
    const store = this.start(path.join(built, 'examples', 'local_store'), [
      '--dir', path.join(this.dir, name), '--access-key', 'test', '--secret-key', 'test-secret', ...args,
    ]);
    // It names its addresses, one in a line.
    const addresses = [];
    const named = (async () => {
      for await (const line of createInterface({ input: store.stdout })) {
        addresses.push(/http:\/\/\S+/.exec(line)[0]);
        if (addresses.length === (args.includes('--control') ? 2 : 1)) break;
      }
    })();
    await Promise.race([named, store.ended.then((how) => { throw new Error(`local_store ended with ${how}: ${store.words}`); })]);
    const env = {
      ...process.env,
      AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test-secret', AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL: addresses[0], BUCKET_NAME: bucket,
      AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    };
    delete env.AWS_PROFILE;
    delete env.AWS_SESSION_TOKEN;
    return { env, address: `${addresses[0]}/${bucket}/`, control: addresses[1] };
  }

  /** The first line that `reader` says to its standard output. It goes on, or has ended. */
  async said(args, env) {
    const program = this.start(path.join(built, 'reader'), args, { env });
    for await (const line of createInterface({ input: program.stdout })) return line;
    throw new Error(`reader ${args.join(' ')}: ${program.words}`);
  }

  /** A gateway over what `env` names; gives its address. */
  async gateway(env, args = []) {
    const url = await this.said(['--serve', '127.0.0.1:0', ...args], env);
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/);
    return url;
  }

  async close() {
    await this.browser?.close();
    for (const child of this.children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await Promise.all(this.children.map((child) => child.ended));
    this.server?.closeAllConnections?.();
    this.server?.close();
    for (const store of this.stores) store.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export const sleep = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

// --- expressions for the page ---

export const click = (id) => `document.querySelector('#${id}').click()`;
const VIDEO = 'document.querySelector("video")';
export const state = (...names) => `[${names.map((name) => `'${name}'`)}].includes(document.querySelector('main').dataset.state)`;
export const position = `${VIDEO}.currentTime`;
/** Whether a text is seen, or is what whoever runs the stream can look at. */
export const shows = (text) => `[document.body.innerText, document.querySelector('#remedy:not([hidden])')?.textContent].join(' ').includes(${JSON.stringify(text)})`;
export const frames = `${VIDEO}.getVideoPlaybackQuality().totalVideoFrames`;

/** Whether playback began at the beginning, however far it has come since. */
export const fromTheBeginning = `${VIDEO}.played.length > 0 && ${VIDEO}.played.start(0) < 1`;

/** Waits until the video has gone on by so many seconds of its time; gives by how much it did. */
export const goOn = (seconds, patience = PATIENCE) => `new Promise((resolve, reject) => {
  const video = ${VIDEO};
  const from = video.currentTime;
  const timer = setTimeout(() => reject(new Error('currentTime stays near ' + video.currentTime + ': ' + document.body.innerText)), ${patience * 1000});
  video.addEventListener('timeupdate', () => {
    if (video.currentTime < from + ${seconds}) return;
    clearTimeout(timer);
    resolve(video.currentTime - from);
  });
})`;

/** Mean and standard deviation of the brightness of what the video shows. */
const PIXELS = `(() => {
  const video = ${VIDEO};
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

export async function assertPictures(page) {
  const pixels = await page.value(PIXELS);
  assert.ok(pixels.mean > 20 && pixels.mean < 235, `mean brightness ${pixels.mean}`);
  assert.ok(pixels.deviation > 20, `deviation of the brightness ${pixels.deviation}`);
}

export async function press(page, key, code = key, text = undefined) {
  await page.send('Input.dispatchKeyEvent', { type: 'keyDown', key, code, text });
  await page.send('Input.dispatchKeyEvent', { type: 'keyUp', key, code });
}

/** Chooses a quality by its height, and waits until it is shown. */
export async function chooseQuality(page, height) {
  await page.value(`(() => {
    const select = document.querySelector('#quality');
    select.value = [...select.options].find((one) => one.textContent.startsWith('${height}p')).value;
    select.dispatchEvent(new Event('change'));
  })()`);
  await page.until(`document.querySelector('video').videoHeight === ${height}`, `${height} lines are shown`);
}

// reader --serve --allow-origin: a page of that site reads ranges of what grows and of what is finished, and plays it by hls.js;
// one of another site, in the same browser, can read nothing, and none of them writes.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { serve } from '../../scripts/serve.mjs';
import { PATIENCE } from './chromium.mjs';
import { Lab, built, skip } from './lab.mjs';

const TOKEN = 'watch-token-0123456789';
const WRITER = 'write-token-0123456789';

describe('pages of other sites', { skip, timeout: PATIENCE * 4000 }, () => {
  let lab;
  let other; // a server of the same pages, at another origin
  let gateway;
  let closed; // the same with tokens
  let env;
  let growing;

  before(async () => {
    lab = await Lab.open();
    writeFileSync(path.join(lab.site, 'blank.html'), '<!doctype html><link rel="icon" href="data:,"><title>blank</title>');
    other = await serve(lab.site);
    ({ env } = await lab.store('private', ['--listen', '127.0.0.1:0', '--bucket', 'private']));
    const tokens = path.join(lab.dir, 'tokens');
    writeFileSync(tokens, `watch ${TOKEN}\nwatch,write ${WRITER}\n`, { mode: 0o600 });
    const origin = ['--allow-origin', new URL(lab.address).origin];
    gateway = await lab.gateway(env, origin);
    closed = await lab.gateway(env, [...origin, '--auth', tokens]);
    const { writer } = record('film.mp4', ['-t', '10']);
    assert.equal(await writer.ended, 0, writer.words);
    growing = record('grows.mp4', [], ['-re']);
    const page = await lab.browser.open(`${gateway}healthz`);
    await page.value(`(async () => {
      while (!(await fetch('/hls/grows.mp4/index.m3u8')).ok) await new Promise((resolve) => { setTimeout(resolve, 300); });
    })()`);
    await page.close();
  });
  after(async () => {
    growing?.camera.kill('SIGTERM');
    await growing?.writer.ended;
    other?.closeAllConnections();
    other?.close();
    await lab?.close();
  });

  function record(key, length, pace = []) {
    const camera = lab.start('ffmpeg', [
      '-loglevel', 'error', ...pace, '-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=25', ...length, '-c:v', 'libx264', '-preset', 'ultrafast',
      '-g', '25', '-pix_fmt', 'yuv420p', '-f', 'mp4', '-movflags', 'empty_moov+frag_keyframe+default_base_moof', '-',
    ]);
    const writer = lab.start(path.join(built, 'writer'), [key, '--max-latency', '200ms'], { env });
    camera.stdout.pipe(writer.stdin);
    return { camera, writer };
  }
  const blank = async (address) => {
    const page = await lab.browser.open(`${address}blank.html`);
    await page.until('document.title === "blank"', 'the page');
    return page;
  };
  const allowed = () => blank(lab.address);
  const foreign = () => blank(`http://127.0.0.1:${other.address().port}/`);
  /** What a page gets of an answer, or why it gets none. */
  const ask = (page, address, options = {}) => page.value(`fetch(${JSON.stringify(address)}, ${JSON.stringify(options)}).then(async (answer) => ({
    status: answer.status, type: answer.type, text: new TextDecoder('latin1').decode(await answer.arrayBuffer()),
    range: answer.headers.get('content-range'), etag: answer.headers.get('etag') }), (error) => ({ failed: error.name }))`);
  const range = { range: 'bytes=4-7' };
  // A browser asks for permission to send this one.
  const asked = { ...range, prefer: 'wait=1' };
  /** hls.js plays it, or says what is in the way. */
  async function play(page, address) {
    await page.value(`new Promise((resolve, reject) => {
      const script = document.createElement('script');
      Object.assign(script, { src: 'page/vendor/hls.min.js', onload: resolve, onerror: reject });
      document.head.append(script);
    })`);
    await page.value(`(() => {
      document.body.innerHTML = '<video muted autoplay></video>';
      const video = document.querySelector('video');
      window.outcome = null;
      const hls = new Hls({ manifestLoadPolicy: { default: { maxTimeToFirstByteMs: 60000, maxLoadTimeMs: 60000, timeoutRetry: null, errorRetry: null } } });
      hls.on(Hls.Events.ERROR, (event, data) => { if (data.fatal) outcome = data.details; });
      video.addEventListener('timeupdate', () => { if (video.currentTime > 0.5) outcome ??= 'plays'; });
      hls.loadSource(${JSON.stringify(address)});
      hls.attachMedia(video);
    })()`);
    await page.until('outcome !== null', 'it plays or does not');
    return page.value('outcome');
  }

  test('a page of an allowed one reads ranges, live and afterwards, and plays by hls.js', async () => {
    const page = await allowed();
    for (const headers of [range, asked]) {
      const finished = await ask(page, `${gateway}watch?v=film.mp4`, { headers });
      assert.equal(finished.status, 206);
      assert.equal(finished.text, 'ftyp');
      assert.match(finished.range, /^bytes 4-7\/\d+$/);
      assert.match(finished.etag, /^"/);
      const live = await ask(page, `${gateway}watch?v=grows.mp4`, { headers });
      assert.deepEqual([live.status, live.text, live.range], [206, 'ftyp', 'bytes 4-7/*']);
    }
    for (const key of ['film.mp4', 'grows.mp4']) assert.equal(await play(page, `${gateway}hls/${key}/index.m3u8`), 'plays', key);
    await page.close();
  });

  test('a page of another one reads nothing of it', async () => {
    const page = await foreign();
    const address = `${gateway}watch?v=film.mp4`;
    for (const headers of [{}, range, asked]) assert.deepEqual(await ask(page, address, { headers }), { failed: 'TypeError' });
    // The gateway is there all the same: it is the browser that gives nothing away.
    assert.equal((await ask(page, address, { mode: 'no-cors' })).type, 'opaque');
    for (const key of ['film.mp4', 'grows.mp4']) assert.equal(await play(page, `${gateway}hls/${key}/index.m3u8`), 'manifestLoadError', key);
    await page.close();
  });

  test('with a token the same, and without one it is told so', async () => {
    const [page, none] = [await allowed(), await foreign()];
    const address = `${closed}watch?v=film.mp4`;
    const headers = { ...range, authorization: `Bearer ${TOKEN}` };
    assert.equal((await ask(page, address, { headers })).text, 'ftyp');
    assert.equal((await ask(page, address)).status, 401);
    assert.deepEqual(await ask(none, address, { headers }), { failed: 'TypeError' });
    assert.deepEqual(await ask(none, address), { failed: 'TypeError' });
    await page.close();
    await none.close();
  });

  test('none of them writes, whatever token it has', async () => {
    const [page, none] = [await allowed(), await foreign()];
    const address = `${closed}buckets/private/objects/new.txt`;
    const options = { method: 'PUT', body: 'new', headers: { authorization: `Bearer ${WRITER}` } };
    for (const one of [page, none]) assert.deepEqual(await ask(one, address, options), { failed: 'TypeError' });
    assert.equal((await fetch(`${closed}watch?v=new.txt`, { headers: options.headers })).status, 404);
    // Who is no page may.
    assert.equal((await fetch(address, options)).status, 201);
    await page.close();
    await none.close();
  });
});

// HLS from reader --serve in hls.js, and in the gateway's page: a private object, parts of half a second, no more than three
// seconds behind the camera, without a stall, and over the end of the upload. By the clock: make test-viewers.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { PATIENCE } from './chromium.mjs';
import { Lab, shows, skip, state } from './lab.mjs';
import { median, watch } from './watched.mjs';

const SECONDS = 40;
// It takes a few seconds to find its place.
const SETTLES = 8;
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
    const { writer, page, behind } = await watch(lab, env, url, SECONDS);
    const seconds = await behind(SETTLES, WATCHED);
    const figures = seconds.map((one) => one.toFixed(2)).join(' ');
    console.log(`seconds behind: ${figures}; by hls.js: ${await page.value('hls.latency')} of ${await page.value('hls.targetLatency')}`);
    assert.deepEqual(await page.value('stalls'), [], `stalls; seconds behind: ${figures}; ${await page.value('errors.join()')}`);
    assert.ok(median(seconds) <= BEHIND, `seconds behind: ${figures}`);
    assert.ok(await page.value('hls.levels[0].details.partList?.length > 0'), 'parts are listed');
    await page.until('document.querySelector("video").ended', 'it ends');
    const end = await page.value('document.querySelector("video").currentTime');
    assert.ok(Math.abs(end - SECONDS) < 0.5, `it ended at ${end} s of ${SECONDS}`);
    assert.equal(await writer.ended, 0, writer.words);
  });

  test('hls.js goes on over the objects of a rollover without a stall, and plays to the end', async () => {
    const more = ['--rollover', '12s'];
    const { writer, page, behind } = await watch(lab, env, url, SECONDS, { key: 'rolled.mp4', more });
    const seconds = await behind(SETTLES, WATCHED);
    const figures = seconds.map((one) => one.toFixed(2)).join(' ');
    console.log(`seconds behind over changes of objects: ${figures}`);
    const objects = await page.value('new Set(hls.levels[0].details.fragments.map((one) => one.cc)).size');
    assert.ok(objects > 1, `${objects} objects`);
    assert.deepEqual(await page.value('stalls'), [], `stalls; seconds behind: ${figures}; ${await page.value('errors.join()')}`);
    assert.ok(median(seconds) <= BEHIND, `seconds behind: ${figures}`);
    await page.until('document.querySelector("video").ended', 'it ends');
    const end = await page.value('document.querySelector("video").currentTime');
    assert.ok(Math.abs(end - SECONDS) < 0.5, `it ended at ${end} s of ${SECONDS}`);
    assert.equal(await writer.ended, 0, writer.words);
  });

  test(`the page stays within ${BEHIND} s of the camera without a stall, by the light build, and plays to the end`, async () => {
    const { writer, page, behind } = await watch(lab, env, url, SECONDS, { key: 'own.mp4', own: true });
    const seconds = await behind(SETTLES, WATCHED);
    const figures = seconds.map((one) => one.toFixed(2)).join(' ');
    console.log(`seconds behind in the page: ${figures}`);
    assert.deepEqual(await page.value('stalls'), [], `stalls; seconds behind: ${figures}`);
    assert.ok(median(seconds) <= BEHIND, `seconds behind: ${figures}`);
    assert.equal(await page.value('document.querySelector("main").dataset.library'), 'hls.light.min.js');
    assert.ok(await page.value('hls.levels[0].details.partList.length > 0 && hls.lowLatencyMode'), 'parts are played');
    // One that keeps its own distance would go faster and slower all the time.
    assert.equal(await page.value('hls.config.maxLiveSyncPlaybackRate'), 1);
    await page.until('document.querySelector("video").ended', 'it ends');
    const end = await page.value('document.querySelector("video").currentTime');
    assert.ok(Math.abs(end - SECONDS) < 0.5, `it ended at ${end} s of ${SECONDS}`);
    assert.deepEqual(page.errors, []);
    assert.equal(await writer.ended, 0, writer.words);
  });

  test('the page says that the sender pauses, and is live again when it goes on', async () => {
    const { writer, camera, page, behind } = await watch(lab, env, url, 0, { key: 'pauses.mp4', own: true });
    await behind(1, 6);
    await page.value(`window.heard = new Set(); setInterval(() => {
      heard.add(document.querySelector('main').dataset.state);
      for (const { trouble } of troubles.values()) heard.add(trouble.kind);
    }, 50); 0`);
    camera.kill('SIGSTOP');
    await page.until(`${state('waiting')} && ${shows('Waiting for the sender')}`, 'it says so');
    camera.kill('SIGCONT');
    await page.until(state('live'), 'live again');
    const heard = await page.value('[...heard]');
    assert.deepEqual(heard.filter((one) => !['live', 'loading', 'waiting', 'behind'].includes(one)), [], `nothing was taken for trouble: ${heard}`);
    assert.deepEqual(page.errors, []);
    camera.kill('SIGTERM');
    assert.equal(await writer.ended, 0, writer.words);
  });
});

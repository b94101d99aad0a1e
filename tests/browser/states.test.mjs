// Every state of index.html, with a store that does as it is told (fixture.mjs), from another origin than the page's.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { makeVideo } from './fixture.mjs';
import { Lab, assertPictures, chooseQuality, click, fromTheBeginning, goOn, position, press, shows, skip, sleep, state } from './lab.mjs';


describe('the states of index.html', { timeout: 900_000, concurrency: 3 }, () => {
  let lab;
  before(async () => {
    if (skip) return;
    lab = await Lab.open({ seconds: 150 });
  });
  after(() => lab?.close());
  const grow = (...what) => lab.grow(...what);
  const media = (store) => store.requests.filter((one) => one.path.endsWith('.mp4') && one.method === 'GET');

  test('takes http and https addresses only, and says what is not a playlist', { skip }, async () => {
    writeFileSync(path.join(lab.site, 'other.m3u8'), '<!doctype html><title>not a playlist</title>');
    for (const [src, words] of [
      ['other.m3u8', 'not an HLS playlist'],
      ['javascript:alert(1)', 'not an address of a playlist'],
      ['file:///etc/passwd', 'not an address of a playlist'],
      ['http://name:secret@127.0.0.1/live.m3u8', 'not an address of a playlist'],
      ['data:application/vnd.apple.mpegurl,%23EXTM3U', 'not an address of a playlist'],
    ]) {
      const page = await lab.look(src);
      await page.until(state('error'), `the error is shown for ${src}`);
      assert.ok(await page.value(shows(words)), `${src}: ${await page.value('document.body.innerText')}`);
      assert.deepEqual(page.errors, []);
      await page.close();
    }
  });

  test('live out of one object: begins, goes back, returns, becomes a recording', { skip }, async () => {
    const store = await grow();
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(state('waiting'), 'the page waits');
    assert.ok(await page.value(shows('has not begun')));
    store.begin();
    await page.until(state('live'), 'live playback');
    await page.value(goOn(2));
    await assertPictures(page);
    // How near to the encoder is measured with the real thing; here, that the page says how near.
    const says = 'Number.parseFloat(document.querySelector("#delay").textContent)';
    for (let looks = 1; ; looks += 1) {
      const [before, [delay, at], after] = [store.elapsed, await page.value(`[${says}, ${position}]`), store.elapsed];
      if (delay > before - at - 1 && delay < after - at + 1) break;
      assert.ok(looks < 100, `the page says ${delay} s, it is ${before - at} to ${after - at} s`);
      await sleep(0.2);
    }
    for (const one of media(store)) {
      assert.ok(one.live && /^bytes=\d+-\d+$/.test(one.range) && one.query === '?versionId=v1', JSON.stringify(one));
      assert.equal(one.status, 206, JSON.stringify(one));
    }
    assert.ok(store.requests.filter((one) => one.method === 'OPTIONS').length <= 2, 'the browser asks for permission once, not each time');

    // Back, and to live again.
    await press(page, 'ArrowLeft');
    await page.until(state('behind'), 'the page says that it is behind');
    assert.match(await page.value('document.querySelector("#state").textContent'), /^\d+ s behind live$/);
    assert.ok(await page.value('!document.querySelector("#golive").hidden'));
    await page.value(goOn(0.5));
    await page.value(click('golive'));
    await page.until(state('live'), 'live again');
    await page.value(goOn(1));

    store.end();
    await page.until(state('ended'), 'it becomes a recording');
    const before = media(store).length;
    await press(page, 'Home');
    await page.value(goOn(1));
    await press(page, 'End');
    await page.until('document.querySelector("video").ended', 'the end');
    assert.ok(Math.abs(await page.value('document.querySelector("video").duration') - Math.floor(store.elapsed)) < 1.1);
    for (const one of media(store).slice(before)) assert.ok(!one.live, `a finished object needs no header: ${JSON.stringify(one)}`);
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('the end comes while the last fragment is on its way', { skip }, async () => {
    const store = await grow(undefined, { exact: true });
    store.begin();
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(state('live'), 'live playback');
    await page.value(goOn(1));
    // The newest fragment is asked for, and its bytes wait; meanwhile the list that ends with that very fragment comes.
    let release;
    store.hold = new Promise((resolve) => { release = resolve; });
    const before = store.asked;
    while (store.asked === before) await sleep(0.01);
    store.end();
    await page.until(state('ended'), 'it becomes a recording');
    store.hold = null;
    release();
    await page.until('document.querySelector("video").ended', 'the end');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('a picture that stays just before its end is taken there', { skip }, async () => {
    const store = await grow();
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(state('waiting'), 'the page waits');
    // The browser is not told of the end the first time.
    await page.value(`(() => {
      const { prototype } = MediaSource, end = prototype.endOfStream;
      window.swallowed = 0;
      prototype.endOfStream = function endOfStream() {
        window.swallowed += 1;
        if (window.swallowed > 1) end.call(this);
      };
    })()`);
    store.begin();
    await page.until(state('live'), 'live playback');
    await page.value(goOn(1));
    store.end();
    await page.until('document.querySelector("video").ended', 'the end');
    assert.ok(await page.value('window.swallowed') > 1);
    await page.until(`document.querySelector('#state').textContent === 'Ended'`, 'the page says so');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('a recording plays from a server that knows nothing of Live Read', { skip }, async () => {
    const store = await grow();
    store.finish();
    store.cors = 'plain';
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(state('ended'), 'a recording');
    await page.value(goOn(1));
    assert.ok(await page.value(fromTheBeginning), 'from the beginning');
    assert.ok(media(store).length > 1);
    for (const one of media(store)) assert.ok(!one.live && one.range);
    assert.equal(store.requests.filter((one) => one.method === 'OPTIONS').length, 0, 'nothing to ask permission for');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('fragments of one track play without default-base-is-moof', { skip }, async () => {
    // What writer --hls lets through, as GStreamer's mp4mux makes it.
    const store = await grow({ 'live.mp4': await makeVideo(lab.dir, { name: 'one', seconds: 4, sound: false, base: 'omit_tfhd_offset' }) });
    store.finish();
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until('document.querySelector("video").ended', 'the end');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('says what is wrong with the store, and goes on when it is mended', { skip }, async () => {
    const cases = [
      ['no CORS rule', (store) => { store.cors = false; }, 'error', 'has no CORS rule that allows a page at'],
      ['a CORS rule without the header', (store) => { store.cors = 'plain'; }, 'error', 'does not allow a page at'],
      ['a private bucket', (store) => { store.answer = { playlist: 403, media: 403 }; }, 'error', 'Is the bucket private?'],
      ['no Live Read', (store) => { store.answer = { media: 404 }; }, 'waiting', 'Live Read is not enabled for the bucket'],
      ['a server in trouble', (store) => { store.answer = { playlist: 503 }; }, 'waiting', 'answers 503'],
      ['no store', (store) => { store.away = true; }, 'waiting', 'cannot be reached'],
    ];
    await Promise.all(cases.map(async ([what, spoil, name, words]) => {
      const store = await grow();
      store.begin();
      spoil(store);
      const page = await lab.look(`${store.address}live.m3u8`);
      await page.until(`${state(name)} && ${shows(words)}`, `${what}: the page says so`);
      Object.assign(store, { cors: true, answer: null, away: false });
      await page.value(click('retry'));
      await page.until(`${position} > 0.2`, `${what}: it plays when that is mended`);
      assert.deepEqual(page.errors, [], what);
      await page.close();
    }));
  });

  test('says that the video cannot be decoded', { skip }, async () => {
    const old = await makeVideo(lab.dir, { name: 'old', seconds: 4, codec: ['-c:v', 'mpeg4', '-g', '30', '-b:v', '1M'] });
    const store = await grow({ 'live.mp4': old });
    store.finish();
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(`${state('error')} && ${shows('cannot decode the video')}`, 'the codec is named');
    assert.ok(await page.value(shows('mp4v')), await page.value('document.body.innerText'));
    await page.close();
  });

  test('says that the sender is silent, and goes on when it is not', { skip }, async () => {
    const store = await grow();
    store.begin();
    const pages = await Promise.all([1, 2].map(() => lab.look(`${store.address}live.m3u8`)));
    for (const page of pages) await page.until(state('live'), 'live playback');
    // Chromium has been seen to say that it has more to play when it has not.
    await pages[1].value("Object.defineProperty(document.querySelector('video'), 'readyState', { get: () => 3 })");
    store.halt();
    for (const page of pages) await page.until(`${state('waiting')} && ${shows('Waiting for the sender')}`, 'the page says so');
    store.go();
    for (const page of pages) {
      await page.value(goOn(1));
      await page.until('document.querySelector("#message").hidden', 'no message any more');
      assert.deepEqual(page.errors, []);
      await page.close();
    }
  });

  test('three renditions: a choice, and a switch by hand', { skip }, async () => {
    const store = await lab.growRenditions(['640x360', '480x270', '320x180']);
    store.begin();
    const page = await lab.look(`${store.address}master.m3u8`, { width: 360, height: 740 });
    await page.until(state('live'), 'live playback');
    await page.value('document.querySelector("#golive").hidden = false');
    assert.ok(await page.value('document.documentElement.scrollWidth <= 360'), 'nothing sticks out of a phone');
    assert.deepEqual(
      (await page.value('[...document.querySelectorAll("#quality option")].map((one) => one.textContent)')).map((text) => text.replace(/ \(.*/, '')),
      ['Auto', '360p', '270p', '180p'],
    );
    for (const height of [180, 360, 270]) {
      await chooseQuality(page, height);
      await page.value(goOn(1));
    }
    assert.ok(await page.value(state('live')), 'still live');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('a playlist that slides, and the whole recording beside it', { skip }, async () => {
    const store = await grow(undefined, { window: 6 });
    store.begin();
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(`${state('live')} && !document.querySelector('#whole').hidden`, 'live, and not all of it');
    await page.value(click('whole'));
    await page.until(`${state('behind')} && ${position} > 0.2 && ${position} < 5`, 'from the beginning');
    await page.value(goOn(1));
    await page.value(click('golive'));
    await page.until(state('live'), 'live again');
    await page.value(goOn(1));
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('another stream under the same name is begun with', { skip }, async () => {
    const store = await grow();
    store.begin();
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(`${state('live')} && ${position} > 3`, 'live playback');
    await page.value("document.querySelector('video').addEventListener('loadedmetadata', () => { window.anew = true; })");
    store.version = 'v2';
    store.begin();
    await page.until(`window.anew && ${state('live')} && ${position} > 0.5 && ${fromTheBeginning}`, 'the new one, from its beginning');
    assert.ok(media(store).at(-1).query.endsWith('v2'));
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('on a phone nothing sticks out, and what is to be touched is large enough', { skip }, async () => {
    const store = await grow();
    store.finish();
    const page = await lab.look(`${store.address}live.m3u8`, { width: 360, height: 740 });
    await page.until(state('ended'), 'a recording');
    await page.value(goOn(0.5));
    assert.ok(await page.value('document.documentElement.scrollWidth <= 360'), 'nothing sticks out');
    const small = await page.value(`[...document.querySelectorAll('button, select, [role=slider]')]
      .filter((one) => one.offsetParent && (one.offsetHeight < 36 || one.offsetWidth < 44)).map((one) => one.id)`);
    assert.deepEqual(small, []);
    const nameless = await page.value(`[...document.querySelectorAll('button, select, input, [role=slider]')]
      .filter((one) => !(one.getAttribute('aria-label') || one.labels?.length || one.textContent.trim())).map((one) => one.id)`);
    assert.deepEqual(nameless, []);
    // A finger on the scrubber.
    const box = await page.value('(({ x, y, width, height }) => ({ x, y, width, height }))(document.querySelector("#scrub").getBoundingClientRect())');
    const at = { x: box.x + box.width / 2, y: box.y + box.height / 2, button: 'left', clickCount: 1 };
    await page.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...at });
    await page.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...at });
    await page.until(`Math.abs(${position} - document.querySelector('video').duration / 2) < 4`, 'it goes to the middle');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('the browser’s own player has the recording, and waits for it while it is live', { skip }, async (t) => {
    const store = await grow();
    store.begin();
    const page = await lab.browser.open(`${lab.address}?player=native&src=${store.address}live.m3u8`);
    if (!await page.value('document.createElement("video").canPlayType("application/vnd.apple.mpegurl")')) {
      t.skip('this Chromium has no HLS player of its own');
      return page.close();
    }
    await page.until(shows('cannot read an object that is still being written'), 'the page says so');
    await sleep(3);
    store.end();
    // Safari plays it now. Chromium's player, which is new, does not know EXT-X-BYTERANGE.
    await page.until(`${state('ended')} && ${position} > 0.5 || ${state('error')} && ${shows('own player cannot play')}`, 'it plays, or says that it cannot');
    assert.deepEqual(page.errors, []);
    return page.close();
  });
});

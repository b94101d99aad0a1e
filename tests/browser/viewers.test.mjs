// What viewers do and meet: a tab that nobody sees, an outage, a slow line, a finger, a phone, the keys, a wrong address.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { serve } from '../../scripts/serve.mjs';
import { makeVideo } from './fixture.mjs';
import { Lab, click, goOn, position, press, shows, skip, sleep, state } from './lab.mjs';

/** The element's box, and whether it is to be seen. */
const box = (selector) => `(() => {
  const one = document.querySelector('${selector}');
  const { left, top, right, bottom, width, height } = one.getBoundingClientRect();
  const style = getComputedStyle(one);
  return { left, top, right, bottom, width, height, seen: one.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && width > 0, opacity: style.opacity };
})()`;
const seen = (selector) => `document.querySelector('${selector}').checkVisibility({ opacityProperty: true, visibilityProperty: true })`;

describe('what viewers meet', { timeout: 900_000 }, () => {
  let lab, mute;
  before(async () => {
    if (skip) return;
    lab = await Lab.open({ seconds: 240 });
    mute = await makeVideo(lab.dir, { name: 'mute', seconds: 60, sound: false });
  });
  after(() => lab?.close());
  const grow = (...what) => lab.grow(...what);
  async function live(options = {}, size = null, files = undefined) {
    const store = await grow(files, options);
    store.begin();
    const page = await lab.look(`${store.address}live.m3u8`, size);
    await page.until(state('live'), 'live playback');
    await page.value(goOn(1));
    return { store, page };
  }
  const far = async (page, store) => store.elapsed - await page.value(position);
  const pointer = (page, type, at) => page.send('Input.dispatchMouseEvent', { type, button: type === 'mouseMoved' ? 'none' : 'left', clickCount: type === 'mouseMoved' ? 0 : 1, ...at });
  async function press2(page, selector) {
    const { left, top, width, height } = await page.value(box(selector));
    const at = { x: left + width / 2, y: top + height / 2 };
    for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased']) await pointer(page, type, at);
  }
  async function tap(page, x, y) {
    await page.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x, y }] });
    await page.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  }

  test('a tab that nobody sees is live again when it is looked at', { skip }, async () => {
    const { store, page } = await live();
    // What a page sees of it: Chromium hides it, and after a while pauses a video without sound. When, it does not promise.
    await page.value(`(() => {
      for (const [name, value] of [['hidden', true], ['visibilityState', 'hidden']]) {
        Object.defineProperty(document, name, { configurable: true, get: () => value });
      }
      document.dispatchEvent(new Event('visibilitychange'));
      document.querySelector('video').pause();
    })()`);
    await page.until("document.querySelector('video').paused", 'nobody sees it');
    await sleep(20);
    await page.value(`(() => {
      delete document.hidden;
      delete document.visibilityState;
      document.dispatchEvent(new Event('visibilitychange'));
      return true;
    })()`);
    await page.until(`!document.querySelector('video').paused && ${state('live')}`, 'it plays, and live');
    await page.value(goOn(1));
    const behind = await far(page, store);
    assert.ok(behind < 15, `${behind} s behind the encoder`);
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('the controls of full screen go although a button was clicked', { skip }, async () => {
    const { page } = await live();
    await press2(page, '#full');
    await page.until('document.fullscreenElement !== null', 'full screen');
    await page.until(`!${seen('#play')}`, 'the controls are gone', 20);
    const { width } = await page.value(box('video'));
    await pointer(page, 'mouseMoved', { x: width / 2, y: 200 });
    await page.until(seen('#play'), 'a pointer brings them back', 10);
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('after an outage it goes to live at once', { skip }, async () => {
    const { store, page } = await live();
    await page.until('follow.needs.length >= 3', 'it knows the rhythm').catch(() => sleep(8));
    store.away = true;
    await page.until(state('waiting'), 'nothing is left to play');
    await sleep(35);
    store.away = false;
    await page.value(click('retry'));
    await page.until(state('live', 'behind'), 'it plays again');
    await page.value(goOn(1));
    await sleep(8);
    const behind = await far(page, store);
    assert.ok(behind < 18, `${behind} s behind the encoder, some seconds after an outage of 40 s`);
    assert.ok(await page.value(state('live')));
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('over a line that is too slow it says so, and does not play faster', { skip }, async () => {
    const store = await grow();
    store.begin();
    store.speed = 130_000; // of 200,000
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(state('live', 'behind'), 'playback');
    await page.value(`window.fastest = 0; setInterval(() => { window.fastest = Math.max(window.fastest, document.querySelector('video').playbackRate); }, 100)`);
    await page.until(shows('Your connection gives'), 'it says so', 60);
    assert.match(await page.value("document.querySelector('#notice').textContent"), /gives [\d.]+ (M|k)bit\/s, the stream needs 1\.\d Mbit\/s/);
    await page.value('window.fastest = 0');
    await sleep(15);
    assert.ok(await page.value('window.fastest') <= 1, `it played ${await page.value('window.fastest')} times as fast`);
    // A line that carries it: the words go, and it is live again.
    store.speed = null;
    await page.until(`${state('live')} && !${shows('Your connection gives')}`, 'live again');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('a bad address cannot be tried again', { skip }, async () => {
    const page = await lab.look('javascript:alert(1)');
    await page.until(state('error'), 'the error is shown');
    assert.ok(!await page.value(seen('#retry')), 'nothing is to be tried again');
    await page.value(click('retry'));
    await sleep(0.5);
    assert.ok(await page.value(state('error')));
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('without hls.js it says that', { skip }, async () => {
    const server = await serve(lab.bare);
    try {
      const store = await grow();
      store.begin();
      const page = await lab.browser.open(`http://127.0.0.1:${server.address().port}/?src=${store.address}live.m3u8`);
      await page.until(`${state('error')} && ${shows('hls.js is not beside this page')}`, 'it says so', 60);
      assert.deepEqual(page.errors, []);
      await page.close();
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  for (const [what, width, height] of [['upright', 360, 740], ['across', 740, 360], ['in a small frame', 320, 240]]) {
    test(`on a phone ${what} nothing of a message is cut off, and title and state are there`, { skip }, async () => {
      const store = await grow();
      store.cors = false;
      store.begin();
      const page = await lab.look(`${store.address}live.m3u8`, { width, height });
      await page.until(`${state('error')} && !document.querySelector('#retry').hidden`, 'the message');
      await page.value("{ const more = document.querySelector('#remedy'); if (more) more.open = true; }");
      const missing = await page.value(`['title', 'detail', 'retry', 'operator'].filter((id) => document.getElementById(id)).filter((id) => {
        const one = document.getElementById(id), { height } = one.getBoundingClientRect();
        one.scrollIntoView({ block: 'center' });
        const { left, top, right, bottom } = one.getBoundingClientRect();
        const middle = height > innerHeight - 80 ? [] : [[(left + right) / 2, top + 3], [(left + right) / 2, bottom - 3]];
        return !height || left < 0 || right > innerWidth || !middle.every(([x, y]) => one.contains(document.elementFromPoint(x, y)));
      })`);
      assert.deepEqual(missing, []);
      if (height > 500) assert.ok(await page.value('(({ scrollHeight, clientHeight }) => scrollHeight <= clientHeight + 1)(document.querySelector("#message"))'), 'all of it is there without scrolling in the picture');
      await page.value('scrollTo(0, 0)');
      Object.assign(store, { cors: true });
      await page.value(click('retry'));
      await page.until(state('live'), 'live');
      for (const id of ['name', 'state']) assert.ok(await page.value(`!!document.querySelector('#${id}').offsetParent`), `#${id} is there`);
      assert.ok(await page.value("getComputedStyle(document.querySelector('#announce').parentElement).display !== 'none'"), 'what is announced is heard');
      if (height < 500) {
        const { left, top, right, bottom } = await page.value(box('video'));
        assert.ok(await page.value('document.documentElement.scrollHeight <= innerHeight'), 'nothing to scroll');
        assert.ok(top === 0 && bottom === height && left === 0 && right === width, `the picture has all of the frame: ${[left, top, right, bottom]}`);
      }
      assert.ok(await page.value('document.documentElement.scrollWidth <= innerWidth'), 'nothing sticks out');
      assert.deepEqual(page.errors, []);
      await page.close();
    });
  }

  test('the sound is offered for a while, and only where there is some', { skip }, async () => {
    const one = await live();
    assert.ok(await one.page.value(seen('#unmute')), 'offered');
    const two = await live({}, null, { 'live.mp4': mute });
    await two.page.value(goOn(1));
    assert.ok(!await two.page.value(seen('#unmute')), 'a stream without sound');
    assert.ok(await two.page.value("document.querySelector('#mute').disabled"));
    await one.page.until(`!${seen('#unmute')}`, 'the offer goes', 30);
    assert.ok(await one.page.value("document.querySelector('video').muted"));
    for (const { page } of [one, two]) {
      assert.deepEqual(page.errors, []);
      await page.close();
    }
  });

  test('a finger shows and hides the controls; twice at the side goes 10 s', { skip }, async () => {
    const store = await grow();
    store.finish();
    const page = await lab.look(`${store.address}live.m3u8`, { width: 390, height: 780 });
    await page.send('Emulation.setTouchEmulationEnabled', { enabled: true });
    await page.until(state('ended'), 'a recording');
    await page.value(goOn(0.5));
    const { left, top, width, height } = await page.value(box('video'));
    const at = [left + width / 2, top + height / 3];
    await page.until(`!${seen('#play')}`, 'the controls go', 20);
    await tap(page, ...at);
    await page.until(seen('#play'), 'a tap brings them', 10);
    assert.ok(!await page.value("document.querySelector('video').paused"), 'and does not pause');
    await sleep(0.5);
    await tap(page, ...at);
    await page.until(`!${seen('#play')}`, 'another takes them away', 2);
    assert.ok(!await page.value("document.querySelector('video').paused"));
    const before = await page.value(position);
    await sleep(0.5);
    for (let i = 0; i < 2; i += 1) await tap(page, left + width * 0.9, top + height / 3);
    await page.until(`${position} > ${before} + 9`, 'ten seconds on', 10);
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('says what is wrong with a playlist, and with which; no signature is shown', { skip }, async () => {
    const head = '#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n';
    for (const [text, words] of [
      [`#EXTM3U\n#EXT-X-MAP:URI="live.mp4"\n#EXTINF:1.0,\nlive.mp4\n`, 'EXT-X-TARGETDURATION'],
      [`${head}#EXTINF:one,\nlive.mp4\n`, '#EXTINF:one'],
      [`${head}#EXTINF:1.0,\n#EXT-X-BYTERANGE:many@0\nlive.mp4\n`, '#EXT-X-BYTERANGE:many'],
      [`${head}#EXTINF:1.0,\n#EXTINF:1.0,\nlive.mp4\n`, 'without an address'],
      [`#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n`, '#EXT-X-STREAM-INF'],
    ]) {
      const store = await grow();
      store.begin();
      store.texts['bad.m3u8'] = text;
      const page = await lab.look(`${store.address}bad.m3u8?X-Amz-Signature=secret`);
      await page.until(`${state('error')} && ${shows(words)}`, `it says so of ${JSON.stringify(text)}`, 30);
      assert.ok(!await page.value(shows('secret')), await page.value('document.body.textContent'));
      await page.close();
    }
    const store = await grow();
    store.begin();
    const page = await lab.look(`${store.address}lvie.m3u8?X-Amz-Signature=secret`);
    await page.until(`${state('waiting')} && ${shows('has not begun')}`, 'it waits');
    assert.ok(await page.value(shows(`${store.address}lvie.m3u8`)), 'and names what it waits for');
    assert.ok(!await page.value(shows('secret')));
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('keys: the document scrolls where it can, letters can be switched off, J K L', { skip }, async () => {
    const store = await grow();
    store.finish();
    const page = await lab.look(`${store.address}live.m3u8`);
    await page.until(state('ended'), 'a recording');
    await page.value(goOn(0.5));
    const at = () => page.value(position);
    await page.value("document.querySelector('video').pause()");
    await press(page, 'l', 'KeyL', 'l');
    await page.until(`${position} > 9`, 'L goes on');
    const from = await at();
    await press(page, 'j', 'KeyJ', 'j');
    await page.until(`${position} < ${from} - 8`, 'J goes back');
    await press(page, 'k', 'KeyK', 'k');
    await page.until("!document.querySelector('video').paused", 'K plays');
    await press(page, 'k', 'KeyK', 'k');
    // A page of which not all is seen: the keys that scroll do that, until the player has the focus.
    await page.value("document.body.append(Object.assign(document.createElement('div'), { style: 'height: 3000px' })); document.body.lastChild.style.height = '3000px'");
    const before = await at();
    await page.value("window.taken = []; addEventListener('keydown', (event) => window.taken.push([event.key, event.defaultPrevented]))");
    for (const key of ['End', 'PageUp', 'ArrowDown']) await press(page, key);
    assert.deepEqual(await page.value('window.taken'), [['End', false], ['PageUp', false], ['ArrowDown', false]]);
    assert.equal(await at(), before);
    await page.value("document.querySelector('#play').focus()");
    await press(page, 'PageUp');
    await page.until(`${position} > ${before} + 50`, 'a minute on');
    // Letters.
    await page.value("document.querySelector('#letters').click()");
    await page.value("document.querySelector('#play').focus()");
    await press(page, 'm', 'KeyM', 'm');
    await sleep(0.3);
    assert.ok(await page.value("document.querySelector('video').muted"), 'M does nothing');
    await page.value("document.querySelector('#letters').click()");
    await page.value("document.querySelector('#play').focus()");
    await press(page, 'm', 'KeyM', 'm');
    await page.until("!document.querySelector('video').muted", 'M again');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('what is on the bar can be told apart, whatever the picture, and in forced colours', { skip }, async () => {
    const { page } = await live();
    const found = await page.value(`(() => {
      const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
      const contrast = (a, b) => { const [x, y] = [light(a), light(b)]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
      const colour = (s) => numbers(getComputedStyle(document.querySelector(s)).backgroundColor).slice(0, 3);
      // The bar's ground at its lightest: over white. The last colour of its gradient is what lies under the groove.
      const image = getComputedStyle(document.querySelector('.bar') ?? document.querySelector('.controls')).backgroundImage;
      const last = image.match(/rgba?\\([^)]*\\)/g)?.at(-1);
      const ground = last ? (([r, g, b, a = 1]) => [r, g, b].map((v) => v * a + 255 * (1 - a)))(numbers(last)) : [255, 255, 255];
      const spin = numbers(getComputedStyle(document.querySelector('.spin')).backgroundColor);
      const disc = [0, 1, 2].map((i) => spin[i] * (spin[3] ?? 1) + 255 * (1 - (spin[3] ?? 1)));
      return { groove: contrast(colour('.groove'), ground), loaded: contrast(colour('.loaded'), colour('.groove')), played: contrast(colour('.played'), ground), spin: contrast([255, 255, 255], disc) };
    })()`);
    for (const [what, ratio] of Object.entries(found)) assert.ok(ratio >= 3, `${what}: ${ratio.toFixed(2)}`);
    await page.send('Emulation.setEmulatedMedia', { features: [{ name: 'forced-colors', value: 'active' }] });
    const forced = await page.value(`['.groove', '.loaded', '.played', '.thumb'].map((s) => getComputedStyle(document.querySelector(s))).map((s) => s.backgroundColor + s.borderTopWidth)`);
    assert.equal(new Set(forced).size, 4, `each is another: ${forced}`);
    await page.close();
  });

  test('a list that slides shows the time of day; a date has its room; quality at 320 px', { skip }, async () => {
    const { page } = await live({ window: 6 }, { width: 320, height: 568 });
    await page.until("/\\d:\\d\\d:\\d\\d/.test(document.querySelector('#time').textContent)", 'a time of day', 10);
    const store = await grow();
    store.begin();
    await sleep(4);
    store.end();
    const other = await lab.look(`${store.address}live.m3u8`, { width: 320, height: 568 });
    await other.until(state('ended'), 'a recording');
    await other.value(goOn(0.5));
    await other.value("document.querySelector('#info')?.click()");
    await other.until("/\\d{4}/.test(document.querySelector('#delay').textContent)", 'the date', 10);
    assert.ok(await other.value("(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth && clientWidth > 0)(document.querySelector('#delay'))"), 'not cut off');
    assert.ok(await other.value("document.querySelector('#quality').hidden || document.querySelector('#quality').offsetWidth >= 80"));
    for (const one of [page, other]) {
      assert.deepEqual(one.errors, []);
      await one.close();
    }
  });

  test('the light build of hls.js plays what it can, the whole one the rest', { skip }, async () => {
    const { page } = await live();
    assert.equal(await page.value('document.querySelector("main").dataset.library'), 'hls.light.min.js');
    await page.close();
    const store = await grow();
    store.begin();
    store.texts['sounds.m3u8'] = '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="One",DEFAULT=YES,URI="live.m3u8"\n'
      + '#EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS="avc1.42c01e,mp4a.40.2",AUDIO="a"\nlive.m3u8\n';
    const other = await lab.look(`${store.address}sounds.m3u8`);
    await other.until('document.querySelector("main").dataset.library === "hls.min.js"', 'the whole one', 30);
    await other.close();
  });
});

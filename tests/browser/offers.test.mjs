// What the page offers: links to a moment, marks, sharing, frames, languages, captions, sound tracks, speed, statistics; and what it keeps out.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Lab, goOn, position, press, shows, skip, sleep, state } from './lab.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

describe('what the page offers', { timeout: 900_000, concurrency: 3 }, () => {
  let lab;
  before(async () => {
    if (skip) return;
    lab = await Lab.open({ seconds: 150 });
  });
  after(() => lab?.close());
  async function grow() {
    const store = await lab.grow();
    store.begin();
    return store;
  }
  /** The page with more in its address than a source. */
  const open = (store, more = '', name = 'live.m3u8') => lab.browser.open(`${lab.address}?src=${store.address}${name}${more.replace(/^(?=#|$)/, '&lang=en')}`);

  test('a link to a moment, from the beginning and by the clock, live and afterwards', { skip }, async () => {
    const store = await grow();
    store.skip(40);
    const one = await open(store, '#t=12.5');
    await one.until(`${state('behind')} && ${position} >= 12.4 && document.querySelector('video').played.length > 0`, 'there');
    assert.ok(await one.value(position) < 25, `${await one.value(position)} s`);
    assert.ok(await one.value('document.querySelector("video").played.start(0)') >= 12.4, 'and nothing before');
    await one.close();
    // By the clock, in a list that slides: what is older is in the whole recording.
    const moment = new Date(store.zero + 5000).toISOString();
    store.window = 6;
    const two = await open(store, `#t=${moment}`);
    await two.until(`${state('behind')} && ${position} >= 4.9 && ${position} < 15`, 'there');
    await two.close();
    store.window = 0;
    store.end();
    const three = await open(store, `&t=${moment},${new Date(store.zero + 8000).toISOString()}`);
    await three.until(`${state('ended')} && ${position} >= 4.9`, 'there');
    await three.until("document.querySelector('video').paused", 'and it stops at the end of the part');
    assert.ok(Math.abs(await three.value(position) - 8) < 0.6, `${await three.value(position)} s`);
    await three.value("document.querySelector('#play').click()");
    await three.value(goOn(1));
    // Another moment in the address of the same page.
    await three.value("location.hash = '#t=20'");
    await three.until(`${position} >= 20`, 'there, too');
    for (const page of [one, two, three]) assert.deepEqual(page.errors, []);
    await three.close();
  });

  test('marks while it is live give the link and the command', { skip }, async () => {
    const store = await grow();
    store.skip(30);
    const page = await open(store);
    await page.until(state('live'), 'live playback');
    await page.value(goOn(1));
    // Where it was before the key and after it: on a busy machine that may be far apart.
    const mark = async (...key) => {
      const before = await page.value(position);
      await press(page, ...key);
      return [before, await page.value(position)];
    };
    const from = await mark('[', 'BracketLeft', '[');
    await page.value(goOn(2));
    const to = await mark(']', 'BracketRight', ']');
    await page.value("document.querySelector('#share').click()");
    const [link, embed, command] = await page.value("['link', 'embed', 'command'].map((id) => document.getElementById(id).value)");
    const said = /^reader live\.mp4 --from 00:00:(\d\d\.\d) --to 00:00:(\d\d\.\d) live-clip\.mp4$/.exec(command);
    assert.ok(said, command);
    const between = (at, [before, after]) => Number(at) > before - 0.2 && Number(at) < after + 0.2;
    assert.ok(between(said[1], from) && between(said[2], to), `${command}: ${from} to ${to}`);
    // The key in the addresses of stores.
    for (const [address, key] of [
      ['https://bucket.s3.eu-central-003.backblazeb2.com/a/live%20one.mp4?versionId=4', 'a/live one.mp4'],
      ['https://s3.eu-central-003.backblazeb2.com/bucket/a/live.mp4', 'a/live.mp4'],
      ['https://video.example.com/live.mp4', 'live.mp4'],
      ['http://127.0.0.1:9000/bucket/_live/a/live.mp4/20261121T143349Z-9f3c2a7b/0/0000000000001272.mp4', 'a/live.mp4'],
    ]) assert.equal(await page.value(`keyOf(${JSON.stringify(address)})`), key);
    assert.deepEqual(await page.value(`['90', '1:30', '1h2m3s', '0:00:05.5', '2026-01-31T12:00:00Z', 'soon', '1:2:3:4', ''].map(momentOf)`),
      [{ seconds: 90 }, { seconds: 90 }, { seconds: 3723 }, { seconds: 5.5 }, { date: Date.parse('2026-01-31T12:00:00Z') }, null, null, null]);
    const times = new URL(link).hash.slice(3).split(',').map((one) => (Date.parse(one) - store.zero) / 1000);
    assert.ok(Math.abs(times[0] - said[1]) < 0.2 && Math.abs(times[1] - said[2]) < 0.2, `${link}: ${times}`);
    assert.equal(new URL(link).searchParams.get('src'), `${store.address}live.m3u8`);
    assert.match(embed, /^<iframe src="http:[^"]*embed=1[^"]*" /);
    const other = await lab.browser.open(link);
    await other.until(`${position} >= ${said[1]} - 0.2`, 'the link leads there');
    await other.until("document.querySelector('video').paused", 'and stops');
    assert.ok(Math.abs(await other.value(position) - said[2]) < 0.8);
    for (const one of [page, other]) {
      assert.deepEqual(one.errors, []);
      await one.close();
    }
  });

  test('before the start: a countdown and a poster', { skip }, async () => {
    const store = await lab.grow();
    const page = await open(store, `&lang=en&start=${new Date(Date.now() + 90_000).toISOString()}&poster=page/icon.svg`);
    await page.until("/Begins in 1:[0-2]\\d/.test(document.querySelector('#title').textContent)", 'it counts down');
    assert.equal(await page.value("document.querySelector('#message').getAttribute('role')"), 'group', 'not read out every second');
    assert.match(await page.value("document.querySelector('video').poster"), /page\/icon\.svg$/);
    store.begin();
    await page.until(state('live'), 'it plays when there is something');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('in a frame: all of it the picture; no controls; not by itself', { skip }, async () => {
    const store = await grow();
    const page = await open(store, '&embed&controls=0&autoplay=0');
    await page.until("document.querySelector('video').readyState >= 2", 'it is loaded');
    await sleep(1);
    assert.ok(await page.value("document.querySelector('video').paused"));
    const { width, height } = await page.value("(({ width, height }) => ({ width, height }))(document.querySelector('video').getBoundingClientRect())");
    assert.deepEqual([width, height], await page.value('[innerWidth, innerHeight]'));
    assert.ok(!await page.value("document.querySelector('#controls').checkVisibility()"));
    await page.value("document.querySelector('video').click()");
    await page.until(state('live'), 'a click begins');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('speaks what the viewer speaks, and every text of it', { skip }, async () => {
    const store = await grow();
    const page = await open(store, '&lang=ja');
    await page.until(state('live'), 'live');
    assert.equal(await page.value('document.documentElement.lang'), 'ja');
    assert.equal(await page.value("document.querySelector('#state').textContent"), 'ライブ');
    await page.value("{ const choice = document.querySelector('#language'); choice.value = 'de'; choice.dispatchEvent(new Event('change')); }");
    assert.equal(await page.value("document.querySelector('#choices h2').textContent"), 'Einstellungen');
    const again = await lab.browser.open(`${lab.address}?src=${store.address}live.m3u8`);
    assert.equal(await again.value("new Promise((done) => addEventListener('load', () => done(document.documentElement.lang)) || document.readyState === 'complete' && done(document.documentElement.lang))"), 'de', 'it remembers');
    await again.close();
    // The table has every text that the scripts say, each in every language, with the same gaps.
    const scripts = ['trouble', 'play', 'moment', 'view', 'panels', 'hands', 'follow'].map((name) => readFileSync(path.join(lab.site, `page/${name}.js`), 'utf8')).join('\n');
    const asked = [...scripts.matchAll(/\btr\('((?:[^'\\]|\\.)*)'/g)].map((one) => one[1]);
    const marked = [...readFileSync(path.join(lab.site, 'index.html'), 'utf8').matchAll(/data-tr>([^<]+)</g)].map((one) => one[1]);
    const keys = await page.value('KEYS.map((one) => one[1]).concat(Object.values(buttons), Object.values(SHORT))');
    const table = await page.value('TABLE');
    assert.deepEqual([...new Set([...asked, ...marked, ...keys])].filter((one) => !table[one]), []);
    const gaps = (text) => (text.match(/\{\d\}/g) ?? []).sort().join();
    for (const [text, row] of Object.entries(table)) {
      assert.equal(row.length, 6, text);
      for (const one of row) assert.equal(gaps(one), gaps(text), `${text}: ${one}`);
    }
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('captions and sound tracks can be chosen', { skip }, async () => {
    const store = await grow();
    store.finish();
    const vtt = 'WEBVTT\n\n00:00.000 --> 02:30.000\nHello there\n';
    store.texts['words.vtt'] = vtt;
    store.texts['words.m3u8'] = '#EXTM3U\n#EXT-X-TARGETDURATION:150\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:150,\nwords.vtt\n#EXT-X-ENDLIST\n';
    store.texts['sounds.m3u8'] = '#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",URI="words.m3u8"\n'
      + '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Stage",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE="en"\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Comment",LANGUAGE="de",URI="live.m3u8"\n'
      + '#EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS="avc1.42c01e,mp4a.40.2",AUDIO="a",SUBTITLES="s"\nlive.m3u8\n';
    const page = await open(store, '', 'sounds.m3u8');
    await page.until("!document.querySelector('#captions').hidden", 'captions are offered');
    assert.deepEqual(await page.value("[...document.querySelectorAll('#tracks option')].map((one) => one.textContent)"), ['Stage', 'Comment']);
    await page.value("document.querySelector('#captions').click()");
    await page.until("[...document.querySelector('video').textTracks].some((one) => one.mode === 'showing' && one.cues?.length && one.cues[0].text === 'Hello there')", 'they are shown');
    assert.equal(await page.value("document.querySelector('#captions').getAttribute('aria-pressed')"), 'true');
    await page.value("document.querySelector('#captions').click()");
    await page.until("[...document.querySelector('video').textTracks].every((one) => one.mode !== 'showing')", 'and not any more');
    await page.value("{ const choice = document.querySelector('#tracks'); choice.value = '1'; choice.dispatchEvent(new Event('change')); }");
    await page.until('hls.audioTrack === 1', 'the other sound track');
    await page.value(goOn(1));
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('speed of a recording, volume that is remembered, media keys, picture in picture', { skip }, async () => {
    const store = await grow();
    store.finish();
    const page = await open(store);
    await page.until(state('ended'), 'a recording');
    await page.until("document.querySelectorAll('#speed option').length > 5", 'speeds are offered');
    await page.value("{ const choice = document.querySelector('#speed'); choice.value = '1.5'; choice.dispatchEvent(new Event('change')); }");
    await sleep(1);
    assert.equal(await page.value("document.querySelector('video').playbackRate"), 1.5);
    await page.value("{ const one = document.querySelector('#volume'); one.value = 0.4; one.dispatchEvent(new Event('input')); }");
    assert.equal(await page.value("navigator.mediaSession.metadata.title"), 'live');
    assert.ok(await page.value("!document.pictureInPictureEnabled || !document.querySelector('#pip').hidden"));
    assert.equal(await page.value("document.querySelector('link[rel=icon]').href.endsWith('page/icon.svg') && fetch('page/icon.svg').then((answer) => answer.status)"), 200);
    const again = await open(store);
    await again.until(`${state('ended')} && ${position} > 0`, 'it plays, with sound or without');
    assert.equal(await again.value("document.querySelector('video').volume"), 0.4);
    for (const one of [page, again]) {
      assert.deepEqual(one.errors, []);
      await one.close();
    }
  });

  test('another screen, where the browser knows one', { skip }, async () => {
    const store = await grow();
    const page = await lab.browser.open('about:blank');
    // There is none here: what the browser would say is said in its place.
    await page.send('Page.addScriptToEvaluateOnNewDocument', { source: `
      RemotePlayback.prototype.watchAvailability = async function watchAvailability(tell) { window.tellScreens = tell; return 1; };
      RemotePlayback.prototype.prompt = async function prompt() { window.asked = this === document.querySelector('video').remote; };` });
    await page.send('Page.navigate', { url: `${lab.address}?lang=en&src=${store.address}live.m3u8` });
    await page.until(state('live'), 'live');
    assert.ok(await page.value("document.querySelector('#cast').hidden"), 'not without one');
    await page.value('window.tellScreens(true)');
    await page.until("!document.querySelector('#cast').hidden && document.querySelector('#cast').getAttribute('aria-label') === 'Play on another screen'", 'offered');
    await page.value("document.querySelector('#cast').click()");
    await page.until('window.asked === true', 'the browser asks which');
    await page.value('window.tellScreens(false)');
    await page.until("document.querySelector('#cast').hidden", 'it is gone');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('statistics and what happened, behind an “i”', { skip }, async () => {
    const store = await grow();
    const page = await open(store);
    await page.until(state('live'), 'live');
    assert.ok(!await page.value("document.querySelector('#delay').checkVisibility()"), 'nobody need see it');
    await press(page, 'i', 'KeyI', 'i');
    await page.until("document.querySelector('#delay').checkVisibility() && /s$/.test(document.querySelector('#delay').textContent)", 'the delay');
    store.away = true;
    await page.until(state('waiting'), 'an outage');
    store.away = false;
    await page.until(`${state('live')}`, 'live again');
    await page.until("/Pauses: [1-9]/.test(document.querySelector('#history').getAttribute('aria-label'))", 'the pause is in the graph');
    assert.ok(await page.value("[...document.querySelector('#history').getContext('2d').getImageData(0, 0, 600, 180).data].some((one) => one > 200)"), 'something is drawn');
    await press(page, 'Escape');
    await page.until("!document.querySelector('#delay').checkVisibility()", 'Escape closes it');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('a small picture of what was played, where the pointer is on the bar', { skip }, async () => {
    const store = await grow();
    store.finish();
    const page = await open(store);
    await page.until(state('ended'), 'a recording');
    await page.value(goOn(2.5));
    const point = async (part) => {
      const { x, y, width } = await page.value("(({ x, y, width }) => ({ x, y, width }))(document.querySelector('#scrub').getBoundingClientRect())");
      // The first move brings the controls.
      for (const by of [0, 1]) await page.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x: x + width * part + by, y: y + 18 });
    };
    await point(0.01);
    await page.until("!document.querySelector('#preview').hidden && document.querySelector('#preview').naturalWidth === 160", 'a picture');
    assert.match(await page.value("document.querySelector('#tip').textContent"), /^0:01/);
    await point(0.8);
    await page.until("document.querySelector('#preview').hidden && !document.querySelector('#tip').hidden", 'none of what was not played');
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('opened from a disk, too', { skip }, async () => {
    const store = await grow();
    const page = await lab.browser.open(`file://${path.join(lab.site, 'index.html')}?lang=en&src=${store.address}live.m3u8`);
    await page.until(state('live'), 'live');
    assert.ok(await page.value("getComputedStyle(document.querySelector('.screen')).display === 'grid'"), 'its style is there');
    assert.deepEqual(page.errors, []);
    await page.close();
    const none = await lab.browser.open(`file://${path.join(lab.site, 'index.html')}?lang=en`);
    await none.until(`${state('error')} && ${shows('from a web server')}`, 'it says what to do');
    assert.deepEqual(none.errors, []);
    await none.close();
  });

  test('plays from allowed origins only, and lets no other script in', { skip }, async () => {
    const store = await grow();
    const file = path.join(lab.site, 'narrow.html');
    writeFileSync(file, readFileSync(path.join(lab.site, 'index.html'), 'utf8').replace('name="live-read-sources" content=""', 'name="live-read-sources" content="self https://video.example.com"'));
    const page = await lab.browser.open(`${lab.address}narrow.html?lang=en&src=${store.address}live.m3u8`);
    await page.until(`${state('error')} && ${shows('does not play from there')}`, 'it says so');
    assert.equal(store.requests.length, 0, 'nothing was asked for');
    await page.close();
    const own = await lab.browser.open(`${lab.address}narrow.html?src=hls/none.m3u8`);
    await own.until(state('waiting'), 'its own');
    await own.close();
    const other = await open(store, '&title=%3Cimg%20src%3Dx%20onerror%3D%22window.bad%3D1%22%3E');
    await other.until(state('live'), 'live');
    const stopped = await other.value(`new Promise((done) => {
      document.addEventListener('securitypolicyviolation', (event) => done(event.violatedDirective));
      const script = document.createElement('script');
      script.textContent = 'window.bad = 1';
      document.body.append(script);
      setTimeout(() => done('nothing'), 5000);
    })`);
    assert.match(stopped, /^script-src/);
    assert.equal(await other.value('window.bad'), undefined);
    await other.close();
  });

  test('axe finds nothing at three sizes, light and dark', { skip }, async () => {
    const store = await grow();
    const page = await open(store);
    await page.until(state('live'), 'live');
    await page.send('Runtime.evaluate', { expression: axe });
    // The message comes last: what it covers is there for all the others.
    for (const panel of [null, 'settings', 'share', 'info', 'message']) {
      if (panel === 'message') await page.value("closePanels(); fail(...words.away({ url: 'https://example.com/live.m3u8' })); document.querySelector('#remedy').open = true");
      else if (panel) await page.value(`openPanel('${panel}', true)`);
      for (const [width, height] of [[1280, 720], [390, 780], [740, 360]]) {
        await page.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
        for (const scheme of ['light', 'dark']) {
          await page.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
          await page.until(`innerWidth === ${width} && matchMedia('(prefers-color-scheme: ${scheme})').matches`, 'it is so');
          await page.value('stir()');
          await sleep(0.3);
          const found = await page.value("axe.run(document, { rules: { 'video-caption': { enabled: false } } }).then((all) => all.violations.map((one) => one.id + ': ' + one.nodes.map((node) => node.target).join(' ') + ' ' + (one.nodes[0].any[0]?.message ?? '')))");
          assert.deepEqual(found, [], `${panel} at ${width} × ${height}, ${scheme}`);
        }
      }
    }
    await page.close();
  });
});

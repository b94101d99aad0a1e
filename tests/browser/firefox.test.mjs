// index.html in Firefox: live, back, live again, a recording, renditions, messages, keys.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { findFirefox } from '../../scripts/browsers.mjs';
import { Firefox } from './firefox.mjs';
import { Lab, chooseQuality, goOn, position, shows, skip as noChromium, state } from './lab.mjs';

const firefox = findFirefox();
const skip = noChromium || (firefox ? false : 'no Firefox on this machine (FIREFOX can name one)');
if (!firefox) console.error(`\n*** SKIPPED: the test of index.html in Firefox: ${skip} ***\n`);
const LEFT = '\uE012';
const END = '\uE010';

describe('index.html in Firefox', { timeout: 600_000 }, () => {
  let lab, page;
  before(async () => {
    if (skip) return;
    lab = await Lab.open({ seconds: 150 });
    page = await Firefox.start(firefox);
  });
  after(async () => {
    await page?.close();
    await lab?.close();
  });
  const grow = (...what) => lab.grow(...what);
  const look = (store, more = '', name = 'live.m3u8') => page.open(`${lab.address}?lang=en&src=${store.address}${name}${more}`);

  test('live, back, live again, an outage, a recording, a moment', { skip }, async () => {
    const store = await grow();
    await look(store);
    await page.until(`${state('waiting')} && ${shows('has not begun')}`, 'it waits');
    store.begin();
    await page.until(state('live'), 'live playback');
    await page.value(goOn(2));
    assert.equal(await page.value("document.querySelector('main').dataset.library"), 'hls.light.min.js');
    await page.value("document.querySelector('#player').focus()");
    await page.keys(LEFT);
    await page.until(state('behind'), 'behind');
    await page.keys(END);
    await page.until(state('live'), 'live again');
    store.away = true;
    await page.until(state('waiting'), 'an outage');
    store.away = false;
    await page.until(state('live'), 'live again by itself');
    await page.value(goOn(1));
    store.end();
    await page.until(state('ended'), 'it becomes a recording');
    await look(store, '&title=again#t=5');
    await page.until(`${state('ended')} && ${position} >= 5 && document.querySelector('video').played.length > 0`, 'at a moment');
    assert.ok(await page.value("document.querySelector('video').played.start(0)") > 4.8);
  });

  test('settings, sharing, statistics, letters; what is wrong is said', { skip }, async () => {
    const store = await grow();
    store.finish();
    await look(store);
    await page.until(state('ended'), 'a recording');
    await page.value("document.querySelector('#player').focus()");
    await page.keys('i');
    await page.until("document.querySelector('#delay').offsetParent !== null", 'statistics');
    await page.keys('\uE00C');
    await page.until("document.querySelector('#delay').offsetParent === null", 'Escape closes them');
    await page.value("document.querySelector('#player').focus()");
    await page.keys('l');
    await page.until(`${position} >= 9`, 'L goes on');
    await page.value("document.querySelector('#share').click()");
    assert.match(await page.value("document.querySelector('#command').value"), /^reader live\.mp4 live\.mp4$/);
    const closed = await grow();
    closed.cors = false;
    closed.begin();
    await look(closed);
    await page.until(`${state('error')} && ${shows('has no CORS rule that allows a page at')}`, 'it says so');
    closed.cors = true;
    await page.value("document.querySelector('#retry').click()");
    await page.until(state('live'), 'and goes on');
  });

  test('renditions: a switch by hand', { skip }, async () => {
    const store = await lab.growRenditions(['640x360', '320x180']);
    store.begin();
    await look(store, '', 'master.m3u8');
    await page.until(state('live'), 'live playback');
    for (const height of [180, 360]) {
      await chooseQuality(page, height);
    }
  });
});

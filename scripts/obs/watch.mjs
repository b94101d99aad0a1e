// Whether a browser plays the page at this link, live, for some seconds; and a picture of that.
//
//   node scripts/obs/watch.mjs LINK [PICTURE.png]      skipped where there is no Chromium
import { writeFileSync } from 'node:fs';

import { Chromium, PATIENCE } from '../../tests/browser/chromium.mjs';
import { findChromium } from '../browsers.mjs';

const [link, picture] = process.argv.slice(2);
const program = findChromium();
if (!program) {
  console.log('check-obs: no Chromium: nobody watches');
  process.exit(0);
}
const browser = await Chromium.start(program);
try {
  const page = await browser.open(link);
  await page.until("document.querySelector('main').dataset.state === 'live' && document.querySelector('#video').currentTime > 4 && !document.querySelector('#video').paused", 'it plays live', PATIENCE);
  const from = await page.value("document.querySelector('#video').currentTime");
  await page.until(`document.querySelector('#video').currentTime > ${from} + 3`, 'it goes on', PATIENCE);
  console.log('check-obs: Chromium plays it live');
  if (picture) writeFileSync(picture, await page.screenshot());
} finally {
  await browser.close();
}

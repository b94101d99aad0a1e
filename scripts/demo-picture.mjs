// Makes docs/demo-web.png: what `make demo-web` shows in a browser.
//
//   node scripts/demo-picture.mjs [FILE]      needs the tools (make build), ffmpeg and Chromium
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { Chromium, PATIENCE } from '../tests/browser/chromium.mjs';
import { findChromium } from './browsers.mjs';

const top = fileURLToPath(new URL('..', import.meta.url));
const file = process.argv[2] ?? path.join(top, 'docs/demo-web.png');
const most = 150_000; // bytes, in a repository
const size = { width: 1000, height: 640, deviceScaleFactor: 1, mobile: false };

/** The link that the demo prints. */
async function linkOf(demo) {
  for await (const line of createInterface({ input: demo.stdout })) {
    const link = /^\s+(http:\S+)$/.exec(line);
    if (link) return link[1];
  }
  throw new Error('the demo has ended without a link');
}

const work = mkdtempSync(path.join(tmpdir(), 'live-read-picture-'));
const demo = spawn(path.join(top, 'scripts/demo-web.sh'), { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, DEMO_SECONDS: '600', DEMO_CHECK: '' } });
const ended = once(demo, 'exit');
let browser;
try {
  const link = await linkOf(demo);
  browser = await Chromium.start(findChromium() ?? 'chromium');
  const page = await browser.open(link);
  await page.send('Emulation.setDeviceMetricsOverride', size);
  await page.until("document.querySelector('main').dataset.state === 'live' && document.querySelector('#video').currentTime > 12 && !document.querySelector('#video').paused && document.querySelector('#spin').hidden", 'it plays live', PATIENCE);
  // The controls come with the mouse.
  for (const x of [500, 520]) await page.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y: 300 });
  await page.until("getComputedStyle(document.querySelector('#controls')).opacity === '1' && document.querySelector('#spin').hidden", 'the controls are there');
  const shot = path.join(work, 'shot.png');
  writeFileSync(shot, await page.screenshot());
  // Few colours: the picture has noise in it, so that it does not compress to nothing on its way.
  const { status } = spawnSync('ffmpeg', ['-loglevel', 'error', '-nostdin', '-y', '-i', shot,
    '-vf', 'split[a][b];[a]palettegen=max_colors=128:reserve_transparent=0[p];[b][p]paletteuse=dither=none', file], { stdio: 'inherit' });
  const bytes = statSync(file).size;
  if (status !== 0 || bytes > most) throw new Error(`${file} has ${bytes} bytes; ${most} are the most`);
  console.log(`${file}: ${bytes} bytes`);
} finally {
  await browser?.close();
  demo.kill('SIGTERM');
  await ended;
  rmSync(work, { recursive: true, force: true });
}

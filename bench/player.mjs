// Plays a private object by hls.js from `reader --serve` while it is recorded, and prints how far behind the camera that was, and
// how often it stood still:
//
//   node bench/player.mjs SECONDS
import process from 'node:process';

import { Lab, skip } from '../tests/browser/lab.mjs';
import { median, watch } from '../tests/browser/watched.mjs';

/** Seconds in which it finds its place. */
const SETTLES = 10;

const seconds = Number(process.argv[2]);
if (skip) throw new Error(skip);
const lab = await Lab.open();
try {
  const { env } = await lab.store('private', ['--listen', '127.0.0.1:0', '--bucket', 'private']);
  const { writer, camera, page, behind } = await watch(lab, env, await lab.gateway(env));
  const figures = await behind(SETTLES, seconds);
  const stalls = await page.value('stalls');
  const errors = await page.value('[...new Set(errors)]');
  if (stalls.length + errors.length > 0) console.error(`stalls at ${stalls.join()}; ${errors.join()}`);
  console.log(JSON.stringify({ seconds, stalls: stalls.length, errors, p50: median(figures), worst: Math.max(...figures) }));
  camera.kill('SIGTERM');
  await writer.ended;
} finally {
  await lab.close();
}

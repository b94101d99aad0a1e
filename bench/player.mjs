// Plays a private object by hls.js from `reader --serve` while it is recorded, and prints how far behind the camera that was, and
// how often it stood still:
//
//   node bench/player.mjs SECONDS
import path from 'node:path';
import process from 'node:process';

import { Lab, built, skip, sleep } from '../tests/browser/lab.mjs';

/** Seconds in which it finds its place. */
const SETTLES = 10;

const seconds = Number(process.argv[2]);
if (skip) throw new Error(skip);
const lab = await Lab.open();
try {
  const { env } = await lab.store('private', ['--listen', '127.0.0.1:0', '--bucket', 'private']);
  const url = await lab.gateway(env);
  const writer = lab.start(path.join(built, 'writer'), ['live.mp4', '--max-latency', '1s'], { env });
  const camera = lab.start('ffmpeg', [
    '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25', '-re', '-f', 'lavfi', '-i', 'sine',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '50', '-pix_fmt', 'yuv420p',
    '-c:a', 'aac', '-f', 'mp4', '-movflags', 'empty_moov+frag_keyframe+default_base_moof', '-frag_duration', '500000', '-',
  ]);
  // How much has been recorded: a fragment is given away when its half second is over.
  let [fragments, tail, newest] = [0, '', 0];
  camera.stdout.on('data', (data) => {
    const text = tail + data.toString('latin1');
    const count = (text.match(/moof[^]{4}mfhd/g) ?? []).length;
    if (count > 0) [fragments, newest] = [fragments + count, Date.now()];
    tail = text.slice(-11);
  });
  camera.stdout.pipe(writer.stdin);
  const page = await lab.browser.open(`${url}healthz`);
  await page.value(`(async () => {
    const list = '/hls/live.mp4/index.m3u8';
    while ((await fetch(list)).status !== 200) await new Promise((resolve) => { setTimeout(resolve, 200); });
    await new Promise((resolve, reject) => {
      const script = document.createElement('script');
      Object.assign(script, { src: ${JSON.stringify(`${lab.address}page/vendor/hls.min.js`)}, onload: resolve, onerror: reject });
      document.head.append(script);
    });
    document.body.innerHTML = '<video muted autoplay></video>';
    const video = document.querySelector('video');
    window.stalls = [];
    window.errors = [];
    window.hls = new Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.2 });
    hls.on(Hls.Events.ERROR, (event, data) => errors.push(data.details));
    video.addEventListener('waiting', () => stalls.push(video.currentTime));
    hls.loadSource(list);
    hls.attachMedia(video);
  })()`);
  await page.until('document.querySelector("video").currentTime > 0', 'it plays');
  await sleep(SETTLES);
  await page.value('stalls.length = 0; errors.length = 0');
  const behind = [];
  for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
    await sleep(1);
    const current = await page.value('document.querySelector("video").currentTime');
    behind.push(fragments / 2 + Math.min((Date.now() - newest) / 1000, 0.5) - current);
  }
  const stalls = await page.value('stalls');
  const errors = await page.value('[...new Set(errors)]');
  if (stalls.length + errors.length > 0) console.error(`stalls at ${stalls.join()}; ${errors.join()}`);
  behind.sort((a, b) => a - b);
  console.log(JSON.stringify({ seconds, stalls: stalls.length, errors, p50: behind[behind.length >> 1], worst: behind.at(-1) }));
  camera.kill('SIGTERM');
  await writer.ended;
} finally {
  await lab.close();
}

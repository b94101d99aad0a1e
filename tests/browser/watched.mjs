// A camera whose pictures are written into a private object, what plays them by a gateway (hls.js, or the page of the gateway), and
// how far it is behind.
import path from 'node:path';

import { built, sleep } from './lab.mjs';

/**
 * Records for so many seconds, or until the camera is ended, and plays, by hls.js alone or by the gateway's `own` page: who records,
 * the page, and what tells how far behind it is.
 */
export async function watch(lab, env, url, seconds, { key = 'live.mp4', more = [], own = false } = {}) {
  const writer = lab.start(path.join(built, 'writer'), [key, '--max-latency', '1s', ...more], { env });
  const camera = lab.start('ffmpeg', [
    '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25', '-re', '-f', 'lavfi', '-i', 'sine',
    ...(seconds ? ['-t', String(seconds)] : []),
    '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '50', '-pix_fmt', 'yuv420p',
    '-c:a', 'aac', '-f', 'mp4', '-movflags', 'empty_moov+frag_keyframe+default_base_moof', '-frag_duration', '500000', '-',
  ]);
  // How much has been recorded: a fragment is given away when its half second is over. On a busy machine the camera is late.
  let [fragments, tail, newest] = [0, '', 0];
  camera.stdout.on('data', (data) => {
    const text = tail + data.toString('latin1');
    const count = (text.match(/moof[^]{4}mfhd/g) ?? []).length;
    if (count > 0) [fragments, newest] = [fragments + count, Date.now()];
    tail = text.slice(-11);
  });
  camera.stdout.pipe(writer.stdin);
  const page = own ? await openOwn(lab, url, key) : await openBare(lab, url, key);
  await page.until('document.querySelector("video").currentTime > 0', 'it plays');

  /** Seconds behind the camera, a second apart, once it has had a while to find its place; what befell it until then is forgotten. */
  async function behind(settles, count) {
    await sleep(settles);
    await page.value('stalls.length = 0; errors.length = 0');
    const figures = [];
    for (const end = Date.now() + count * 1000; Date.now() < end;) {
      await sleep(1);
      const current = await page.value('document.querySelector("video").currentTime');
      figures.push(fragments / 2 + Math.min((Date.now() - newest) / 1000, 0.5) - current);
    }
    return figures;
  }

  return { writer, camera, page, behind };
}

/** The gateway's page, once there is something to play. */
async function openOwn(lab, url, key) {
  const page = await lab.browser.open(`${url}play/${key}`);
  await page.until('document.readyState === "complete"', 'the page');
  await page.value(`window.stalls = []; window.errors = [];
    document.querySelector('video').addEventListener('waiting', (event) => stalls.push(event.target.currentTime)); 0`);
  return page;
}

/** hls.js in a page with nothing else. */
async function openBare(lab, url, key) {
  const page = await lab.browser.open(`${url}healthz`);
  await page.value(`(async () => {
    const list = '/hls/${key}/index.m3u8';
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
    // What it took to begin is a delay that hls.js keeps for ever, unless it may play a little faster until it is where the
    // playlist has it (PART-HOLD-BACK).
    window.hls = new Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.2 });
    hls.on(Hls.Events.ERROR, (event, data) => errors.push(data.details));
    video.addEventListener('waiting', () => stalls.push(video.currentTime));
    hls.loadSource(list);
    hls.attachMedia(video);
  })()`);
  return page;
}

/** The one in the middle. */
export function median(figures) {
  return figures.toSorted((a, b) => a - b)[figures.length >> 1];
}

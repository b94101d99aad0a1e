// Plays a playlist or a manifest in a browser, to its end, and prints how many pictures came.
//
//   node play.mjs chromium|firefox hls|shaka|videojs|dash|mss|dash-switch|mss-switch ADDRESS
//
// What ends in -switch goes from one rendition to another all the time, and fails unless pictures of several sizes came.
//
// The page and the playlist come from one origin: what is below /store/ is fetched from ADDRESS's store.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { findChromium, findFirefox } from '../browsers.mjs';

/** Seconds after which a player has had its chance. */
const PATIENCE = 90;

/** Seconds after which what stands still has come to its end, where a player does not tell. */
const STILL = 15;

const here = path.dirname(fileURLToPath(import.meta.url));
const modules = path.join(here, 'node_modules');
const files = {
  hls: path.join(here, '../../page/vendor/hls.min.js'),
  shaka: path.join(modules, 'shaka-player/dist/shaka-player.compiled.js'),
  videojs: path.join(modules, 'video.js/dist/video.min.js'),
  dash: path.join(modules, 'dashjs/dist/modern/umd/dash.all.min.js'),
  mss: ['dash.all.min.js', 'dash.mss.min.js'].map((name) => path.join(modules, 'dashjs/dist/modern/umd', name)),
};
const begin = {
  hls: 'const hls = new Hls(); hls.on(Hls.Events.ERROR, (_, e) => { if (e.fatal) fail(e.details); }); hls.loadSource(src); hls.attachMedia(video);',
  shaka: 'const player = new shaka.Player(); player.addEventListener("error", (e) => fail(`${e.detail.code} ${e.detail.data}`)); player.attach(video).then(() => player.load(src)).catch((e) => fail(`${e.code} ${e.data}`));',
  videojs: 'const player = videojs(video, { html5: { vhs: { overrideNative: true } } }); player.on("error", () => fail(player.error().message)); player.src({ src, type: "application/vnd.apple.mpegurl" });',
  dash: 'const player = dashjs.MediaPlayer().create(); player.on("error", (e) => fail(JSON.stringify(e.error))); player.initialize(video, src, true);',
};
// What was live dash.js never takes for finished: there the end is that nothing more is shown for so many seconds.
begin.mss = `${begin.dash}
let shown = 0, since = Date.now();
setInterval(() => {
  const pictures = media().getVideoPlaybackQuality().totalVideoFrames;
  if (pictures !== shown) [shown, since] = [pictures, Date.now()];
  else if (shown > 0 && Date.now() - since > ${STILL * 1000}) tell({ pictures, why: wrong() });
}, 500);`;

// It has little in its buffer, so that what is chosen is soon seen.
const switching = `player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } },
  buffer: { bufferTimeDefault: 4, bufferTimeAtTopQuality: 4, bufferTimeAtTopQualityLongForm: 4, initialBufferLevel: 2 } } });
let at = 0;
const sizes = new Set();
wrong = () => (sizes.size > 1 ? undefined : \`all pictures were as wide: \${[...sizes]}\`);
setInterval(() => {
  const all = player.isReady() ? player.getRepresentationsByType('video') : [];
  if (all.length > 1) player.setRepresentationForTypeByIndex('video', (at += 1) % all.length);
}, 3000);
setInterval(() => { if (media().videoWidth > 0) sizes.add(media().videoWidth); }, 100);`;
for (const name of ['dash', 'mss']) {
  [files[`${name}-switch`], begin[`${name}-switch`]] = [files[name], `${begin[name]}\n${switching}`];
}

const [browser, player, address] = process.argv.slice(2);
if (!begin[player] || !address) {
  console.error('usage: play.mjs chromium|firefox hls|shaka|videojs|dash|mss|dash-switch|mss-switch ADDRESS');
  process.exit(2);
}
const target = new URL(address);

const page = `<!doctype html><meta charset="utf-8"><body><video id="video" muted playsinline width="640" height="360"></video>
<script src="/player.js"></script>
<script>
const video = document.getElementById('video'), src = location.origin + ${JSON.stringify(`/store${target.pathname}`)};
const tell = (what) => fetch('/tell', { method: 'POST', body: JSON.stringify(what) });
const fail = (why) => tell({ why: String(why) });
onerror = (message) => fail(message);
const media = () => document.querySelector('video');
let wrong = () => undefined;
addEventListener('ended', () => tell({ pictures: media().getVideoPlaybackQuality().totalVideoFrames, why: wrong() }), true);
addEventListener('canplay', () => media().play().catch(fail), true);
${begin[player]}
</script>`;

let told;
const answer = new Promise((resolve) => { told = resolve; });
const server = createServer((asked, response) => {
  if (asked.url === '/tell') {
    let body = '';
    asked.on('data', (bytes) => { body = (body + bytes).slice(0, 1000); });
    asked.on('end', () => { response.end(); told(JSON.parse(body)); });
  } else if (asked.url.startsWith('/store/')) {
    const { range } = asked.headers;
    const options = { host: target.hostname, port: target.port, path: asked.url.slice('/store'.length), headers: range ? { range } : {} };
    request(options, (stored) => { response.writeHead(stored.statusCode, stored.headers); stored.pipe(response); })
      .on('error', () => { response.writeHead(502).end(); }).end();
  } else if (asked.url === '/player.js') {
    response.writeHead(200, { 'content-type': 'text/javascript' }).end([files[player]].flat().map((name) => readFileSync(name, 'utf8')).join('\n;\n'));
  } else if (asked.url === '/') {
    response.writeHead(200, { 'content-type': 'text/html' }).end(page);
  } else response.writeHead(404).end();
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const start = `http://127.0.0.1:${server.address().port}/`;

const profile = mkdtempSync(path.join(tmpdir(), 'live-read-player-'));
let command;
if (browser === 'firefox') {
  writeFileSync(path.join(profile, 'user.js'), [['media.autoplay.default', 0], ['browser.shell.checkDefaultBrowser', false],
    ['datareporting.policy.dataSubmissionEnabled', false], ['browser.aboutwelcome.enabled', false], ['app.normandy.enabled', false],
    ['network.captive-portal-service.enabled', false], ['network.connectivity-service.enabled', false],
  ].map(([key, value]) => `user_pref(${JSON.stringify(key)}, ${JSON.stringify(value)});\n`).join(''));
  command = [findFirefox() ?? 'firefox', '--headless', '--no-remote', '--profile', profile, start];
} else {
  command = [findChromium() ?? 'chromium', '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', `--user-data-dir=${profile}`, start];
}
const running = spawn(command[0], command.slice(1), { stdio: 'ignore', detached: true, env: { ...process.env, HOME: profile } });
running.on('error', (error) => told({ why: error.message }));
running.on('exit', (status) => told({ why: `the browser ended with ${status}` }));
const late = setTimeout(() => told({ why: `no end within ${PATIENCE} s` }), PATIENCE * 1000);
const { pictures, why } = await answer;
clearTimeout(late);
try {
  process.kill(-running.pid, 'SIGKILL');
} catch {
  // It has ended by itself.
}
server.closeAllConnections();
server.close();
rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
if (why !== undefined) console.error(`${browser}, ${player}: ${why}`);
console.log(pictures ?? 0);
process.exit(why === undefined ? 0 : 1);

// Begins: waits for the playlist, and plays it by hls.js or by the browser's own player.
'use strict';

function script(url) {
  return new Promise((resolve, reject) => {
    const tag = document.createElement('script');
    tag.src = url;
    tag.onload = resolve;
    tag.onerror = () => { tag.remove(); reject(new Error(url)); };
    document.head.append(tag);
  });
}
const library = script('node_modules/hls.js/dist/hls.min.js').catch(() => script('hls.min.js')).catch(() => {});
let beginning = 0;

async function begin() {
  const turn = beginning += 1;
  failed = false;
  for (let attempt = 0; turn === beginning; attempt += 1) {
    let trouble;
    try {
      const answer = await request(source.href);
      if (turn !== beginning) return;
      const text = answer.data;
      if (/^#EXTM3U/.test(text) && /^#EXTINF|^#EXT-X-STREAM-INF/m.test(text)) {
        settled('playlist');
        first = { data: text, url: answer.url };
        if (answer.url !== source.href) first = null; // hls.js asks for the first address
        return await play(text);
      }
      // Perhaps just being written; but a page of some other kind never becomes one.
      trouble = new Trouble(text.trim() && !text.startsWith('#EXTM3U') ? 'other' : 'begin', { url: source.href });
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      trouble = error;
    }
    if (trouble.kind === 'other') return fail(...words.other(trouble));
    troubled('playlist', trouble);
    await sleep(trouble.kind === 'begin' ? (attempt < 120 ? 1 : 3) : pause(trouble, attempt));
  }
}

/** Plays the other playlist: the whole recording, or what is live. */
async function change(to, position) {
  if (to === whole) {
    try {
      await request(whole.href);
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      flash = 'There is no recording of the whole beside this playlist.';
      setTimeout(() => { flash = ''; view(); }, 4000);
      return view();
    }
  }
  list = to;
  details = null;
  refresh = true;
  follow.restart(to === source);
  hls.config.startPosition = position;
  hls.loadSource(to.href);
}
let flash = '';

function fail(title, detail) {
  beginning += 1;
  failed = { title, detail };
  hls?.destroy();
  hls = null;
  view();
}

async function play(text) {
  await library;
  const native = video.canPlayType('application/vnd.apple.mpegurl') !== '';
  if (window.Hls?.isSupported() && query.get('player') !== 'native') return playWithHls();
  if (native) return playNative(text);
  if (!window.Hls) return fail('hls.js is not beside this page', 'Put hls.min.js into the directory of index.html, or run “make page”.');
  return fail('This browser cannot play the stream', 'It has no Media Source Extensions. Any current browser has.');
}

// ---------------------------------------------------------------- by hls.js

function playWithHls() {
  hls?.destroy();
  const { Events, ErrorTypes, ErrorDetails } = Hls;
  let mended = [];
  delivered.clear();
  hls = new Hls({
    pLoader: PlaylistLoader,
    fLoader: MediaLoader,
    lowLatencyMode: false,
    liveSyncDuration: follow.hold,
    liveSyncOnStallIncrease: 0,
    maxBufferLength: 30,
    backBufferLength: 60,
    capLevelToPlayerSize: true,
    abrEwmaDefaultEstimate: 2e6,
  });
  const listed = (kind) => (_, data) => {
    if (kind === 'main') {
      details = data.details;
      ended = !details.live;
      started = true;
    }
    follow.listed(kind, data.level ?? data.id, data.details, now());
    view();
  };
  hls.on(Events.LEVEL_UPDATED, listed('main'));
  hls.on(Events.AUDIO_TRACK_UPDATED, listed('audio'));
  hls.on(Events.MANIFEST_PARSED, () => {
    qualities();
    // Of a stream that has just begun there is not enough for the first pause; better to wait now than then.
    if (follow.lacking > 0.5) holding = now() + follow.lacking;
    else start();
  });
  hls.on(Events.LEVEL_SWITCHED, qualities);
  hls.on(Events.LEVELS_UPDATED, qualities);
  hls.on(Events.FRAG_LOADED, (_, { frag }) => {
    if (frag.sn === 'initSegment' || frag.type !== 'main') return;
    const { loading } = frag.stats;
    follow.loads = [...follow.loads, (loading.end - loading.start) / 1000].slice(-8);
    if (frag.duration > 0) rates = [...rates, { bytes: frag.stats.total, seconds: frag.duration }].slice(-6);
  });
  hls.on(Events.ERROR, (_, data) => {
    if (data.details === ErrorDetails.BUFFER_STALLED_ERROR && follow.on && !troubles.size) {
      follow.reserve = Math.min(follow.reserve + 0.4, 4);
    }
    if (!data.fatal) return;
    if ([ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR, ErrorDetails.BUFFER_ADD_CODEC_ERROR, ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR].includes(data.details)) {
      const codecs = [data.mimeType, ...new Set(hls.levels.map((one) => one.attrs.CODECS))].filter(Boolean).join(', ');
      return fail('This browser cannot decode the video', `${codecs || data.error?.message || data.details}.\nH.264 with AAC plays in every browser.`);
    }
    if (data.type === ErrorTypes.MEDIA_ERROR) {
      mended = [...mended.filter((at) => now() - at < 30), now()];
      if (mended.length > 3) {
        return fail('The video cannot be decoded', `${data.details}: ${data.error?.message || video.error?.message || 'no reason given'}`);
      }
      refresh = true;
      return hls.recoverMediaError();
    }
    if (data.type === ErrorTypes.NETWORK_ERROR && hls.levels.length) {
      // Nothing else to load from: again, where it was.
      const mine = hls;
      return sleep(3).then(() => { if (hls === mine) { refresh = true; hls.startLoad(); } });
    }
    return fail('The stream cannot be played', `${data.details}${data.error ? `: ${data.error.message}` : ''}`);
  });
  rates = [];
  list = source;
  hls.loadSource(source.href);
  hls.attachMedia(video);
}
let rates = [];  // bytes and seconds of the last fragments
let holding = 0; // when to start, if not at once

// ---------------------------------------------------------------- by the browser's own player (Safari without MSE)

async function playNative(text) {
  // It sends no header of ours, so it can read byte ranges only of what is finished.
  let list = text;
  const turn = beginning;
  for (;;) {
    let url = source.href;
    try {
      const variant = /^#EXT-X-STREAM-INF.*\r?\n(?:#.*\r?\n)*([^#\r\n]+)/m.exec(list)?.[1];
      if (variant) {
        url = new URL(variant.trim(), source).href;
        list = (await request(url)).data;
      }
      if (turn !== beginning) return;
      settled('playlist');
      if (/^#EXT-X-ENDLIST/m.test(list) || !/^#EXT-X-BYTERANGE/m.test(list)) break;
      waiting = ['The stream is live',
        'This browser’s own player cannot read an object that is still being written. It plays here when it has ended; other browsers play it now.'];
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      troubled('playlist', error);
    }
    view();
    await sleep(5);
    list = await request(source.href).then((answer) => answer.data, () => list);
  }
  waiting = null;
  ended = /^#EXT-X-ENDLIST/m.test(list);
  video.src = source.href;
  video.onloadedmetadata = () => { started = true; start(); view(); };
  video.ondurationchange = () => { ended = Number.isFinite(video.duration); view(); };
  video.onerror = () => {
    const { code, message } = video.error ?? {};
    if (code > 2) return fail('This browser’s own player cannot play the stream', message || 'It does not say why.');
    troubled('media', new Trouble('away', { url: source.href, media: true }));
    return sleep(3).then(() => { settled('media'); begin(); });
  };
}
let waiting = null;

function start() {
  holding = 0;
  // Without sound, which every browser allows; with a click for the others.
  video.play().catch(() => view());
}

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
/**
 * hls.js, which is there in two sizes. The light one has no captions, no sound tracks of their own, no keys, and knows of MPEG
 * transport streams only the common codecs. It is loaded while the playlist is asked for, as most need no more.
 */
const BUILDS = { light: ['hls.light.min.js', 'hls.min.js'], whole: ['hls.min.js'] };
const libraries = new Map();
/** Where it may be. Whoever made this page may say where; then there is no other. */
function places(build) {
  const place = document.querySelector('meta[name="live-read-library"]')?.content;
  return place ? [place] : BUILDS[build].flatMap((name) => ['page/vendor/', ''].map((folder) => folder + name));
}
function library(build) {
  if (!libraries.has(build)) {
    const found = (async () => {
      for (const address of places(build)) {
        try {
          await script(address);
          return { name: address.split('/').pop(), Hls: window.Hls };
        } catch {
          // Perhaps in another place.
        }
      }
      libraries.delete(build); // so that it is looked for again
      return { name: null, Hls: undefined };
    })();
    libraries.set(build, found);
  }
  return libraries.get(build);
}
/** Whether the light build plays what this playlist, the first one, lists. */
function simple(text) {
  if (/^#EXT-X-(DEFINE|SESSION-KEY|CONTENT-STEERING|MEDIA:)/m.test(text)) return false;
  if (/^#EXT-X-KEY:(?!METHOD=NONE)/m.test(text) || /CLASS="com\.apple\.hls\.interstitial"/.test(text)) return false;
  const variants = [...text.matchAll(/^#EXT-X-STREAM-INF:(.*)$/gm)].map((one) => /CODECS="([^"]*)"/.exec(one[1])?.[1] ?? 'unknown');
  if (variants.length) return variants.every((codecs) => codecs.split(',').every((one) => /^\s*(avc1|mp4a)\./.test(one)));
  return /^#EXT-X-MAP:/m.test(text);
}
const native = () => video.canPlayType('application/vnd.apple.mpegurl') !== '';
const extensions = () => 'ManagedMediaSource' in window || 'MediaSource' in window;
const byItself = () => native() && (query.get('player') === 'native' || !extensions());
let Hls;
let beginning = 0;

async function begin() {
  const turn = beginning += 1;
  failed = false;
  if (!byItself()) library('light');
  for (let attempt = 0; turn === beginning; attempt += 1) {
    let trouble;
    try {
      const answer = await request(source.href);
      if (turn !== beginning) return;
      const text = answer.data;
      const wrong = /^#EXTM3U/.test(text) && (/^#EXT-X-STREAM-INF/m.test(text) ? masterFlaw(text) : /^#EXTINF/m.test(text) ? flaw(text) : null);
      if (wrong) trouble = new Trouble('malformed', { url: source.href, reason: wrong });
      else if (/^#EXTM3U/.test(text) && /^#EXTINF|^#EXT-X-STREAM-INF/m.test(text)) {
        settled('playlist');
        first = { data: text, url: answer.url };
        if (answer.url !== source.href) first = null; // hls.js asks for the first address
        return await play(text);
      }
      // Perhaps just being written; but a page of some other kind never becomes one.
      trouble ??= new Trouble(text.trim() && !text.startsWith('#EXTM3U') ? 'other' : 'begin', { url: source.href });
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      trouble = error;
    }
    if (trouble.kind === 'other') return fail(...words.other(trouble));
    if (plain && (trouble.kind === 'begin' || trouble.status === 415) && await isThere(plain)) {
      if (turn === beginning) playAlone(plain);
      return;
    }
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
      return tell(tr('There is no recording of the whole.'));
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
let telling = 0;
/** A line over the picture, for some seconds. */
function tell(text) {
  flash = text;
  clearTimeout(telling);
  telling = setTimeout(() => { flash = ''; view(); }, 5000);
  view();
}

/** Nothing more is tried until somebody asks; `again`: whether asking may help. */
function fail(title, detail = '', operator = '', again = true) {
  beginning += 1;
  failed = { title, detail, operator, again };
  hls?.destroy();
  hls = null;
  view();
}

async function play(text) {
  const turn = beginning;
  if (byItself()) return playNative(text);
  const build = simple(text) ? 'light' : 'whole';
  const found = await library(build);
  if (turn !== beginning) return;
  ({ Hls } = found);
  main.dataset.library = found.name;
  if (Hls?.isSupported()) {
    const { to, at } = await whereToBegin(text);
    return turn === beginning ? playWithHls(to, at) : undefined;
  }
  if (!Hls) return fail(tr('The player is not complete'), '', 'hls.js is not beside this page: it belongs into the folder page/vendor.');
  return fail(tr('This browser cannot play the stream'), tr('Any current browser can.'), 'It has no Media Source Extensions.', false);
}

// ---------------------------------------------------------------- by hls.js

function playWithHls(to = source, at = -1) {
  hls?.destroy();
  const { Events, ErrorTypes, ErrorDetails } = Hls;
  let mended = [];
  delivered.clear();
  hls = new Hls({
    renderTextTracksNatively: true,
    pLoader: PlaylistLoader,
    fLoader: MediaLoader,
    lowLatencyMode: false, // until a list has parts
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
  silent = null;
  hls.on(Events.BUFFER_CODECS, (_, { audio, video: picture, audiovideo }) => {
    if (audio || audiovideo) silent = !audio && !/mp4a|opus|[ae]c-[34]|flac|mp3/i.test(audiovideo.codec ?? 'mp4a');
    else if (picture && silent === null) silent = !hls.audioTracks?.length;
  });
  hls.on(Events.AUDIO_TRACKS_UPDATED, soundTracks);
  hls.on(Events.AUDIO_TRACK_SWITCHED, soundTracks);
  hls.on(Events.LEVEL_UPDATED, (_, { details: { live } }) => { if (live || hls.levels.length) settled('list'); });
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
  hls.on(Events.FRAG_LOADING, (_, { frag, part }) => {
    if (frag.sn !== 'initSegment' && frag.type === 'main') follow.loading = { at: now(), seconds: (part ?? frag).duration || 1 };
  });
  hls.on(Events.FRAG_LOAD_EMERGENCY_ABORTED, () => { follow.loading = null; });
  hls.on(Events.FRAG_LOADED, (_, { frag, part }) => {
    if (frag.sn === 'initSegment' || frag.type !== 'main') return;
    const { duration, stats: { loading, total } } = part ?? frag;
    follow.loading = null;
    if (duration > 0) {
      follow.paces = [...follow.paces, { took: Math.max(0.001, (loading.end - loading.start) / 1000), seconds: duration, bytes: total }].slice(-4);
    }
    follow.loads = [...follow.loads, (loading.end - loading.start) / 1000].slice(-8 * follow.finer);
    if (duration > 0) rates = [...rates, { bytes: total, seconds: duration }].slice(-6);
  });
  hls.on(Events.ERROR, (_, data) => {
    if (data.details === ErrorDetails.BUFFER_STALLED_ERROR && follow.on && !troubles.size) {
      follow.reserve = Math.min(follow.reserve + 0.4, 4);
    }
    if (!data.fatal) return;
    if ([ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR, ErrorDetails.BUFFER_ADD_CODEC_ERROR, ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR].includes(data.details)) {
      const codecs = [data.mimeType, ...new Set(hls.levels.map((one) => one.attrs.CODECS))].filter(Boolean).join(', ');
      return fail(tr('This browser cannot decode the video'), codecs, `${codecs || shown(data.error?.message || data.details)}. H.264 with AAC plays in every browser.`);
    }
    if (data.type === ErrorTypes.MEDIA_ERROR) {
      mended = [...mended.filter((at) => now() - at < 30), now()];
      if (mended.length > 3) {
        return fail(tr('The video cannot be decoded'), '', `${data.details}: ${shown(data.error?.message || video.error?.message || 'no reason given')}`);
      }
      refresh = true;
      return hls.recoverMediaError();
    }
    if (data.type === ErrorTypes.NETWORK_ERROR && hls.levels.length) {
      if ([ErrorDetails.LEVEL_PARSING_ERROR, ErrorDetails.LEVEL_EMPTY_ERROR, ErrorDetails.MANIFEST_PARSING_ERROR].includes(data.details)) {
        troubled('list', new Trouble('malformed', { url: data.url || data.context?.url || list.href, media: false, reason: shown(data.error?.message ?? data.details) }));
      }
      // Nothing else to load from: again, where it was.
      const mine = hls;
      return sleep(3).then(() => { if (hls === mine) { refresh = true; hls.startLoad(); } });
    }
    return fail(tr('The stream cannot be played'), '', shown(`${data.details}${data.error ? `: ${data.error.message}` : ''}`));
  });
  rates = [];
  list = to;
  if (to !== source) first = null;
  if (at >= 0) follow.restart(false);
  hls.config.startPosition = at;
  hls.loadSource(to.href);
  hls.attachMedia(video);
}
let silent = null; // whether the stream has no sound; null while that is unknown
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
      const variant = variantOf(list);
      if (variant) {
        url = variant;
        list = (await request(url)).data;
      }
      if (turn !== beginning) return;
      settled('playlist');
      if (/^#EXT-X-ENDLIST/m.test(list) || !/^#EXT-X-BYTERANGE/m.test(list)) break;
      waiting = [tr('The stream is live'),
        tr('This browser’s own player cannot read an object that is still being written. It plays here when it has ended; other browsers play it now.')];
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
  playAlone(source);
}
/** The browser by itself plays what is at this address. */
function playAlone(url) {
  settled('playlist');
  video.src = url.href;
  video.onloadedmetadata = () => { started = true; start(); view(); };
  video.ondurationchange = () => { ended = Number.isFinite(video.duration); view(); };
  video.onerror = () => {
    const { code, message } = video.error ?? {};
    if (code > 2) return fail(tr('This browser’s own player cannot play the stream'), '', shown(message || 'It does not say why.'));
    troubled('media', new Trouble('away', { url: url.href, media: true }));
    return sleep(3).then(() => { settled('media'); begin(); });
  };
}
/** Whether an object can be read. */
async function isThere(url) {
  return fetch(url, { method: 'HEAD' }).then((answer) => answer.ok, () => false);
}
let waiting = null;

/** Plays; what browsers allow without a click is without sound. */
function start(byHand = false) {
  holding = 0;
  if (!byHand && untouched && !wants('autoplay', true)) return view();
  // Who had the sound on last time gets it if the browser lets this page.
  const loud = untouched && video.muted && (remembered.get('sound') === 'on' || query.get('muted') === '0');
  if (loud) video.muted = false;
  return video.play().then(() => { untouched = false; }, (error) => {
    if (!loud || error.name !== 'NotAllowedError') return view();
    video.muted = true;
    return video.play().then(() => { untouched = false; }, () => view());
  });
}
let untouched = true; // it has not played yet

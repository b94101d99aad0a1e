// Requests that go on until they succeed, as hls.js makes them, and when a playlist grows.
'use strict';

const wakers = new Set();
const wake = () => { for (const one of [...wakers]) one(); };
addEventListener('online', wake);

/** Waits; less if the connection comes back or somebody asks. */
function sleep(seconds, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      wakers.delete(end);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, seconds * 1000);
    wakers.add(end);
    signal?.addEventListener('abort', end);
  });
}
/** Seconds until the next attempt: the store is not asked more often the longer it is away. */
function pause({ kind }, attempt) {
  if (kind === 'notyet' || kind === 'short') return 1;
  if (['cors', 'private', 'mixed', 'other', 'refused', 'ranges', 'malformed'].includes(kind)) return 10;
  return Math.min(1 + attempt * 0.25, kind === 'away' || kind === 'offline' ? 3 : 5);
}

/** What hls.js loads with. It sees no failed request, only some that take long; the page sees every one. */
class Loader {
  constructor() {
    this.context = null;
    this.callbacks = null;
    this.gone = new AbortController();
    this.stats = {
      aborted: false, loaded: 0, retry: 0, total: 0, chunkCount: 0, bwEstimate: 0,
      loading: { start: 0, first: 0, end: 0 }, parsing: { start: 0, end: 0 }, buffering: { start: 0, first: 0, end: 0 },
    };
  }
  load(context, _, callbacks) {
    Object.assign(this, { context, callbacks });
    this.stats.loading.start = performance.now();
    this.run(context).then(
      ({ data, url }) => !this.gone.signal.aborted && callbacks.onSuccess({ url, data, code: 200 }, this.stats, context, null),
      (error) => !this.gone.signal.aborted
        && callbacks.onError({ code: error.status ?? 0, text: error.message }, context, null, this.stats),
    );
  }
  async ask(what, url, options) {
    const { signal } = this.gone;
    for (let attempt = 0; ; attempt += 1) {
      this.stats.loading.start = performance.now();
      try {
        const answer = await request(url, { ...options, signal, stats: this.stats });
        settled(what);
        return answer;
      } catch (error) {
        if (signal.aborted || !(error instanceof Trouble)) throw error;
        troubled(what, error);
        // Another rendition may do better.
        if (hls?.levels.length > 1 && error.status >= 400 && error.status < 500 && attempt > 0) throw error;
        await sleep(pause(error, attempt), signal);
        if (signal.aborted) throw error;
      }
    }
  }
  abort() {
    if (this.gone.signal.aborted) return;
    this.stats.aborted = true;
    this.gone.abort();
    this.callbacks?.onAbort?.(this.stats, this.context, null);
  }
  destroy() {
    this.gone.abort();
    this.callbacks = this.context = null;
  }
  getCacheAge() { return null; }
  getResponseHeader() { return null; }
}

class MediaLoader extends Loader {
  run(context) {
    const range = context.rangeEnd ? [context.rangeStart, context.rangeEnd] : null;
    const live = growing.get(plainly(context.frag?.baseurl)) ?? !ended;
    return this.ask('media', context.url, { media: true, range, live });
  }
}

class PlaylistLoader extends Loader {
  async run(context) {
    const { type, url } = context;
    if (type === 'manifest') {
      const known = first?.url === url ? first : null;
      first = null;
      return this.deliver(type, known ?? await this.ask('playlist', url, {}));
    }
    // hls.js asks anew as often as the target duration lets it, and much is unchanged. The list changes when a part
    // has arrived; so it is looked at when the next one is due, and hls.js hears when there is something new.
    const rhythm = Rhythm.of(plainly(url));
    // A server of parts keeps the answer back until there is the next one.
    let held = /[?&]_HLS_msn=/.test(url) && !(document.hidden && video.paused);
    let again = !held && delivered.get(type) === plainly(url) && !refresh;
    refresh = false;
    for (;;) {
      if (again) await sleep(rhythm.wait(), this.gone.signal);
      const answer = held ? await this.heldBack(url) : await this.ask('playlist', plainly(url), {});
      if (this.gone.signal.aborted) throw new Error('aborted');
      if (!answer) {
        [held, again] = [false, true];
        continue;
      }
      const text = answer.data;
      if (!text.startsWith('#EXTM3U') || !text.includes('#EXTINF')) {
        troubled('playlist', new Trouble(text.trim() && !text.startsWith('#EXTM3U') ? 'other' : 'begin', { url, media: false }));
        await sleep(2, this.gone.signal);
        continue;
      }
      if (again && text === rhythm.text) {
        view();
        continue;
      }
      if (again && replaced(rhythm.text, text)) {
        setTimeout(restart);
        throw new Error('another stream');
      }
      const wrong = flaw(text);
      if (wrong) {
        troubled('playlist', new Trouble('malformed', { url, media: false, reason: wrong }));
        await sleep(2, this.gone.signal);
        continue;
      }
      rhythm.grown(text);
      return this.deliver(type, answer);
    }
  }
  /** The list with what comes next; null if the server has kept the answer back for as long as it does, and nothing has come. */
  async heldBack(url) {
    try {
      const answer = await request(url, { held: 3 * follow.real, signal: this.gone.signal, stats: this.stats });
      settled('playlist');
      return answer;
    } catch (error) {
      if (error instanceof Trouble) return null; // what is wrong, if anything is, the next question tells
      throw error;
    }
  }
  deliver(type, { data, url }) {
    if (type === 'manifest') namesKeyFrames(data, url);
    if (!data.includes('#EXTINF')) return { data, url };
    const address = plainly(this.context.url);
    delivered.set(type === 'manifest' ? 'level' : type, address);
    Rhythm.of(address).text ??= data;
    const live = !/^#EXT-X-ENDLIST/m.test(data);
    growing.set(plainly(url), live);
    if (!live) return { data, url };
    follow.begins(data);
    // How often to look and how far from the end to play is decided here, from what is seen to happen. By the
    // target duration, which has to allow for the slowest part, hls.js would do both later than need be.
    return { data: data.replace(/^#EXT-X-TARGETDURATION:.*$/m, '#EXT-X-TARGETDURATION:1'), url };
  }
}
/** The address of a playlist without what hls.js asks for in it. */
function plainly(url) {
  if (!url?.includes('_HLS_')) return url;
  const plain = new URL(url);
  for (const one of ['_HLS_msn', '_HLS_part', '_HLS_skip']) plain.searchParams.delete(one);
  return plain.href;
}
/** What is wrong with a media playlist, in words; null if hls.js can be given it. */
function flaw(text) {
  if (!/^#EXT-X-TARGETDURATION:\s*\d/m.test(text)) return 'no #EXT-X-TARGETDURATION';
  const bad = /^#EXTINF:(?!\s*\d*\.?\d).*$/m.exec(text) ?? /^#EXT-X-BYTERANGE:(?!\s*\d+(@\d+)?\s*$).*$/m.exec(text);
  if (bad) return `“${shown(bad[0]).slice(0, 80)}” has no number where there should be one`;
  if (/^#EXTINF:[^\n]*\n(?:(?!#EXTINF:)#[^\n]*\n|\s*\n)*#EXTINF:/m.test(text)) return 'a segment without an address';
  return null;
}
/** The same for a multivariant one. */
function masterFlaw(text) {
  return /^#EXT-X-STREAM-INF[^\n]*\n(?:#[^\n]*\n|\s*\n)*[^#\s]/m.test(text) ? null : '#EXT-X-STREAM-INF without an address';
}
/** Whether a list is not a later version of the one before, but that of another stream under the same name. */
function replaced(before, text) {
  const begins = (list) => [Number(/^#EXT-X-MEDIA-SEQUENCE:(\d+)/m.exec(list)?.[1] ?? 0), /^[^#\s].*$/m.exec(list)?.[0]];
  const [[from, uri], [then, another]] = [begins(before), begins(text)];
  // What a list leaves out that has only what is new, is not known.
  return then < from || (then === from && uri !== another && !/^#EXT-X-SKIP:/m.test(before + text));
}
function restart() {
  Rhythm.forget();
  follow.restart(true);
  details = null;
  playWithHls();
}
const delivered = new Map(); // type of playlist → the one that hls.js had last
let refresh = false;         // hls.js needs the list, changed or not
let first = null;            // the playlist as it was found, for hls.js to begin with

// ---------------------------------------------------------------- when a playlist grows

class Rhythm {
  static #all = new Map();
  static of(url) {
    if (!Rhythm.#all.has(url)) Rhythm.#all.set(url, new Rhythm());
    return Rhythm.#all.get(url);
  }
  static forget() { Rhythm.#all.clear(); }
  text = null;
  at = now();
  gaps = [];
  growths = 0;
  /** Seconds from one growth to the next, by the last few; null while unknown. */
  get interval() {
    return this.gaps.length < 2 ? null : [...this.gaps].sort((a, b) => a - b)[this.gaps.length >> 1];
  }
  grown(text) {
    if (this.text !== null && text !== this.text) {
      // Before the first one nobody looked.
      if (this.growths > 0) this.gaps = [...this.gaps, now() - this.at].slice(-6);
      this.growths += 1;
      this.at = now();
    }
    this.text = text;
  }
  /** Seconds until the next look at it. */
  wait() {
    const since = now() - this.at;
    if (document.hidden && video.paused) return 5;
    const every = this.interval;
    if (every === null) return since > 60 ? 3 : since > 20 ? 0.8 : 0.35;
    const soonest = 0.85 * Math.min(every, ...this.gaps.slice(-3));
    if (since < soonest) return Math.max(soonest - since, 0.3);
    return since > 60 ? 4 : since > 3 * every + 5 ? 2 : clamp(every / 12, 0.25, 0.8);
  }
}

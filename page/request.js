// One request for a playlist or for media: asked once, and what went wrong has a name.
'use strict';

const allowed = new Set(); // origin and kind of request that has been answered before

/**
 * Asks once. `range` is [first, behind the last] or null; `live` whether the object may still be growing; `held`: for how many
 * seconds the server may keep the answer back.
 * Gives { data, url } or throws a Trouble.
 */
async function request(url, { media = false, range = null, live = false, held = 0, signal, stats } = {}) {
  const about = { url, media, live: media && live && !!range };
  const headers = {};
  if (range) headers.Range = `bytes=${range[0]}-${range[1] - 1}`;
  // Not where it is not needed: other servers would have to allow it.
  if (about.live) headers[LIVE_READ] = 'true';
  const kind = `${new URL(url).origin} ${about.live ? 'live' : 'plain'}`;

  const cancel = new AbortController();
  let late = false;
  let timer = 0;
  const patience = (seconds) => {
    clearTimeout(timer);
    timer = setTimeout(() => { late = true; cancel.abort(); }, seconds * 1000);
  };
  const stop = () => cancel.abort();
  signal?.addEventListener('abort', stop);
  try {
    patience(10 + held);
    // A playlist is asked for again, but not sent again if it is the same. For media nothing but the default will do:
    // with any other mode browsers ask for permission (CORS preflight) before every single request.
    const answer = await fetch(url, { headers, cache: media ? 'default' : 'no-cache', signal: cancel.signal });
    if (stats) stats.loading.first = performance.now();
    allowed.add(kind);
    const date = Date.parse(answer.headers.get('date') ?? '');
    if (!media && date) {
      const ahead = (date + 500 - Date.now()) / 1000;
      skew = Math.abs(ahead) > 2 ? ahead : 0;
    }
    if (!answer.ok) {
      cancel.abort();
      throw new Trouble(meaning(answer.status, about), about, answer.status);
    }
    const wanted = range ? range[1] - range[0] : null;
    const length = Number(answer.headers.get('content-length') ?? wanted);
    if (range && answer.status === 200 && length !== wanted) {
      cancel.abort();
      throw new Trouble('ranges', about);
    }
    const chunks = [];
    let loaded = 0;
    for (const reader = answer.body.getReader(); ;) {
      patience(15);
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      loaded += value.byteLength;
      if (stats) Object.assign(stats, { loaded, total: Math.max(wanted ?? 0, loaded) });
    }
    if (wanted !== null && loaded !== wanted) throw new Trouble(loaded < wanted ? 'short' : 'ranges', about);
    if (stats) stats.loading.end = Math.max(performance.now(), stats.loading.first + 1);
    const bytes = new Blob(chunks);
    return { data: await (media ? bytes.arrayBuffer() : bytes.text()), url: answer.url || url };
  } catch (error) {
    if (error instanceof Trouble || signal?.aborted) throw error;
    throw new Trouble(late ? 'slow' : await unreachable(url, kind), about);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

function meaning(status, { media, live }) {
  if (status === 401 || status === 403) return 'private';
  if (status === 404 || status === 410) return media ? (live ? 'closed' : 'missing') : (started ? 'gone' : 'begin');
  if (status === 416) return 'notyet';
  if (status === 408 || status === 429 || status >= 500) return 'server';
  return 'refused';
}

/** A page is not told why it could not read an answer; whether there is one, it can find out. */
async function unreachable(url, kind) {
  if (!navigator.onLine) return 'offline';
  if (location.protocol === 'https:' && url.startsWith('http:') && !/^http:\/\/(localhost|127\.|\[::1\])/.test(url)) return 'mixed';
  if (allowed.has(kind) || new URL(url).origin === location.origin) return 'away';
  const cancel = new AbortController();
  const timer = setTimeout(() => cancel.abort(), 5000);
  try {
    await fetch(url, { method: 'HEAD', mode: 'no-cors', cache: 'no-store', signal: cancel.signal });
    return 'cors';
  } catch {
    return 'away';
  } finally {
    clearTimeout(timer);
  }
}

// Small pictures to find a place by: of what was played here, and of the rest, while somebody looks, from the playlist of key frames.
'use strict';

/** The picture of a position; null as long as there is none. */
const pictureAt = (position) => played.get(slotOf(position)) ?? made.get(frameAt(position)?.name) ?? null;

/** Keeps a picture; of the oldest no more than so many. */
function keep(all, key, address, most) {
  all.set(key, address);
  if (all.size <= most) return;
  const [oldest, old] = all.entries().next().value;
  if (old) URL.revokeObjectURL(old);
  all.delete(oldest);
}
/** The address of a small picture of what a video shows; null if it shows nothing, or what this page may not look at. */
async function small(film) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [160, Math.max(1, Math.round(160 * film.videoHeight / film.videoWidth))];
  const context = canvas.getContext('2d');
  try {
    context.drawImage(film, 0, 0, canvas.width, canvas.height);
    // Chromium says that it has a frame also where there is none.
    if (context.getImageData(80, canvas.height >> 1, 1, 1).data[3] === 0) return null;
    const blob = await new Promise((resolve) => { canvas.toBlob(resolve, 'image/jpeg', 0.7); });
    return blob && URL.createObjectURL(blob);
  } catch {
    return null;
  }
}

// ---------------------------------------------------------------- of what was played

const slotOf = (position) => Math.floor(position / 5);
const played = new Map(); // five seconds of the recording → the address of a picture of them
let drawn = 0;
async function remindPicture() {
  const slot = slotOf(video.currentTime);
  if (video.paused || video.readyState < 2 || !video.videoWidth || played.has(slot) || document.hidden) return;
  const of = drawn;
  const address = await small(video);
  if (address && of === drawn && !played.has(slot)) keep(played, slot, address, 1000);
  else if (address) URL.revokeObjectURL(address);
}
/** Another stream, or another list with other positions. */
function forgetPictures() {
  drawn += 1;
  for (const all of [played, made]) {
    for (const address of all.values()) if (address) URL.revokeObjectURL(address);
    all.clear();
  }
  listed = null;
}
video.addEventListener('emptied', forgetPictures);

// ---------------------------------------------------------------- of the rest

const made = new Map(); // name of a key frame → the address of its picture; null where there is none
const headers = new Map(); // the one that was needed last
const REST = 0.12;      // seconds between two requests, in which the pointer goes on
const HOPELESS = 3;     // so many in a row that cannot be decoded are enough
let keyFrames = null;   // the playlist of key frames
let listed = null;       // what it has: { base, frames, end, clock, target, over, at }
let vain = 0;
let looked = null;      // the position that somebody looks at
let looking = false;
let away = new AbortController();

/** The multivariant playlist may name a playlist of key frames; of several the one with the least to load. */
function namesKeyFrames(text, base) {
  const named = [...text.matchAll(/^#EXT-X-I-FRAME-STREAM-INF:(.*)$/gm)].map(([, line]) => {
    const of = (what) => new RegExp(`(?:^|,)${what}=(?:"([^"]*)"|([^,\\s]*))`).exec(line)?.slice(1).find(Boolean);
    return { rate: Number(of('BANDWIDTH')), uri: of('URI'), plays: video.canPlayType(`video/mp4; codecs="${of('CODECS') ?? 'avc1.42c01e'}"`) };
  });
  const least = named.filter((one) => one.uri && one.plays).sort((a, b) => a.rate - b.rate)[0];
  keyFrames = least ? new URL(least.uri, base).href : null;
  [listed, vain] = [null, 0];
}
/** What such a playlist has. Pictures without a header (MPEG-TS), and what is encrypted, cannot be shown. */
function framesIn(text, base) {
  const frames = [];
  let [end, length, clock, header, range, next] = [0, null, null, null, null, 0];
  /** `LENGTH@OFFSET` as a request takes it. */
  const rangeOf = (said, otherwise) => {
    const [bytes, first = otherwise] = said.split('@').map(Number);
    return [first, first + bytes];
  };
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#EXT-X-MAP:')) {
      const [uri, bytes] = ['URI', 'BYTERANGE'].map((what) => new RegExp(`[:,]${what}="([^"]*)"`).exec(line)?.[1]);
      header = uri ? { uri, range: bytes ? rangeOf(bytes, 0) : null } : null;
    } else if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) clock = Date.parse(line.slice(25).trim());
    else if (line.startsWith('#EXT-X-BYTERANGE:')) [, next] = range = rangeOf(line.slice(17).trim(), next);
    else if (line.startsWith('#EXTINF:')) length = Number.parseFloat(line.slice(8)) || 0;
    else if (line && !line.startsWith('#') && length !== null) {
      const uri = line.trim();
      if (header) frames.push({ from: end, date: clock, uri, range, header, name: range ? `${uri} ${range}` : uri });
      end += length;
      clock = clock && clock + length * 1000;
      [length, range] = [null, null];
    }
  }
  const shows = /^#EXT-X-I-FRAMES-ONLY/m.test(text) && !/^#EXT-X-KEY:(?!METHOD=NONE)/m.test(text);
  const target = Number(/^#EXT-X-TARGETDURATION:\s*(\d+)/m.exec(text)?.[1] ?? 6);
  return { base, frames: shows ? frames : [], end, clock, target, over: /^#EXT-X-ENDLIST/m.test(text), at: now() };
}
/** Where a position is in that list: in seconds since its beginning, or where that slides by the clock. */
function placeOf(position) {
  if (countable()) return { by: 'from', at: position, end: listed.end };
  return { by: 'date', at: dateAt(position)?.getTime() ?? NaN, end: listed.clock ?? NaN };
}
/** The key frame that a position is shown from; undefined where there is none. */
function frameAt(position) {
  if (!listed?.frames.length) return undefined;
  const { by, at, end } = placeOf(position);
  const { frames, target } = listed;
  let [low, high] = [0, frames.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (frames[middle][by] <= at) low = middle + 1;
    else high = middle;
  }
  // What is newer than all that is listed is not far from it.
  return at < end + target * (by === 'date' ? 1000 : 1) ? frames[low - 1] : undefined;
}
/** Whether the list has to be read before it can be said what a position shows. */
function isBehind(position) {
  if (!listed) return true;
  if (listed.over || now() - listed.at < Math.max(2, listed.target)) return false;
  const { at, end } = placeOf(position);
  return at >= end;
}
/** Over a line that is paid by the byte nothing is loaded for this. */
const thrifty = () => !!navigator.connection?.saveData || navigator.connection?.type === 'cellular' || matchMedia('(prefers-reduced-data: reduce)').matches;
/** The stream itself comes first. */
const inNeed = () => troubles.size > 0 || follow.load() >= 0.8 || (!video.paused && !video.ended && video.readyState < 3);

/** Somebody looks at a position; with null nobody does any more. */
function lookAt(position) {
  looked = position;
  if (position === null) away.abort();
  else if (keyFrames && !looking && !pictureAt(position) && vain < HOPELESS && !thrifty()) {
    looking = true;
    away = new AbortController();
    const { signal } = away;
    seekOut(signal).catch((error) => {
      if (!(error instanceof Trouble) && !signal.aborted) throw error;
    }).finally(() => {
      looking = false;
      // Somebody looked away, and has come back.
      if (signal.aborted && looked !== null) lookAt(looked);
      else viewPicture();
    });
  }
  viewPicture();
}
/** Loads pictures, one after the other, until there is that of the position that is looked at. */
async function seekOut(signal) {
  for (;;) {
    do await sleep(REST, signal); while (inNeed() && !signal.aborted);
    // What was looked at meanwhile is of no interest any more.
    const position = looked;
    if (signal.aborted || !keyFrames || pictureAt(position)) return;
    if (isBehind(position)) {
      const of = keyFrames;
      const { data, url } = await request(of, { signal });
      if (of === keyFrames) listed = framesIn(data, url);
      continue;
    }
    const frame = frameAt(position);
    if (!frame || made.has(frame.name)) {
      if (looked === position) return;
      continue;
    }
    const of = drawn;
    const address = await pictureOf(frame, signal);
    if (of !== drawn || signal.aborted) return void (address && URL.revokeObjectURL(address));
    vain = address ? 0 : vain + 1;
    keep(made, frame.name, address, 200);
    viewPicture();
    if (vain >= HOPELESS) return;
  }
}
/** The address of the picture of a key frame; null if the browser makes none of it. */
async function pictureOf(frame, signal) {
  const { base, over } = listed;
  const load = ({ uri, range }) => request(new URL(uri, base).href, { media: true, range, live: !over, signal }).then(({ data }) => data);
  const name = `${new URL(frame.header.uri, base)} ${frame.header.range}`;
  if (!headers.has(name)) {
    headers.clear();
    headers.set(name, await load(frame.header));
  }
  const header = headers.get(name);
  let data;
  try {
    data = await load(frame);
  } catch (error) {
    // The server has the list, but not this one.
    if (error instanceof Trouble && (error.kind === 'closed' || error.kind === 'missing')) return null;
    throw error;
  }
  // A header and one fragment are a file with one picture, which any player shows; the player of the stream knows nothing of it.
  const file = URL.createObjectURL(new Blob([header, data], { type: 'video/mp4' }));
  const film = document.createElement('video');
  try {
    [film.muted, film.playsInline, film.preload] = [true, true, 'auto'];
    const shown = new Promise((resolve) => {
      film.onloadeddata = () => resolve(true);
      film.onerror = () => resolve(false);
    });
    film.src = file;
    if (!await Promise.race([shown, sleep(5, signal)]) || !film.videoWidth) return null;
    // Chromium says so a moment before it can be drawn.
    for (let i = 0; i < 20 && !signal.aborted; i += 1) {
      const address = await small(film);
      if (address) return address;
      await sleep(0.05, signal);
    }
    return null;
  } finally {
    film.removeAttribute('src');
    film.load();
    URL.revokeObjectURL(file);
  }
}
function viewPicture() {
  const picture = looked === null ? null : pictureAt(looked);
  const coming = looked !== null && !picture && looking;
  // Until there is that of the place, the one that was seen before stays, but dim.
  $('preview').classList.toggle('coming', coming);
  if (!coming) $('preview').hidden = !picture;
  if (picture && $('preview').src !== picture) $('preview').src = picture;
}

// A moment of the recording: as the address names it (#t=), where it is, and how to say it to others.
'use strict';

/** `90`, `1:30`, `1h2m3s` (from the beginning) or a date with its time of day; null for anything else. */
function momentOf(text) {
  const said = (text ?? '').trim();
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(said)) {
    const date = Date.parse(said);
    return Number.isNaN(date) ? null : { date };
  }
  const units = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?$/.exec(said);
  if (units && said) return { seconds: Number(units[1] ?? 0) * 3600 + Number(units[2] ?? 0) * 60 + Number(units[3] ?? 0) };
  if (!/^\d+(:\d\d){1,2}(\.\d+)?$/.test(said)) return null;
  return { seconds: said.split(':').reduce((sum, one) => sum * 60 + Number(one), 0) };
}
/** What `#t=` (or `?t=`, for those who cannot keep what stands after #) asks for: where to begin, and where to stop. */
function asked() {
  const text = new URLSearchParams(location.hash.slice(1)).get('t') ?? query.get('t');
  if (!text) return null;
  const [from, to] = text.split(',');
  const [begin, end] = [momentOf(from) ?? (from === '' ? { seconds: 0 } : null), momentOf(to)];
  return begin && { from: begin, to: end };
}
let clipEnd = null; // a moment at which to stop, once

/** Whether what a list begins with is the beginning of the recording. */
const fromStart = (text) => /^#EXT-X-(ENDLIST|PLAYLIST-TYPE:\s*(EVENT|VOD))/m.test(text) || !/^#EXT-X-MEDIA-SEQUENCE:\s*0*[1-9]/m.test(text);

/** Seconds from the beginning of a media playlist at which a moment is; null if it is not in there. */
function positionIn(text, { seconds, date }) {
  let [at, clock] = [0, null];
  for (const line of text.split('\n')) {
    if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) clock = Date.parse(line.slice(25).trim());
    if (!line.startsWith('#EXTINF:')) continue;
    const length = Number.parseFloat(line.slice(8)) || 0;
    if (date !== undefined && clock !== null) {
      if (date < clock) return at === 0 ? (fromStart(text) ? 0 : null) : at;
      if (date < clock + length * 1000) return at + (date - clock) / 1000;
      clock += length * 1000;
    }
    at += length;
  }
  if (date !== undefined) return null;
  return fromStart(text) && seconds < at ? seconds : null;
}
/** Where to begin and in which list, as the address asks for it: { to, at }; at -1 where that is for the list to say. */
async function whereToBegin(text) {
  const usual = { to: source, at: -1 };
  const moment = asked();
  if (!moment) return usual;
  clipEnd = moment.to;
  try {
    const variant = variantOf(text);
    const first = variant ? (await request(variant)).data : text;
    const at = positionIn(first, moment.from);
    if (at !== null) return { to: source, at };
    if (fromStart(first) || variant) return usual;
    const all = positionIn((await request(whole.href)).data, moment.from);
    return all === null ? usual : { to: whole, at: all };
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    return usual;
  }
}
/** Where a moment is in what is played; null if it is not in there. */
function positionOf({ seconds, date }) {
  const range = span();
  if (!range) return null;
  if (seconds !== undefined) return countable() && seconds <= range.to ? seconds : null;
  const [first, last] = [dateAt(range.from), dateAt(range.to)];
  if (!first || date < first - 1000 || date > last) return null;
  const list = details.fragments;
  const within = list.find((one) => one.programDateTime && date < one.programDateTime + one.duration * 1000) ?? list.at(-1);
  return Math.max(within.start, within.start + (date - within.programDateTime) / 1000);
}
/** Whether the position in what is played is the time from the beginning of the recording. */
const countable = () => !hls || ended || (details && (details.startSN === 0 || details.type === 'EVENT'));
/** How a position is said to others: by the clock where that is known, as it is right live and afterwards. */
function saying(position) {
  const date = dateAt(position);
  return date ? date.toISOString().replace(/\.000Z$/, 'Z') : String(Math.round(position * 10) / 10);
}
/** How `reader` takes it. */
function readerTime(position) {
  if (!countable()) return saying(position);
  const two = (n) => String(Math.floor(n)).padStart(2, '0');
  return `${two(position / 3600)}:${two(position / 60 % 60)}:${two(position % 60)}.${String(Math.floor(position * 10 % 10 + 1e-6))}`;
}
/** The key of the object that is played, as far as its address tells it. */
function keyOf(address = details?.fragments?.at(-1)?.url ?? source) {
  if (told('key')) return told('key');
  const url = new URL(address, location.href);
  const parts = url.pathname.split('/').filter(Boolean);
  // Path-style addresses of a store have the bucket before the key.
  if (parts.length > 1 && /^(s3[.-]|localhost$|[\d.]+$|\[)/.test(url.hostname)) parts.shift();
  // A live object stands for the one that it is a part of.
  const path = parts.join('/').replace(/^(?:_live\/)?(.+)\/\d{8}T\d{6}Z-[0-9a-f]+\/\d+\/[^/]+$/, '$1');
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
const marks = { from: null, to: null }; // positions
/** The address of this page, at a moment or for a part. */
function linkTo({ from = null, to = null, embed = false }) {
  const url = new URL(location.href);
  url.hash = '';
  for (const one of ['t', 'embed']) url.searchParams.delete(one);
  if (embed) url.searchParams.set('embed', '1');
  const time = [from, to].map((one) => (one === null ? '' : saying(one))).join(',').replace(/,$/, '');
  return url.href + (time ? `#t=${time}` : '');
}
/** A word for a shell. */
const quoted = (word) => (/^[\w./:@+-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`);
function commandFor() {
  const key = keyOf();
  const from = marks.from !== null ? ` --from ${readerTime(marks.from)}` : '';
  const to = marks.to !== null ? ` --to ${readerTime(marks.to)}` : '';
  const file = key.split('/').pop().replace(/(\.\w+)?$/, (end) => `${from || to ? '-clip' : ''}${end}`);
  return `reader ${quoted(key).replace(/^-/, './-')}${from}${to} ${quoted(file)}`;
}

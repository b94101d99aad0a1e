// What is played, and what is known of it. Everything else stands on this.
'use strict';

const LIVE_READ = 'x-backblaze-live-read-enabled';
const $ = (id) => document.getElementById(id);
const [main, player, video] = [document.querySelector('main'), $('player'), $('video')];
const query = new URLSearchParams(location.search);
const now = () => performance.now() / 1000;
const clamp = (value, least, most) => Math.max(least, Math.min(most, value));

/** A thing that this browser remembers, or not where it may not. */
const remembered = {
  get(what) {
    try {
      return localStorage.getItem(`live-read ${what}`);
    } catch {
      return null;
    }
  },
  set(what, value) {
    try {
      localStorage.setItem(`live-read ${what}`, value);
    } catch {
      // In a frame of another site, say. Then it is forgotten.
    }
  },
};
/** Whether a switch is in the address: ?embed, ?embed=1; not ?embed=0. */
const wants = (what, otherwise = false) => (query.has(what) ? !/^(0|no|false|off)$/i.test(query.get(what)) : otherwise);
/** What the address says, else what whoever made this page says (a gateway does): its head then has live-read-… for it. */
const told = (what) => query.get(what) || document.querySelector(`meta[name="live-read-${what}"]`)?.content || '';
/** An address as it may be shown: what comes after the path may be a signature. */
const shown = (text) => String(text).replace(/\?[^\s"')]*/g, '');

/** The playlist's address, or null if it is none that a page may ask for. */
function addressOf(text) {
  try {
    const url = new URL(text, location.href);
    return /^https?:$/.test(url.protocol) && !url.username && !url.password ? url : null;
  } catch {
    return null;
  }
}
/** Whether whoever put up this page lets it play from there. */
function allowedSource(url) {
  const origins = document.querySelector('meta[name="live-read-sources"]')?.content.split(/\s+/).filter(Boolean) ?? [];
  return !origins.length || origins.some((one) => (one === 'self' ? location.origin : one.replace(/\/$/, '')) === url.origin);
}
language = known(query.get('lang')) ?? known(remembered.get('language')) ?? navigator.languages?.map(known).find(Boolean) ?? 'en';
const source = addressOf(told('src') || 'hls/stream.m3u8');
// The object itself, where whoever made this page can give it: what cannot be a playlist is played as it is.
const plain = query.has('src') ? null : addressOf(document.querySelector('meta[name="live-read-file"]')?.content || 'about:blank');
function titleOf(url) {
  const last = url?.pathname.split('/').pop().replace(/\.m3u8$/i, '') ?? '';
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}
const name = told('title') || titleOf(source) || 'Live Read';

// Beside a playlist that slides, writer puts one of the whole recording: live.dvr.m3u8 beside live.m3u8.
const whole = source && new URL(source);
if (whole) whole.pathname = whole.pathname.replace(/(\.m3u8)?$/i, '.dvr.m3u8');

/** The address of the first variant that a multivariant playlist names; null if it is none. */
function variantOf(text) {
  const named = /^#EXT-X-STREAM-INF.*\r?\n(?:#.*\r?\n)*([^#\r\n]+)/m.exec(text)?.[1];
  return named ? new URL(named.trim(), source).href : null;
}
/** A picture until there is one, as the address names it. */
const poster = query.get('poster') ? addressOf(query.get('poster')) : null;

// What is known of the stream.
let hls = null;
let details = null;    // of the media playlist that is played, as hls.js has it
let started = false;   // something could be played
let ended = false;     // the playlist says that no more will come
let failed = false;    // nothing more is tried until somebody asks
let list = source;     // what is played: the source or the whole recording
let skew = 0;          // seconds that the store's clock is ahead of this one
const growing = new Map(); // media playlist → whether it is still live
const serverNow = () => Date.now() / 1000 + skew;

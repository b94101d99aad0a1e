// Keys, pointers and buttons; what the system offers; and the beginning of it all.
'use strict';

/** Goes to a position; near the live one that is the same as going live. */
function seek(to) {
  const range = span();
  if (!range || !started) return;
  if (!ended && to > video.currentTime && to >= range.live - 2 && list === source) return goLive();
  follow.on = false;
  video.currentTime = clamp(to, range.from, ended ? range.to - 0.05 : range.to);
  view();
}
function goLive() {
  const range = span();
  if (!range) return;
  if (ended) return seek(range.to);
  if (list !== source) return change(source, -1);
  follow.on = true;
  video.currentTime = Math.max(range.from, range.live);
  start(true);
  view();
}
function toggle() {
  if (!video.paused) {
    halted = true;
    video.pause();
  } else {
    if (video.ended) video.currentTime = span()?.from ?? 0;
    start(true);
  }
}
// Whether somebody has paused it. Browsers do so, too: Chromium pauses the video without sound of a tab that nobody sees.
let halted = false;
video.addEventListener('pause', () => { if (!document.hidden) halted = true; });
video.addEventListener('play', () => {
  if (halted) follow.on = !ended && list === source && follow.behind() < 3;
  halted = false;
});
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  wake();
  if (!started || ended || halted) return;
  // Who was live wants to be so still.
  if (follow.on && follow.behind() > 10) goLive();
  else if (video.paused && !untouched) start();
});

// ---------------------------------------------------------------- sound, which this browser remembers

const volume = Number(remembered.get('volume') ?? 1);
if (volume > 0 && volume <= 1) video.volume = volume;
function sound(volume) {
  video.muted = false;
  video.volume = clamp(volume, 0, 1);
  keepSound();
}
function muted(on) {
  video.muted = on;
  if (!on && !video.volume) video.volume = 0.5;
  keepSound();
}
function keepSound() {
  remembered.set('volume', String(video.volume));
  remembered.set('sound', video.muted ? 'off' : 'on');
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (player.requestFullscreen) player.requestFullscreen().catch(() => {});
  else video.webkitEnterFullscreen?.(); // on an iPhone only the video itself
}
async function pictureInPicture() {
  try {
    if (document.pictureInPictureElement) await document.exitPictureInPicture();
    else await video.requestPictureInPicture();
  } catch {
    tell(tr('The browser does not allow it.'));
  }
}
/** So many seconds back or on, and says so over the picture. */
function leap(by) {
  if (!started) return;
  seek(video.currentTime + by);
  put('leap', `${by < 0 ? '−' : '+'}${Math.abs(by)} s`);
  $('leap').hidden = false;
  clearTimeout(leaping);
  leaping = setTimeout(() => { $('leap').hidden = true; }, 700);
}
let leaping = 0;

// ---------------------------------------------------------------- keys

const scrolling = {
  ' ': toggle,
  ArrowUp: () => sound((video.muted ? 0 : video.volume) + 0.1),
  ArrowDown: () => sound(video.volume - 0.1),
  PageDown: () => seek(video.currentTime - 60),
  PageUp: () => seek(video.currentTime + 60),
  Home: () => seek(span()?.from ?? 0),
  End: goLive,
};
const sideways = { ArrowLeft: () => seek(video.currentTime - 10), ArrowRight: () => seek(video.currentTime + 10) };
const letters = {
  k: toggle, j: () => leap(-10), l: () => leap(10), m: () => muted(!video.muted), f: fullScreen, c: toggleCaptions,
  i: () => openPanel('info'), '[': () => mark('from'), ']': () => mark('to'), '<': () => faster(-1), '>': () => faster(1),
};
const KEYS = [[['Space', 'K'], 'play, pause'], [['←', '→'], '10 s back, on'], [['J', 'L'], '10 s back, on'], [['PgDn', 'PgUp'], 'a minute back, on'],
  [['Home'], 'beginning'], [['End'], 'live'], [['↑', '↓'], 'volume'], [['M'], 'sound'], [['C'], 'captions'], [['<', '>'], 'speed'],
  [['[', ']'], 'mark beginning, end'], [['I'], 'statistics'], [['F'], 'full screen']];
function viewKeys() {
  $('keys').replaceChildren(...KEYS.flatMap(([names, text]) => {
    const [term, means] = [document.createElement('dt'), document.createElement('dd')];
    term.append(...names.flatMap((one, i) => {
      const key = document.createElement('kbd');
      key.textContent = one;
      return i ? [' ', key] : [key];
    }));
    means.textContent = tr(text);
    return [term, means];
  }));
}
/** The document's own scrolling comes first, unless the player has the focus. */
const scrolls = () => document.scrollingElement.scrollHeight > innerHeight + 1;
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const on = event.target;
  if (event.key === 'Escape' && closePanels()) return void event.preventDefault();
  stir(event);
  const inPlayer = player.contains(on);
  if (!inPlayer && on !== document.body && on !== document.documentElement) return;
  // In a panel, and on what has keys of its own, those count.
  if (on.closest?.('.panel, .message details') || on instanceof HTMLSelectElement || on.id === 'volume') return;
  if (on instanceof HTMLButtonElement && event.key === ' ') return;
  const letter = event.key.length === 1 && event.key !== ' ' && $('letters').checked ? letters[event.key.toLowerCase()] : undefined;
  const action = letter ?? sideways[event.key] ?? (inPlayer || !scrolls() ? scrolling[event.key] : undefined);
  if (!action) return;
  event.preventDefault();
  action();
});

// ---------------------------------------------------------------- pointers

const click = (id, action) => $(id).addEventListener('click', action);
click('play', toggle);
click('back', () => leap(-10));
click('on', () => leap(10));
click('golive', goLive);
click('full', fullScreen);
click('pip', pictureInPicture);
click('airplay', () => video.webkitShowPlaybackTargetPicker?.());
click('cast', () => video.remote.prompt().catch(() => {})); // closed without a choice
click('whole', () => change(whole, 0));
click('mute', () => muted(!video.muted));
click('unmute', () => muted(false));
click('retry', () => {
  if (failed?.again) begin();
  wake();
  view();
});
$('volume').addEventListener('input', () => sound(Number($('volume').value)));

// A mouse on the picture pauses, and twice is full screen; a finger shows the controls and hides them, and twice goes 10 s.
let touch = false;     // the last pointer was a finger
let wasIdle = false;   // the controls were away when it came down
let tapped = 0;        // when the last tap was
player.addEventListener('pointerdown', (event) => {
  touch = event.pointerType === 'touch';
  wasIdle = player.classList.contains('idle');
}, true);
click('video', (event) => {
  if (closePanels()) return;
  if (!touch) return toggle();
  const box = video.getBoundingClientRect();
  const side = (event.clientX - box.left) / box.width;
  const twice = now() - tapped < 0.35;
  tapped = now();
  if (twice && (side < 0.35 || side > 0.65)) leap(side < 0.5 ? -10 : 10);
  else if (!wasIdle) hideControls();
});
video.addEventListener('dblclick', () => { if (!touch) fullScreen(); });

// The scrubber: shows the time under the pointer, and goes there when it is let go.
let dragging = null;
const under = (event) => {
  const range = span();
  const box = $('scrub').getBoundingClientRect();
  return range && box.width ? range.from + clamp((event.clientX - box.left) / box.width, 0, 1) * (range.to - range.from) : null;
};
let pointed = 0; // where the pointer is
function hint(event) {
  const position = started ? under(event) : null;
  $('tip').hidden = position === null;
  lookAt(position);
  if (position === null) return;
  const date = dateAt(position);
  put('when', `${countable() ? clock(position) : ''}${date ? ` · ${date.toLocaleTimeString(language)}` : ''}`);
  pointed = event.clientX;
  placeTip();
}
function placeTip() {
  const box = $('scrub').getBoundingClientRect();
  const half = $('tip').offsetWidth / 2;
  $('tip').style.left = `${clamp(pointed - box.left, half, box.width - half)}px`;
}
$('preview').addEventListener('load', placeTip);
function unhint() {
  $('tip').hidden = true;
  lookAt(null);
}
const scrub = $('scrub');
scrub.addEventListener('pointerdown', (event) => {
  if (!started || event.button > 0) return;
  scrub.setPointerCapture(event.pointerId);
  dragging = under(event);
  scrub.classList.add('dragging');
  hint(event);
  viewPosition();
});
scrub.addEventListener('pointermove', (event) => {
  if (dragging !== null) dragging = under(event);
  hint(event);
  viewPosition();
});
const drop = (go) => () => {
  const to = dragging;
  dragging = null;
  scrub.classList.remove('dragging');
  unhint();
  if (go && to !== null) seek(to);
};
scrub.addEventListener('pointerup', drop(true));
scrub.addEventListener('pointercancel', drop(false));
scrub.addEventListener('pointerleave', () => { if (dragging === null) unhint(); });

// The controls go when nothing moves and something plays.
let idle = 0;
function hideControls() {
  clearTimeout(idle);
  if (!video.paused && started && !openOne() && dragging === null) player.classList.add('idle');
}
function stir(event) {
  player.classList.remove('idle');
  clearTimeout(idle);
  // Who goes by the keys needs to see where he is for longer.
  idle = setTimeout(hideControls, event?.type === 'keydown' || event?.type === 'focusin' && player.querySelector('.controls :focus-visible') ? 8000 : 3000);
}
for (const event of ['pointermove', 'pointerdown', 'focusin']) player.addEventListener(event, stir);
player.addEventListener('pointerleave', (event) => { if (event.pointerType === 'mouse') { clearTimeout(idle); idle = setTimeout(hideControls, 500); } });
for (const event of ['play', 'pause']) video.addEventListener(event, () => stir());

const low = matchMedia('(max-height: 500px)');
function viewFrame() {
  player.classList.toggle('over', !!document.fullscreenElement || low.matches || wants('embed'));
}
low.addEventListener('change', viewFrame);
document.addEventListener('fullscreenchange', () => { viewFrame(); stir(); view(); });

// ---------------------------------------------------------------- what the system offers

if (document.pictureInPictureEnabled && 'requestPictureInPicture' in video) {
  $('pip').hidden = false;
  document.querySelector('[data-opens="pip"]').hidden = false;
}
video.addEventListener('webkitplaybacktargetavailabilitychanged', (event) => { $('airplay').hidden = event.availability !== 'available'; });
// Another screen (Cast, where the browser has it), as soon as there is one. Safari tells of it by the event above.
if (video.remote?.watchAvailability && !('webkitShowPlaybackTargetPicker' in video)) {
  const offer = (there) => { $('cast').hidden = !there; };
  video.remote.watchAvailability(offer).catch(() => offer(false));
}
function session() {
  if (!navigator.mediaSession) return;
  navigator.mediaSession.metadata = new MediaMetadata({ title: name, artwork: poster ? [{ src: poster.href }] : [] });
  const handlers = {
    play: () => { if (video.paused) toggle(); }, pause: () => { if (!video.paused) toggle(); },
    seekbackward: ({ seekOffset }) => leap(-(seekOffset ?? 10)), seekforward: ({ seekOffset }) => leap(seekOffset ?? 10),
    seekto: ({ seekTime }) => seek(seekTime),
  };
  for (const [action, handler] of Object.entries(handlers)) {
    try {
      navigator.mediaSession.setActionHandler(action, handler);
    } catch {
      // A browser that does not know this one.
    }
  }
}
function viewSession() {
  const range = span();
  if (!navigator.mediaSession?.setPositionState || !range || !started || !(range.to > range.from)) return;
  try {
    navigator.mediaSession.setPositionState({ duration: ended ? range.to : Infinity, position: ended ? clamp(video.currentTime, 0, range.to) : video.currentTime, playbackRate: video.playbackRate });
  } catch {
    // Of a stream without an end some browsers take none.
  }
}

// A part of the recording that a link names stops at its end; once.
video.addEventListener('timeupdate', () => {
  const end = clipEnd && positionOf(clipEnd);
  if (end === null || video.currentTime < end) return;
  clipEnd = null;
  if (video.currentTime < end + 1) toggle();
});
addEventListener('hashchange', () => {
  const moment = asked();
  const at = moment && started ? positionOf(moment.from) : null;
  if (!moment) return;
  if (at === null) return location.reload();
  clipEnd = moment.to;
  seek(at);
  start(true);
});

// ---------------------------------------------------------------- go

setInterval(() => { follow.tick(); view(); viewFacts(); viewSharing(); viewSpeed(); }, 250);
setInterval(() => { remember(); remindPicture(); viewSession(); }, 1000);
for (const event of ['play', 'playing', 'pause', 'waiting', 'seeking', 'seeked', 'ended', 'volumechange', 'timeupdate', 'loadeddata']) {
  video.addEventListener(event, view);
}
const buttons = { back: '10 s back', on: '10 s on', captions: 'Captions', share: 'Share', info: 'Statistics', settings: 'Settings', airplay: 'AirPlay', cast: 'Play on another screen', pip: 'Picture in picture' };
whenSpoken(() => {
  for (const [id, text] of Object.entries(buttons)) label(id, tr(text), ICONS[id]);
  viewKeys();
  qualities();
  captions();
  viewSpeed();
  view();
});
document.documentElement.classList.toggle('embed', wants('embed'));
document.documentElement.classList.toggle('bare', !wants('controls', true));
if (poster) video.poster = poster.href;
player.classList.toggle('postered', !!poster);
viewFrame();
session();
speak(language);
put('name', name);
if (!source) {
  if (location.protocol === 'file:' && !query.get('src')) {
    fail(tr('Open this page from a web server'), '', 'Or say what to play: index.html?src=https://…/live.m3u8. “make page” starts a small server.', false);
  } else fail(tr('This is not an address of a stream'), '', 'This is not an address of a playlist: ?src= takes an http or https address, or one that is relative to this page.', false);
} else if (!allowedSource(source)) {
  fail(tr('This page does not play from there'), source.host, 'The origins that it plays from stand in index.html, as live-read-sources.', false);
} else begin();

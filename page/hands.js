// Keys, pointers and buttons; and the beginning of it all.
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
  start();
  view();
}
function toggle() {
  if (!video.paused) video.pause();
  else {
    if (video.ended) video.currentTime = span()?.from ?? 0;
    start();
  }
}
let halted = false;
video.addEventListener('pause', () => { halted = true; });
video.addEventListener('play', () => {
  if (halted) follow.on = !ended && list === source && follow.behind() < 3;
  halted = false;
});
function sound(volume) {
  video.muted = false;
  video.volume = clamp(volume, 0, 1);
}
function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (player.requestFullscreen) player.requestFullscreen().catch(() => {});
  else video.webkitEnterFullscreen?.(); // on an iPhone only the video itself
}
const keys = {
  ' ': toggle, k: toggle,
  ArrowLeft: () => seek(video.currentTime - 10),
  ArrowRight: () => seek(video.currentTime + 10),
  PageDown: () => seek(video.currentTime - 60),
  PageUp: () => seek(video.currentTime + 60),
  ArrowUp: () => sound((video.muted ? 0 : video.volume) + 0.1),
  ArrowDown: () => sound(video.volume - 0.1),
  Home: () => seek(span()?.from ?? 0),
  End: goLive, l: goLive,
  m: () => { video.muted = !video.muted; },
  f: fullScreen,
};
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const on = event.target;
  if (on instanceof HTMLSelectElement || on.id === 'volume') return;
  if (on instanceof HTMLButtonElement && event.key === ' ') return;
  const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
  stir();
});
const click = (id, action) => $(id).addEventListener('click', action);
click('play', toggle);
click('golive', goLive);
click('full', fullScreen);
click('whole', () => change(whole, 0));
click('mute', keys.m);
click('unmute', () => { video.muted = false; });
click('retry', () => { if (failed) begin(); wake(); view(); });
click('video', toggle);
$('video').addEventListener('dblclick', fullScreen);
$('volume').addEventListener('input', () => sound(Number($('volume').value)));
$('quality').addEventListener('change', () => { if (hls) hls.nextLevel = Number($('quality').value); });

// The scrubber: shows the time under the pointer, and goes there when it is let go.
let dragging = null;
const under = (event) => {
  const range = span();
  const box = $('scrub').getBoundingClientRect();
  return range && box.width ? range.from + clamp((event.clientX - box.left) / box.width, 0, 1) * (range.to - range.from) : null;
};
function hint(event) {
  const position = started ? under(event) : null;
  $('tip').hidden = position === null;
  if (position === null) return;
  const box = $('scrub').getBoundingClientRect();
  const date = dateAt(position);
  put('tip', `${clock(position)}${date ? `  ·  ${date.toLocaleTimeString()}` : ''}`);
  const half = $('tip').offsetWidth / 2;
  $('tip').style.left = `${clamp(event.clientX - box.left, half, box.width - half)}px`;
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
  $('tip').hidden = true;
  if (go && to !== null) seek(to);
};
scrub.addEventListener('pointerup', drop(true));
scrub.addEventListener('pointercancel', drop(false));
scrub.addEventListener('pointerleave', () => { if (dragging === null) $('tip').hidden = true; });

// In full screen the controls go when nothing moves.
let idle = 0;
function stir() {
  player.classList.remove('idle');
  clearTimeout(idle);
  idle = setTimeout(() => player.classList.add('idle'), 3000);
}
for (const event of ['pointermove', 'pointerdown', 'focusin']) player.addEventListener(event, stir);
document.addEventListener('fullscreenchange', () => { stir(); view(); });
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  wake();
  // Browsers hold the video of a tab that nobody sees. Who was live wants to be so still.
  if (follow.on && started && !ended && !video.paused && follow.behind() > 10) goLive();
});

put('name', name);
if (source) begin();
else if (location.protocol === 'file:' && !query.get('src')) {
  fail('Open this page from a web server', 'Or say what to play: index.html?src=https://…/live.m3u8. “make page” starts a small server.');
} else fail('This is not an address of a playlist', '?src= takes an http or https address, or one that is relative to this page.');

// The gateway's front page: a picture of each recording that is looked at, and the list as it is now. Works without: then it
// is a list.
'use strict';

const AT_A_TIME = 2;      // pictures that are being made
const PATIENCE = 15_000;  // for one of them
const AGAIN = 10_000;     // between two looks at the list
const pictures = new Map(); // address → canvas
const queue = [];
let making = 0;

/** Shows a frame of what is at `address`. */
function frameOf(address) {
  return new Promise((resolve, reject) => {
    const video = document.createElement('video');
    const end = (done, value) => {
      clearTimeout(late);
      video.onloadeddata = video.onseeked = video.onerror = null;
      // The connection is given back.
      video.removeAttribute('src');
      video.load();
      done(value);
    };
    const late = setTimeout(() => end(reject, new Error('late')), PATIENCE);
    const draw = () => {
      const canvas = document.createElement('canvas');
      canvas.width = 480;
      canvas.height = Math.max(1, Math.round(480 * video.videoHeight / (video.videoWidth || 480)));
      canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height);
      end(resolve, canvas);
    };
    video.muted = true;
    video.preload = 'auto';
    video.onerror = () => end(reject, new Error('no picture'));
    video.onloadeddata = () => {
      // The first frame is often black. Live, there is nothing to go to.
      const { duration } = video;
      if (!Number.isFinite(duration) || duration < 1) return draw();
      video.onseeked = draw;
      video.currentTime = Math.min(duration / 10, 10);
    };
    video.src = address;
  });
}

async function next() {
  if (making >= AT_A_TIME) return;
  const place = queue.shift();
  if (!place) return;
  making += 1;
  const address = place.dataset.frame;
  try {
    if (place.isConnected && !pictures.has(address)) pictures.set(address, await frameOf(address));
    show(place);
  } catch {
    // Sound alone, or something that this browser cannot decode: the place stays empty.
    pictures.set(address, null);
  } finally {
    making -= 1;
    next();
  }
}

/** Puts the picture where it belongs, if there is one. */
function show(place) {
  const canvas = pictures.get(place.dataset.frame);
  if (canvas) place.replaceChildren(canvas);
  return canvas !== undefined;
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    queue.push(target);
    next();
  }
}, { rootMargin: '200px' });

function look() {
  for (const place of document.querySelectorAll('[data-frame]')) {
    if (!show(place)) seen.observe(place);
  }
}

/** What the list says, without the ages, which change all the time. */
const said = (root) => [...root.querySelectorAll('li')].map((one) => `${one.className} ${one.dataset.key}`).join('\n');

async function renew() {
  if (document.visibilityState !== 'visible') return;
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main');
  const old = document.querySelector('main');
  // Whoever is in the middle of it by the keyboard is left where he is.
  if (!fresh || said(fresh) === said(old) || old.contains(document.activeElement)) return;
  old.replaceWith(fresh);
  look();
}

look();
setInterval(() => { renew().catch(() => {}); }, AGAIN);

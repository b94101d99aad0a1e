// What is seen.
'use strict';

/** When the list that is played grows; null once it does not any more. */
function rhythm() {
  return details?.live && delivered.has('level') ? Rhythm.of(delivered.get('level')) : null;
}
/** From where to where one can go, and where live is. */
function span() {
  if (hls && details) {
    return { from: details.fragmentStart, to: details.edge, live: follow.target() ?? details.edge };
  }
  const { seekable } = video;
  if (!seekable.length) return null;
  const [from, to] = [seekable.start(0), seekable.end(seekable.length - 1)];
  return { from, to, live: ended ? to : Math.max(from, to - 8) };
}
/** The wall clock at a position, where the playlist tells it. */
function dateAt(position) {
  const list = details?.fragments;
  if (!list?.length) return null;
  let [low, high] = [0, list.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (list[middle].start <= position) low = middle;
    else high = middle - 1;
  }
  const date = list[low].programDateTime;
  return date ? new Date(date + (position - list[low].start) * 1000) : null;
}
function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds + 0.01));
  const two = (n) => String(n).padStart(2, '0');
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}
const amount = (seconds) => (seconds < 99.5 ? `${Math.round(seconds)} s` : clock(seconds));
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function say(words, busy, retry) {
  put('title', words[0]);
  put('detail', words[1]);
  $('message').classList.toggle('busy', busy);
  $('retry').hidden = !retry;
  $('message').hidden = false;
}
const SHORT = { begin: 'Waiting', gone: 'Interrupted', away: 'Interrupted', offline: 'Offline', slow: 'Interrupted', closed: 'Waiting', server: 'Interrupted' };
let said = '';
function show(state, text, announce = text) {
  main.dataset.state = player.dataset.state = state;
  put('state', text);
  if (said !== announce) put('announce', said = announce);
}

function view() {
  const stuck = !started || (video.readyState < 3 && !video.seeking && bufferedAhead() < 0.3 && !video.ended);
  const worse = worst();
  const growth = rhythm();
  const still = growth ? now() - growth.at : 0;
  const silent = !ended && growth && still > Math.max(15, 3 * (growth.interval ?? 0), 2 * follow.real);
  let [note, covered] = [flash, true];

  if (failed) {
    show('error', 'Stopped');
    say([failed.title, failed.detail], false, true);
  } else if (worse && stuck) {
    const { trouble } = worse;
    const error = ['cors', 'private', 'mixed', 'ranges', 'refused', 'other'].includes(trouble.kind);
    show(error ? 'error' : 'waiting', SHORT[trouble.kind] ?? (error ? 'Stopped' : 'Waiting'));
    say(words[trouble.kind](trouble), !error, trouble.kind !== 'begin');
  } else if (waiting && !started) {
    show('waiting', 'Live');
    say(waiting, true, false);
  } else if (silent && stuck && !video.paused) {
    show('waiting', 'Waiting');
    say(['Waiting for the sender', `Nothing new has come for ${amount(10 * Math.floor(still / 10))}. It goes on here by itself.`], true, false);
  } else {
    covered = false;
    if (worse && now() - worse.since > 1.5) {
      note = `${words[worse.trouble.kind](worse.trouble)[0]}. Playing what is here (${amount(bufferedAhead())}).`;
    } else if (silent) note = `Nothing new for ${amount(still)}.`;
    const behind = span() ? (hls ? follow.behind() : span().live - video.currentTime) : 0;
    const part = hls && list === source && details && details.startSN > 0 && details.type !== 'EVENT' && hls.levels.length === 1;
    $('whole').hidden = !part;
    if (!started || holding) show('loading', 'Loading');
    else if (ended) show('ended', video.ended ? 'Ended' : 'Recording');
    else if (video.paused) show('paused', behind > 3 ? `Paused, ${amount(behind)} behind` : 'Paused', 'Paused');
    else if (list === whole) show('behind', 'Behind live');
    else if (!follow.on || behind > 5) show('behind', `${amount(Math.max(1, behind))} behind live`, 'Behind live');
    else show('live', 'Live');
  }
  $('message').hidden = !covered;
  $('spin').hidden = covered || !(holding || (stuck && !video.paused));
  put('notice', note);
  $('notice').hidden = !note;
  $('golive').hidden = ended || !started || !['behind', 'paused'].includes(main.dataset.state);
  $('unmute').hidden = covered || !video.muted || !started;
  document.title = `${main.dataset.state === 'live' ? '● ' : ''}${name}`;
  viewPosition();
}

function viewPosition() {
  const range = span();
  const usable = started && range && range.to > range.from;
  $('scrub').setAttribute('aria-disabled', String(!usable));
  const at = dragging ?? video.currentTime;
  if (usable) {
    const part = (position) => clamp((position - range.from) / (range.to - range.from), 0, 1);
    $('played').style.width = $('thumb').style.left = `${part(at) * 100}%`;
    $('loaded').style.width = `${part(video.currentTime + bufferedAhead()) * 100}%`;
    const set = (key, value) => $('scrub').setAttribute(`aria-${key}`, value);
    set('valuemin', range.from.toFixed(0));
    set('valuemax', range.to.toFixed(0));
    set('valuenow', at.toFixed(0));
    set('valuetext', ended ? `${clock(at)} of ${clock(range.to)}` : main.dataset.state === 'live' ? 'live' : `${amount(Math.max(0, range.live - at))} behind live`);
  }
  const total = ended && range ? ` / ${clock(range.to)}` : '';
  if ($('time').dataset.text !== clock(at) + total) {
    $('time').dataset.text = clock(at) + total;
    $('time').innerHTML = `${clock(at)}<small>${total}</small>`;
  }
  label('play', video.ended ? 'Play again' : video.paused ? 'Play' : 'Pause', video.ended ? ICONS.again : video.paused ? ICONS.play : ICONS.pause);
  label('mute', video.muted || !video.volume ? 'Turn the sound on' : 'Turn the sound off', video.muted || !video.volume ? ICONS.silent : ICONS.sound);
  label('full', document.fullscreenElement ? 'Leave full screen' : 'Full screen', ICONS.full);
  if (document.activeElement !== $('volume')) $('volume').value = video.muted ? 0 : video.volume;
}
const ICONS = {
  play: 'M7 4.5v15l12.5-7.5z', pause: 'M6 4.5h4.2v15H6zM13.8 4.5H18v15h-4.2z',
  again: 'M12 5V1.5L6.5 6 12 10.5V7a5.5 5.5 0 1 1-5.5 5.5h-2A7.5 7.5 0 1 0 12 5z',
  sound: 'M4 9v6h4l5 4.5v-15L8 9zM15.5 8.2a5 5 0 0 1 0 7.6l1.2 1.5a7 7 0 0 0 0-10.6z',
  silent: 'M4 9v6h4l5 4.5v-15L8 9zM15.3 9.7l1.3-1.3 2.1 2.1 2.1-2.1 1.3 1.3-2.1 2.1 2.1 2.1-1.3 1.3-2.1-2.1-2.1 2.1-1.3-1.3 2.1-2.1z',
  full: 'M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z',
};
function label(id, text, icon) {
  if ($(id).getAttribute('aria-label') === text && $(id).dataset.icon === icon) return;
  $(id).setAttribute('aria-label', text);
  $(id).title = text;
  $(id).dataset.icon = icon;
  $(id).querySelector('path').setAttribute('d', icon);
}

function viewFacts() {
  const range = span();
  let delay = '–';
  if (started && !ended) {
    const date = dateAt(video.currentTime);
    const exact = date ? serverNow() - date / 1000 : NaN;
    if (exact > -2 && exact < 7 * 86400) delay = exact < 99.5 ? `${Math.max(0, exact).toFixed(1)} s` : clock(exact);
    else if (hls && details) delay = `over ${amount(Math.max(0, details.edge + details.age - video.currentTime))}`;
    else if (range) delay = `over ${amount(range.to - video.currentTime)}`;
  } else if (ended) {
    const date = dateAt(video.currentTime);
    if (date) delay = date.toLocaleString([], { dateStyle: 'short', timeStyle: 'medium' });
  }
  document.querySelector('.facts dt').textContent = ended ? 'Recorded' : 'Delay';
  put('delay', delay);
  const [bytes, seconds] = rates.reduce(([b, s], one) => [b + one.bytes, s + one.seconds], [0, 0]);
  put('bitrate', seconds ? rate(bytes * 8 / seconds) : '–');
  put('picture', video.videoHeight ? `${video.videoWidth} × ${video.videoHeight}` : '–');
  put('ahead', started ? `${bufferedAhead().toFixed(1)} s ahead` : '–');
  const every = rhythm()?.interval;
  put('growth', ended ? 'complete' : every ? `every ${every.toFixed(1)} s` : '–');
  const quality = video.getVideoPlaybackQuality?.();
  put('lost', quality?.totalVideoFrames ? `${quality.droppedVideoFrames} of ${quality.totalVideoFrames}` : '–');
}
const rate = (bits) => (bits >= 995e3 ? `${(bits / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bits / 1e3)} kbit/s`);

function qualities() {
  if (!hls) return;
  const { levels } = hls;
  $('quality').hidden = levels.length < 2;
  if (levels.length < 2) return;
  const title = (one) => one.attrs?.NAME || one.name || (one.height ? `${one.height}p` : rate(one.bitrate));
  const playing = levels[hls.currentLevel];
  const options = [[-1, hls.autoLevelEnabled && playing && innerWidth > 500 ? `Auto (${title(playing)})` : 'Auto'],
    ...levels.map((one, i) => [i, levels.some((other, j) => j !== i && title(other) === title(one)) ? `${title(one)}, ${rate(one.bitrate)}` : title(one)]).reverse()];
  const chosen = hls.autoLevelEnabled ? -1 : hls.loadLevel;
  $('quality').replaceChildren(...options.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

setInterval(() => { follow.tick(); view(); viewFacts(); }, 250);
for (const event of ['play', 'playing', 'pause', 'waiting', 'seeking', 'seeked', 'ended', 'volumechange', 'timeupdate', 'loadeddata']) {
  video.addEventListener(event, view);
}

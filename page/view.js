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

function say([heading, line, operator = ''], busy, retry) {
  put('title', heading);
  put('detail', line);
  put('operator', operator);
  $('remedy').hidden = !operator;
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
/** When it is to begin, as ?start= says; null once that has passed. */
const BEGINS = Date.parse(query.get('start') ?? '') / 1000;
function untilStart() {
  const left = BEGINS - serverNow();
  return left > 0 ? left : null;
}
/** The words before the beginning: a countdown where the beginning is known. */
function before(trouble) {
  const left = trouble.kind === 'begin' ? untilStart() : null;
  if (left === null) return words[trouble.kind](trouble);
  const date = new Date(BEGINS * 1000);
  const days = Math.floor(left / 86400);
  return [days > 0 ? tr('Begins in {0} days', days + 1) : tr('Begins in {0}', clock(left)),
    date.toLocaleString(language, { dateStyle: 'full', timeStyle: 'short' }), words.begin(trouble)[2]];
}

// Where the picture stays, and since when.
let stood = { position: NaN, at: 0 };
/** Whether it has not moved for three seconds although it is to play. What a browser says of itself then need not be so. */
function stands() {
  if (video.paused || video.currentTime !== stood.position) stood = { position: video.currentTime, at: now() };
  return now() - stood.at > 3;
}

function view() {
  const stuck = !started || (!video.ended && (stands() || (video.readyState < 3 && !video.seeking && bufferedAhead() < 0.3)));
  const worse = worst();
  const growth = rhythm();
  const still = growth ? now() - growth.at : 0;
  const nothingNew = !ended && growth && still > Math.max(15, 3 * (growth.interval ?? 0), 2 * follow.real);
  let [note, covered] = [flash, true];

  if (failed) {
    show('error', tr('Stopped'));
    say([failed.title, failed.detail, failed.operator], false, failed.again);
  } else if (worse && stuck) {
    const { trouble } = worse;
    const error = ['cors', 'private', 'mixed', 'ranges', 'refused', 'other', 'malformed'].includes(trouble.kind);
    show(error ? 'error' : 'waiting', tr(SHORT[trouble.kind] ?? (error ? 'Stopped' : 'Waiting')));
    // Who listens is not told every second; the state, which is announced, says that it waits.
    $('message').setAttribute('role', trouble.kind === 'begin' && untilStart() !== null ? 'group' : 'alert');
    say(before(trouble), !error, trouble.kind !== 'begin');
  } else if (waiting && !started) {
    show('waiting', tr('Live'));
    say(waiting, true, false);
  } else if (nothingNew && stuck && !video.paused) {
    show('waiting', tr('Waiting'));
    say([tr('Waiting for the sender'), tr('Nothing new has come for {0}. It goes on here by itself.', amount(10 * Math.floor(still / 10)))], true, false);
  } else {
    covered = false;
    if (worse && now() - worse.since > 1.5) {
      note = `${words[worse.trouble.kind](worse.trouble)[0]}. ${tr('Playing what is here ({0}).', amount(bufferedAhead()))}`;
    } else if (nothingNew) note = tr('Nothing new for {0}.', amount(still));
    else if (tooSlow()) note = tooSlow();
    const behind = span() ? (hls ? follow.behind() : span().live - video.currentTime) : 0;
    const part = hls && list === source && details && details.startSN > 0 && details.type !== 'EVENT' && hls.levels.length === 1;
    $('whole').hidden = !part;
    if (!started || holding) show('loading', tr('Loading'));
    else if (ended) show('ended', video.ended ? tr('Ended') : tr('Recording'));
    else if (video.paused) show('paused', behind > 3 ? tr('Paused, {0} behind', amount(behind)) : tr('Paused'), tr('Paused'));
    else if (list === whole) show('behind', tr('Behind live'));
    else if (!follow.on || behind > 5) show('behind', tr('{0} behind live', amount(Math.max(1, behind))), tr('Behind live'));
    else show('live', tr('Live'));
  }
  $('message').hidden = !covered;
  player.classList.toggle('covered', covered && (!started || !!failed));
  $('spin').hidden = covered || !(holding || (stuck && !video.paused));
  put('notice', note);
  $('notice').hidden = !note;
  $('golive').hidden = ended || !started || !['behind', 'paused'].includes(main.dataset.state);
  viewSound(covered);
  document.title = `${main.dataset.state === 'live' ? '● ' : ''}${name}`;
  viewPosition();
}
/** Says that the connection does not carry the stream, while that is to be noticed. */
function tooSlow() {
  const rates = hls && follow.rates();
  if (!rates || video.paused || follow.load() < 1 || bufferedAhead() > 4 || video.ended) return '';
  const lower = hls.levels.length > 1 && !hls.autoLevelEnabled && hls.loadLevel > 0 ? ` ${tr('Choose a lower quality.')}` : '';
  return tr('Your connection gives {0}, the stream needs {1}.', rate(rates.gives), rate(rates.needs)) + lower;
}
/** The offer of sound stays for ten seconds of playing; then the button in the row is enough. */
let offered = 0;
function viewSound(covered) {
  const offer = !covered && started && video.muted && silent === false && !video.paused;
  if (offer && !offered) offered = now();
  const early = offer && now() - offered < 10;
  $('unmute').hidden = !early;
  document.querySelector('.calls').classList.toggle('offered', early);
  $('mute').disabled = $('volume').disabled = silent === true;
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
    set('valuetext', ended ? tr('{0} of {1}', clock(at), clock(range.to)) : main.dataset.state === 'live' ? tr('Live') : tr('{0} behind live', amount(Math.max(0, range.live - at))));
    $('clip').hidden = marks.from === null && marks.to === null;
    if (!$('clip').hidden) {
      const [from, to] = [part(marks.from ?? marks.to), part(marks.to ?? marks.from)];
      $('clip').style.left = `${from * 100}%`;
      $('clip').style.width = `max(3px, ${(to - from) * 100}%)`;
    }
  }
  // Where the beginning slides, the time since it says nothing.
  const date = usable && !countable() ? dateAt(at) : null;
  const text = date ? date.toLocaleTimeString(language) : usable && !countable() ? `−${clock(range.live - at)}` : clock(at);
  const total = ended && range ? ` / ${clock(range.to)}` : '';
  if ($('time').dataset.text !== text + total) {
    $('time').dataset.text = text + total;
    const small = document.createElement('small');
    small.textContent = total;
    $('time').replaceChildren(text, small);
  }
  label('play', video.ended ? tr('Play again') : video.paused ? tr('Play') : tr('Pause'), video.ended ? ICONS.again : video.paused ? ICONS.play : ICONS.pause);
  const mute = video.muted || !video.volume;
  label('mute', silent ? tr('This stream has no sound') : mute ? tr('Turn the sound on') : tr('Turn the sound off'), mute || silent ? ICONS.silent : ICONS.sound);
  label('full', document.fullscreenElement ? tr('Leave full screen') : tr('Full screen'), ICONS.full);
  if (document.activeElement !== $('volume')) $('volume').value = video.muted ? 0 : video.volume;
}
const ICONS = {
  play: 'M7 4.5v15l12.5-7.5z', pause: 'M6 4.5h4.2v15H6zM13.8 4.5H18v15h-4.2z',
  again: 'M12 5V1.5L6.5 6 12 10.5V7a5.5 5.5 0 1 1-5.5 5.5h-2A7.5 7.5 0 1 0 12 5z',
  sound: 'M4 9v6h4l5 4.5v-15L8 9zM15.5 8.2a5 5 0 0 1 0 7.6l1.2 1.5a7 7 0 0 0 0-10.6z',
  silent: 'M4 9v6h4l5 4.5v-15L8 9zM15.3 9.7l1.3-1.3 2.1 2.1 2.1-2.1 1.3 1.3-2.1 2.1 2.1 2.1-1.3 1.3-2.1-2.1-2.1 2.1-1.3-1.3 2.1-2.1z',
  full: 'M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z',
  back: 'M11.5 5V1.5L6 6l5.5 4.5V7a5.5 5.5 0 1 1-5.5 5.5H4A7.5 7.5 0 1 0 11.5 5z', on: 'M12.5 5V1.5L18 6l-5.5 4.5V7a5.5 5.5 0 1 0 5.5 5.5h2A7.5 7.5 0 1 1 12.5 5z',
  captions: 'M3 5h18v14H3zm2 2v10h14V7zm1.5 3.5h5V12H8v1.5h3.500V15h-5zm6.500 0h5V12h-3.500v1.500H18V15h-5z',
  share: 'M14 4l7 6.500-7 6.500v-4c-5 0-8.500 1.500-11 5 .8-5.500 4-9 11-10z',
  info: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2a7 7 0 1 1 0 14 7 7 0 0 1 0-14zm-1 2.500h2v2h-2zm0 3.500h2v6h-2z',
  settings: 'M10.500 3h3l.5 2.400 1.600.7 2.100-1.300 2.100 2.100-1.300 2.100.7 1.600 2.400.5v3l-2.400.5-.7 1.600 1.300 2.100-2.100 2.100-2.100-1.300-1.600.7-.5 2.400h-3l-.5-2.400-1.600-.7-2.100 1.300-2.100-2.100 1.300-2.100-.7-1.600L2.400 13.500v-3l2.400-.5.7-1.600-1.300-2.100 2.100-2.100 2.100 1.300 1.600-.7zM12 8.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z',
  airplay: 'M4 4h16v12h-3v-2h1V6H6v8h1v2H4zm8 10l5 6H7z', cast: 'M3 5h18v14h-7v-2h5V7H5v2H3zM3 16a3 3 0 0 1 3 3H3zm0-3.500a6.500 6.500 0 0 1 6.500 6.500h-2A4.500 4.500 0 0 0 3 14.500z', pip: 'M3 5h18v14H3zm2 2v10h14V7zm6 4.500h7V16h-7z',
};
function label(id, text, icon) {
  if ($(id).getAttribute('aria-label') === text && $(id).dataset.icon === icon) return;
  $(id).setAttribute('aria-label', text);
  $(id).title = text;
  $(id).dataset.icon = icon;
  $(id).querySelector('path').setAttribute('d', icon);
}
const rate = (bits) => (bits >= 995e3 ? `${(bits / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bits / 1e3)} kbit/s`);

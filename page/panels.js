// What opens over the picture: settings, sharing, statistics.
'use strict';

// ---------------------------------------------------------------- open and close

const PANELS = { settings: 'choices', share: 'sharing', info: 'statistics' };
function openPanel(button, open = $(PANELS[button]).hidden) {
  for (const [one, panel] of Object.entries(PANELS)) {
    const shown = one === button && open;
    $(panel).hidden = !shown;
    $(one).setAttribute('aria-expanded', String(shown));
  }
  if (!open) return;
  if (button === 'share') {
    sharedAt = started ? video.currentTime : null;
    viewSharing();
  }
  if (button === 'info' && past.length) draw();
  viewFacts();
  $(PANELS[button]).querySelector('label:not(:has([hidden])) :is(select, input), button')?.focus();
}
const openOne = () => Object.keys(PANELS).find((one) => !$(PANELS[one]).hidden) ?? null;
function closePanels() {
  const open = openOne();
  if (!open) return false;
  const inside = $(PANELS[open]).contains(document.activeElement);
  openPanel(open, false);
  if (inside) ($(open).offsetParent ? $(open) : $('settings')).focus();
  return true;
}
for (const button of Object.keys(PANELS)) $(button).addEventListener('click', () => openPanel(button));
for (const one of document.querySelectorAll('[data-closes]')) one.addEventListener('click', closePanels);
for (const one of document.querySelectorAll('[data-opens]')) {
  one.addEventListener('click', () => {
    closePanels();
    if (PANELS[one.dataset.opens]) openPanel(one.dataset.opens, true);
    else $(one.dataset.opens).click();
  });
}

// ---------------------------------------------------------------- settings

function choose(id, options, chosen) {
  // A list that is open is not pulled away.
  const same = [...$(id).options].map((one) => `${one.value} ${one.text}`).join() === options.map((one) => one.join(' ')).join();
  if (!same) $(id).replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if ($(id).value !== String(chosen)) $(id).value = String(chosen);
}
function qualities() {
  if (!hls) return;
  const { levels } = hls;
  $('quality').hidden = levels.length < 2;
  if (levels.length < 2) return;
  const title = (one) => one.attrs?.NAME || one.name || (one.height ? `${one.height}p` : rate(one.bitrate));
  const playing = levels[hls.currentLevel];
  const options = [[-1, hls.autoLevelEnabled && playing ? `${tr('Auto')} (${title(playing)})` : tr('Auto')],
    ...levels.map((one, i) => [i, levels.some((other, j) => j !== i && title(other) === title(one)) ? `${title(one)}, ${rate(one.bitrate)}` : title(one)]).reverse()];
  choose('quality', options, hls.autoLevelEnabled ? -1 : hls.loadLevel);
}
const titleOfTrack = (one, i) => one.name || one.label || one.lang || one.language || String(i + 1);
function soundTracks() {
  const all = hls?.audioTracks ?? [];
  $('tracks').hidden = all.length < 2;
  if (all.length > 1) choose('tracks', all.map((one, i) => [i, titleOfTrack(one, i)]), hls.audioTrack);
}
const texts = () => [...video.textTracks].filter((one) => ['subtitles', 'captions'].includes(one.kind));
function captions() {
  const all = texts();
  const on = all.findIndex((one) => one.mode === 'showing');
  $('captions').hidden = $('texts').hidden = !all.length;
  if (!all.length) return;
  choose('texts', [[-1, tr('Off')], ...all.map((one, i) => [i, titleOfTrack(one, i)])], on);
  $('captions').setAttribute('aria-pressed', String(on >= 0));
}
function chooseCaptions(index) {
  texts().forEach((one, i) => { one.mode = i === index ? 'showing' : 'disabled'; });
  remembered.set('captions', texts()[index]?.language ?? '');
  captions();
}
function toggleCaptions() {
  const all = texts();
  if (!all.length) return;
  const wanted = all.findIndex((one) => one.language === remembered.get('captions'));
  chooseCaptions(all.some((one) => one.mode === 'showing') ? -1 : Math.max(0, wanted));
}
for (const event of ['addtrack', 'removetrack', 'change']) video.textTracks.addEventListener(event, captions);
const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2];
function viewSpeed() {
  $('speed').hidden = !ended;
  if (ended) choose('speed', SPEEDS.map((one) => [one, one === 1 ? tr('Normal') : `${one.toLocaleString(language)} ×`]), video.playbackRate);
}
function setSpeed(speed) {
  if (ended && speed > 0) video.playbackRate = speed;
  viewSpeed();
}
const faster = (by) => setSpeed(SPEEDS[clamp(SPEEDS.indexOf(video.playbackRate) + by, 0, SPEEDS.length - 1)] ?? 1);
video.addEventListener('ratechange', viewSpeed);
$('quality').addEventListener('change', () => { if (hls) hls.nextLevel = Number($('quality').value); });
$('tracks').addEventListener('change', () => { if (hls) hls.audioTrack = Number($('tracks').value); });
$('texts').addEventListener('change', () => chooseCaptions(Number($('texts').value)));
$('speed').addEventListener('change', () => setSpeed(Number($('speed').value)));
$('captions').addEventListener('click', toggleCaptions);
choose('language', Object.entries(LANGUAGES), language);
$('language').addEventListener('change', () => {
  remembered.set('language', $('language').value);
  speak($('language').value);
});
$('letters').checked = remembered.get('letters') !== 'off';
$('letters').addEventListener('change', () => remembered.set('letters', $('letters').checked ? 'on' : 'off'));

// ---------------------------------------------------------------- sharing

const inHtml = (text) => text.replace(/&/g, '&amp;').replace(/"/g, '&quot;').replace(/</g, '&lt;');
let sharedAt = null; // the moment at which the panel was opened: a link that changes all the time cannot be copied
function viewSharing() {
  if ($('sharing').hidden) return;
  const marked = marks.from !== null || marks.to !== null;
  const link = marked ? linkTo(marks) : linkTo({ from: $('from-here').checked ? sharedAt : null });
  $('from-here').closest('label').hidden = marked;
  $('unmark').hidden = !marked;
  const fill = (id, value) => { if ($(id).value !== value) $(id).value = value; };
  fill('link', link);
  const frame = inHtml(linkTo({ ...(marked ? marks : {}), embed: true }));
  fill('embed', `<iframe src="${frame}" width="640" height="360" allow="autoplay; fullscreen; picture-in-picture; clipboard-write" title="${inHtml(name)}"></iframe>`);
  fill('command', commandFor());
  put('mark-in', marks.from === null ? tr('Mark the beginning') : tr('Begins at {0}', clock(marks.from)));
  put('mark-out', marks.to === null ? tr('Mark the end') : tr('Ends at {0}', clock(marks.to)));
}
function mark(which) {
  if (!started) return;
  marks[which] = video.currentTime;
  if (marks.from !== null && marks.to !== null && marks.from > marks.to) [marks.from, marks.to] = [marks.to, marks.from];
  tell(marks.from !== null && marks.to !== null ? tr('Marked: {0} to {1}.', clock(marks.from), clock(marks.to)) : tr('Marked: {0}.', clock(marks[which])));
  viewSharing();
}
function unmark() {
  marks.from = marks.to = null;
  viewSharing();
  view();
}
$('mark-in').addEventListener('click', () => mark('from'));
$('mark-out').addEventListener('click', () => mark('to'));
$('unmark').addEventListener('click', unmark);
$('from-here').addEventListener('change', () => {
  sharedAt = started ? video.currentTime : null;
  viewSharing();
});
for (const one of document.querySelectorAll('[data-copies]')) {
  one.addEventListener('click', async (event) => {
    event.preventDefault();
    const field = $(one.dataset.copies);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      document.execCommand('copy'); // where a page may not use the clipboard; what is selected can be copied by hand, too
    }
    one.textContent = tr('Copied');
    setTimeout(() => { one.textContent = tr('Copy'); }, 2000);
  });
}

// ---------------------------------------------------------------- statistics

/** Seconds from what the camera saw to now; null if nobody knows. */
function delayNow() {
  const date = started && !ended ? dateAt(video.currentTime) : null;
  const exact = date ? serverNow() - date / 1000 : NaN;
  return exact > -2 && exact < 7 * 86400 ? Math.max(0, exact) : null;
}
function viewFacts() {
  const range = span();
  let delay = '–';
  if (started && !ended) {
    const exact = delayNow();
    if (exact !== null) delay = exact < 99.5 ? `${exact.toFixed(1)} s` : clock(exact);
    else if (hls && details) delay = tr('over {0}', amount(Math.max(0, details.edge + details.age - video.currentTime)));
    else if (range) delay = tr('over {0}', amount(range.to - video.currentTime));
  } else if (ended) {
    const date = dateAt(video.currentTime);
    if (date) delay = date.toLocaleString(language, { dateStyle: 'medium', timeStyle: 'medium' });
  }
  put('delay-name', ended ? tr('Recorded') : tr('Delay'));
  put('delay', delay);
  const [bytes, seconds] = rates.reduce(([b, s], one) => [b + one.bytes, s + one.seconds], [0, 0]);
  put('bitrate', seconds ? rate(bytes * 8 / seconds) : '–');
  put('connection', follow.rates() ? rate(follow.rates().gives) : '–');
  put('picture', video.videoHeight ? `${video.videoWidth} × ${video.videoHeight}` : '–');
  put('ahead', started ? tr('{0} ahead', `${bufferedAhead().toFixed(1)} s`) : '–');
  const every = rhythm()?.interval;
  put('growth', ended ? tr('complete') : every ? tr('every {0}', `${every.toFixed(1)} s`) : '–');
  const quality = video.getVideoPlaybackQuality?.();
  put('lost', quality?.totalVideoFrames ? tr('{0} of {1}', quality.droppedVideoFrames, quality.totalVideoFrames) : '–');
}

// What happened here: a sample a second of the last five minutes.
const SAMPLES = 300;
const past = [];
const COLOURS = { delay: '#7fbaff', ahead: '#74d99a', stall: '#ff6b7b', arrival: '#ffd54a' };
let arrivals = 0;
function remember() {
  const growths = rhythm()?.growths ?? 0;
  past.push({
    delay: delayNow(), ahead: bufferedAhead(), height: video.videoHeight, arrived: growths > arrivals,
    stalled: started && !video.paused && !video.ended && video.readyState < 3,
  });
  arrivals = growths;
  if (past.length > SAMPLES) past.shift();
  if (!$('statistics').hidden) draw();
}
function draw() {
  const canvas = $('history');
  const paint = canvas.getContext('2d');
  const { width, height } = canvas;
  const step = width / SAMPLES;
  const x = (i) => width - (past.length - i) * step;
  const most = Math.max(10, ...past.map((one) => Math.max(one.delay ?? 0, one.ahead))) * 1.1;
  const y = (value) => height - 14 - (height - 18) * value / most;
  paint.clearRect(0, 0, width, height);
  past.forEach((one, i) => {
    paint.fillStyle = COLOURS.stall;
    if (one.stalled) paint.fillRect(x(i), 0, Math.max(step, 1), height - 12);
    paint.fillStyle = COLOURS.arrival;
    if (one.arrived) paint.fillRect(x(i), height - 10, Math.max(step, 2), 10);
    if (i > 0 && one.height && past[i - 1].height && one.height !== past[i - 1].height) {
      paint.fillStyle = '#fff';
      paint.fillRect(x(i), 0, 1, height);
      paint.fillText(`${one.height}p`, Math.min(x(i) + 3, width - 30), 10);
    }
  });
  for (const what of ['ahead', 'delay']) {
    paint.strokeStyle = COLOURS[what];
    paint.lineWidth = 2;
    paint.beginPath();
    let pen = false;
    past.forEach((one, i) => {
      if (one[what] === null) pen = false;
      else {
        paint[pen ? 'lineTo' : 'moveTo'](x(i), y(one[what]));
        pen = true;
      }
    });
    paint.stroke();
  }
  const last = past.at(-1);
  const [stalls, parts] = [past.filter((one, i) => one.stalled && !past[i - 1]?.stalled).length, past.filter((one) => one.arrived).length];
  const words = [[COLOURS.delay, `${tr('Delay')}${last.delay === null ? '' : ` ${last.delay.toFixed(1)} s`}`], [COLOURS.ahead, `${tr('Loaded')} ${last.ahead.toFixed(1)} s`],
    [COLOURS.stall, tr('Pauses: {0}', stalls)], [COLOURS.arrival, tr('New data: {0}', parts)]];
  canvas.setAttribute('aria-label', `${tr('The last {0}', amount(past.length))}: ${words.map((one) => one[1]).join(', ')}`);
  if ($('legend').textContent === words.map((one) => one[1]).join('')) return;
  $('legend').replaceChildren(...words.map(([colour, text]) => {
    const [line, box] = [document.createElement('span'), document.createElement('i')];
    box.style.background = colour;
    line.append(box, text);
    return line;
  }));
}

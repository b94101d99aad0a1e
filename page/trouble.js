// What is wrong, in words.
'use strict';

/** A request that did not give what was asked for. `kind` is a key of `words`. */
class Trouble extends Error {
  constructor(kind, about, status = 0) {
    super(`${kind}${status ? ` (${status})` : ''}: ${about.url}`);
    Object.assign(this, { kind, status, ...about });
  }
}
const RULES = 'The rules that a bucket needs come with live-read as docs/backblaze/cors.json; writer --setup-cors sets them.';
/** For each kind of trouble: a title and a line for the viewer, and what whoever runs the stream can do about it. */
const words = {
  begin: (t) => [tr('The stream has not begun'), tr('It starts here by itself as soon as there is something to show.'),
    `${host(t)} answers 404 for ${shown(t.url)}. writer --hls writes the playlist when the first segment can be read. If that is not the address of one, ?src= is wrong.`],
  gone: (t) => [tr('The stream is interrupted'), tr('Trying again.'), `The playlist was here, and now ${host(t)} answers 404 for ${shown(t.url)}.`],
  private: (t) => [tr('The stream is not public'), tr('Whoever runs it has to open it. Trying again.'),
    `Not allowed to read ${shown(t.url)}: ${host(t)} answers ${t.status}. Is the bucket private? For this page it has to be public. (Some stores also answer so where there is nothing yet.)`],
  cors: (t) => [tr('The stream cannot be shown on this page'), tr('Whoever runs it has to allow it. Trying again.'), t.live
    ? `${host(t)} answers, but does not allow a page at ${location.origin} to send Range and ${LIVE_READ}: add them to the allowed headers of the bucket’s CORS rules. ${RULES}`
    : `${host(t)} answers, but has no CORS rule that allows a page at ${location.origin}. ${RULES}`],
  closed: (t) => [tr('The video cannot be read yet'), tr('Trying again.'),
    `${host(t)} answers 404 for it while it is being written, although the playlist lists it. Either Live Read is not enabled for the bucket (writer --check tells), or the upload was cancelled.`],
  missing: (t) => [tr('The video is not there'), tr('Trying again.'), `The playlist lists it, but ${host(t)} answers 404: was the object deleted?`],
  notyet: () => [tr('The newest data is not readable yet'), tr('Trying again.'), 'The playlist is ahead of the video.'],
  short: () => [tr('The newest data is not complete yet'), tr('Trying again.'), 'The store gave less than the playlist lists.'],
  ranges: (t) => [tr('The stream cannot be played from this server'), '', `The server does not send parts of a file: ${host(t)} answers a byte range request with the whole file. HLS out of one object needs byte ranges.`],
  offline: () => [tr('You are offline'), tr('It goes on by itself when the connection is back.')],
  away: (t) => [tr('The stream cannot be reached'), tr('It goes on by itself when the connection is back.'), `${host(t)} does not answer.`],
  slow: (t) => [tr('The stream does not answer'), tr('Trying again.'), `${host(t)} took too long.`],
  mixed: () => [tr('The browser blocks the stream'), '', 'This page came over https, so the playlist must, too.'],
  server: (t) => [tr('The stream has trouble'), tr('Trying again.'), `${host(t)} answers ${t.status}.`],
  refused: (t) => [tr('The stream is refused'), tr('Trying again.'), `${host(t)} answers ${t.status} for ${shown(t.url)}.`],
  other: (t) => [tr('This is not a stream'), '', `This is not an HLS playlist: ${shown(t.url)}`],
  malformed: (t) => [tr('The stream cannot be understood'), tr('Trying again.'), `The playlist is malformed: ${t.reason}. ${shown(t.url)}`],
};
const host = (trouble) => (new URL(trouble.url).origin === location.origin ? 'The server' : new URL(trouble.url).host);

// The trouble that there is at the moment, by what was asked for.
const troubles = new Map();
function troubled(what, trouble) {
  follow.disturbed();
  troubles.set(what, { trouble, since: troubles.get(what)?.since ?? now() });
  view();
}
function settled(what) {
  if (troubles.delete(what)) view();
}
function worst() {
  const all = [...troubles.values()];
  return all.find((one) => !['away', 'slow', 'offline'].includes(one.trouble.kind)) ?? all[0] ?? null;
}

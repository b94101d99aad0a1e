// What is wrong, in words.
'use strict';

/** A request that did not give what was asked for. `kind` is a key of `words`. */
class Trouble extends Error {
  constructor(kind, about, status = 0) {
    super(`${kind}${status ? ` (${status})` : ''}: ${about.url}`);
    Object.assign(this, { kind, status, ...about });
  }
}
const RULES = 'The rules that a bucket needs come with live-read as docs/backblaze/cors.json; its README has the command that sets them.';
const words = {
  begin: () => ['The stream has not begun', 'It starts here by itself as soon as there is something to show.'],
  gone: () => ['The playlist has gone', 'It was here, and now the server answers 404 for it. Looking for it again.'],
  private: (t) => ['Not allowed to read the stream',
    `${host(t)} answers ${t.status}. Is the bucket private? For this page it has to be public. (Some stores also answer so where there is nothing yet.) Looking again from time to time.`],
  cors: (t) => ['The store does not let this page read it', t.live
    ? `${host(t)} answers, but does not allow a page at ${location.origin} to send Range and ${LIVE_READ}: add them to the allowed headers of the bucket’s CORS rules. ${RULES}`
    : `${host(t)} answers, but has no CORS rule that allows a page at ${location.origin}. ${RULES}`],
  closed: (t) => ['The video cannot be read while it is being written',
    `${host(t)} answers 404 for it, although the playlist lists it. Either Live Read is not enabled for the bucket (writer --check tells), or the upload was cancelled. Trying again.`],
  missing: (t) => ['The video is not there', `The playlist lists it, but ${host(t)} answers 404: was the object deleted? Trying again.`],
  notyet: () => ['The newest data is not readable yet', 'The playlist is ahead of the video. Trying again.'],
  short: () => ['The newest data is not complete yet', 'The store gave less than the playlist lists. Trying again.'],
  ranges: (t) => ['The server does not send parts of a file', `${host(t)} answers a byte range request with the whole file. HLS out of one object needs byte ranges.`],
  offline: () => ['You are offline', 'It goes on by itself when the connection is back.'],
  away: (t) => ['The store cannot be reached', `${host(t)} does not answer. It goes on by itself when the store is back.`],
  slow: (t) => ['The store does not answer', `${host(t)} took too long. Trying again.`],
  mixed: () => ['The browser blocks the stream', 'This page came over https, so the playlist must, too.'],
  server: (t) => ['The store has trouble', `${host(t)} answers ${t.status}. Trying again.`],
  refused: (t) => ['The store refuses the request', `${host(t)} answers ${t.status} for ${t.url}.`],
  other: (t) => ['This is not an HLS playlist', t.url],
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

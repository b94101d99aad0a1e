// A store in which one object grows, for the states of index.html: byte ranges with the semantics of Live Read, and
// the playlist that belongs to what is stored. It is quick and does as it is told; writer and the local store, which
// are the real thing, are tested by hls.test.mjs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';

/** Makes a fragmented MP4 whose segments are all `segment` seconds long; gives its path. */
export async function makeVideo(dir, { name = 'video', seconds = 40, segment = 1, size = '640x360', bitrate = '1500k', fps = 30, codec = null, sound = true, base = 'default_base_moof' } = {}) {
  const file = path.join(dir, `${name}.mp4`);
  const ffmpeg = spawn('ffmpeg', [
    '-nostdin', '-loglevel', 'error', '-y', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${fps}`,
    '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-t', String(seconds), '-pix_fmt', 'yuv420p',
    ...(codec ?? ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', String(fps * segment),
      '-keyint_min', String(fps * segment), '-sc_threshold', '0', '-b:v', bitrate, '-maxrate', bitrate, '-bufsize', bitrate]),
    ...(sound ? ['-c:a', 'aac'] : ['-an']), '-movflags', `+empty_moov+frag_keyframe+${base}`, '-f', 'mp4', file,
  ], { stdio: ['ignore', 'ignore', 'pipe'] });
  let words = '';
  ffmpeg.stderr.on('data', (data) => { words += data; });
  // What else is tested meanwhile goes on.
  const [code] = await once(ffmpeg, 'close');
  if (code !== 0) throw new Error(`ffmpeg: ${words}`);
  return file;
}

/** Where the header and the fragments of a fragmented MP4 end. */
function fragmentEnds(bytes) {
  let [header, ends] = [0, []];
  for (let at = 0; at + 8 <= bytes.length;) {
    const type = bytes.toString('latin1', at + 4, at + 8);
    const size = bytes.readUInt32BE(at) || bytes.length - at;
    at += size;
    if (type === 'moov') header = at;
    if (type === 'mdat') ends.push(at);
  }
  return { header, ends };
}

export class GrowingStore {
  requests = [];      // { method, path, query, range, live, status }
  cors = true;        // false: no CORS headers at all; 'plain': no header of Live Read is allowed
  away = false;       // connections are closed without an answer
  answer = null;      // a status instead of the answer to a request for media or playlist: { media: 503 }
  asked = 0;          // requests for media so far
  hold = null;        // a promise: answers to requests for media wait for it
  speed = null;       // bytes a second at which media is sent, to all together
  texts = {};         // playlists that are not made of what is stored: path → text
  version = 'v1';     // of the object, in the addresses that the playlist names
  #start = null;
  #end = null;
  #halted = null;

  static async open(files, { segment = 1, partSeconds = 2, window = 0, dated = true, exact = false } = {}) {
    const store = new GrowingStore();
    store.segment = segment;
    store.window = window;
    store.dated = dated;
    store.exact = exact; // parts end where fragments do
    store.objects = new Map(Object.entries(files).map(([key, file]) => {
      const bytes = readFileSync(file);
      const { header, ends } = fragmentEnds(bytes);
      const seconds = ends.length * segment;
      return [key, { bytes, header, ends, seconds, part: Math.round(bytes.length / seconds * partSeconds) }];
    }));
    store.server = createServer((request, response) => store.#serve(request, response));
    await new Promise((resolve) => { store.server.listen(0, '127.0.0.1', resolve); });
    store.address = `http://127.0.0.1:${store.server.address().port}/`;
    return store;
  }

  /** The encoder begins to run. */
  begin() { [this.#start, this.#end] = [performance.now() / 1000, null]; }
  /** The encoder has been running for so much longer. */
  skip(seconds) { this.#start -= seconds; }
  /** When what is at the beginning was seen, in milliseconds since 1970. */
  get zero() { return Date.now() - (performance.now() / 1000 - this.#start) * 1000; }
  /** The encoder ends, and the upload is completed. */
  end() { this.#end = this.elapsed; }
  /** The encoder makes a pause. */
  halt() { this.#halted = performance.now() / 1000; }
  go() {
    this.#start += performance.now() / 1000 - this.#halted;
    this.#halted = null;
  }
  /** Everything has been recorded long ago. */
  finish() { this.#start = this.#end = performance.now() / 1000 - 1e6; }
  get elapsed() {
    if (this.#start === null) return 0;
    return this.#end ?? (this.#halted ?? performance.now() / 1000) - this.#start;
  }
  get ended() { return this.#end !== null; }

  /** What is stored of an object: whole parts, while it grows. */
  stored({ bytes, ends, part }) {
    if (this.#start === null) return 0;
    if (this.#end > 1e5 || this.#end < 0) return bytes.length;
    const made = Math.min(ends.length, Math.floor(this.elapsed / this.segment));
    const written = made === 0 ? 0 : ends[made - 1];
    return this.ended || this.exact ? written : Math.floor(written / part) * part;
  }

  playlist(key, whole = false) {
    const object = this.objects.get(key);
    const stored = this.stored(object);
    const last = object.ends.filter((end) => end <= stored).length;
    if (last === 0) return null;
    const from = this.window && !this.ended && !whole ? Math.max(0, last - this.window) : 0;
    const lines = ['#EXTM3U', '#EXT-X-VERSION:7', `#EXT-X-TARGETDURATION:${Math.ceil(object.part / object.bytes.length * object.seconds * 1.5)}`,
      `#EXT-X-MEDIA-SEQUENCE:${from}`];
    if (this.ended) lines.push('#EXT-X-PLAYLIST-TYPE:VOD');
    else if (!this.window || whole) lines.push('#EXT-X-PLAYLIST-TYPE:EVENT');
    const uri = `${key}?versionId=${this.version}`;
    lines.push(`#EXT-X-MAP:URI="${uri}",BYTERANGE="${object.header}@0"`);
    const { zero } = this;
    for (let i = from; i < last; i += 1) {
      const begin = i === 0 ? object.header : object.ends[i - 1];
      if (this.dated) lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(zero + i * this.segment * 1000).toISOString()}`);
      lines.push(`#EXTINF:${this.segment.toFixed(3)},`, `#EXT-X-BYTERANGE:${object.ends[i] - begin}@${begin}`, uri);
    }
    if (this.ended) lines.push('#EXT-X-ENDLIST');
    return `${lines.join('\n')}\n`;
  }

  #master() {
    const lines = ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-INDEPENDENT-SEGMENTS'];
    for (const [key, { bytes, seconds }] of this.objects) {
      const size = key.replace('.mp4', '');
      lines.push(`#EXT-X-STREAM-INF:BANDWIDTH=${Math.round(bytes.length / seconds * 8 * 1.2)},RESOLUTION=${size},FRAME-RATE=30.000,CODECS="avc1.42c01e,mp4a.40.2"`,
        `${size}.m3u8`);
    }
    return `${lines.join('\n')}\n`;
  }

  #serve(request, response) {
    if (this.away) return request.socket.destroy();
    const url = new URL(request.url, this.address);
    const live = request.headers['x-backblaze-live-read-enabled'] === 'true';
    const headers = { date: new Date().toUTCString() };
    if (this.cors) {
      headers['access-control-allow-origin'] = '*';
      headers['access-control-expose-headers'] = 'date, content-range';
    }
    const reply = (status, body = '', more = {}) => {
      this.requests.push({ method: request.method, path: url.pathname, query: url.search, range: request.headers.range, live, status });
      response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers, ...more });
      response.end(request.method === 'HEAD' ? '' : body);
    };
    if (request.method === 'OPTIONS') {
      const asked = request.headers['access-control-request-headers'] ?? '';
      if (!this.cors || (this.cors === 'plain' && asked.includes('backblaze'))) return reply(403);
      return reply(200, '', { 'access-control-allow-methods': 'GET, HEAD', 'access-control-allow-headers': asked, 'access-control-max-age': '3600' });
    }
    const key = decodeURIComponent(url.pathname.slice(1));
    const wrong = this.answer?.[key.endsWith('.m3u8') ? 'playlist' : 'media'];
    if (wrong) return reply(wrong);
    if (key.endsWith('.m3u8')) {
      if (this.texts[key]) return reply(200, this.texts[key], { 'content-type': 'application/vnd.apple.mpegurl' });
      const name = key.replace(/(\.dvr)?\.m3u8$/, '.mp4');
      const text = key === 'master.m3u8' ? this.#start !== null && this.#master() : this.objects.has(name) && this.playlist(name, key.endsWith('.dvr.m3u8'));
      if (!text) return reply(404);
      const etag = `"${text.length}"`;
      if (request.headers['if-none-match'] === etag) return reply(304, '', { etag });
      return reply(200, text, { 'content-type': 'application/vnd.apple.mpegurl', 'cache-control': 'no-cache', etag });
    }
    if (this.texts[key]) return reply(200, this.texts[key], { 'content-type': 'text/vtt' });
    const object = this.objects.get(key);
    if (!object || this.#start === null || (!live && !this.ended)) return reply(404);
    const range = (live ? /^bytes=(\d+)-(\d+)$/ : /^bytes=(\d+)-(\d*)$/).exec(request.headers.range ?? '');
    if (!range) return live ? reply(400) : reply(200, object.bytes, { 'content-type': 'video/mp4' });
    const stored = this.stored(object);
    const [first, last] = [Number(range[1]), Math.min(Number(range[2] || Infinity), stored - 1)];
    if (first >= stored) return reply(416);
    const answer = () => {
      const more = { 'content-type': 'video/mp4', 'content-range': `bytes ${first}-${last}/${this.ended ? stored : '*'}` };
      const bytes = object.bytes.subarray(first, last + 1);
      return this.speed === null ? reply(206, bytes, more) : this.#trickle(response, bytes, { ...headers, ...more });
    };
    this.asked += 1;
    if (this.hold === null) return answer();
    return void this.hold.then(answer);
  }

  /** Sends an answer at `speed`. */
  #trickle(response, bytes, headers) {
    response.writeHead(206, { 'content-length': bytes.length, ...headers });
    const [begin, from] = [performance.now(), this.speed];
    let sent = 0;
    const timer = setInterval(() => {
      const due = Math.min(bytes.length, Math.floor((performance.now() - begin) / 1000 * from));
      if (due > sent) response.write(bytes.subarray(sent, due));
      sent = due;
      if (sent < bytes.length && !response.destroyed) return;
      clearInterval(timer);
      response.end();
    }, 50);
  }

  close() {
    this.server.closeAllConnections?.();
    this.server.close();
  }
}

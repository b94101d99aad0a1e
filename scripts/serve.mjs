// A small static web server for index.html: `node scripts/serve.mjs [PORT]`.
// Serves the working directory, asked about anew each time, with byte ranges, and text compressed.
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const types = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.m3u8': 'application/vnd.apple.mpegurl',
  '.m4s': 'video/iso.segment',
  '.mp4': 'video/mp4',
  '.ts': 'video/mp2t',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
};

const encodings = {
  br: (bytes) => promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }),
  gzip: promisify(gzip),
};
const text = new Set(['.html', '.css', '.js', '.mjs', '.m3u8', '.svg']);
const small = 16 << 20; // larger files are not compressed in memory
const packed = new Map(); // file and encoding → { etag, bytes }

/** What an Accept-Encoding header lets us use; null for nothing. */
function encodingFor(accepts = '') {
  const taken = new Map(accepts.split(',').map((one) => one.trim().split(';')).map(([name, q = '']) => [name.trim(), !/^\s*q=0(\.0*)?\s*$/.test(q)]));
  return Object.keys(encodings).find((name) => taken.get(name)) ?? null;
}

/** A file compressed; kept for as long as it is the same. */
async function compressed(file, encoding, etag) {
  const key = `${encoding} ${file}`;
  if (packed.get(key)?.etag !== etag) packed.set(key, { etag, bytes: encodings[encoding](await readFile(file)) });
  return packed.get(key).bytes;
}

/** Serves `root` on `port` (0: any) of this machine; resolves to the server. */
export function serve(root, port = 0, host = '127.0.0.1') {
  const server = createServer((request, response) => {
    answer(path.resolve(root), request, response).catch(() => response.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(server));
  });
}

async function answer(root, request, response) {
  const fail = (status) => {
    response.writeHead(status, { 'content-type': 'text/plain' });
    response.end(`${status}\n`);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') return fail(405);
  let name;
  try {
    name = decodeURIComponent(new URL(request.url, 'http://x').pathname);
  } catch {
    return fail(400);
  }
  if (name.includes('\0')) return fail(400);
  // Nothing above the root, and no hidden file: .env lies beside the page.
  const inside = path.posix.normalize(name).split('/').filter(Boolean);
  if (inside.some((part) => part.startsWith('.'))) return fail(404);
  if (name.endsWith('/')) inside.push('index.html');
  const file = path.join(root, ...inside);
  const found = await stat(file).catch(() => null);
  if (!found?.isFile()) return fail(404);

  const headers = {
    'content-type': types[path.extname(file)] ?? 'application/octet-stream',
    'cache-control': 'no-cache',
    'accept-ranges': 'bytes',
    etag: `"${found.size.toString(36)}-${Math.round(found.mtimeMs).toString(36)}"`,
  };
  const squeezable = text.has(path.extname(file)) && found.size <= small;
  if (squeezable) headers.vary = 'accept-encoding';
  if (request.headers['if-none-match'] === headers.etag) {
    response.writeHead(304, headers);
    return response.end();
  }
  const encoding = squeezable && !request.headers.range ? encodingFor(request.headers['accept-encoding']) : null;
  if (encoding && found.size > 0) {
    const bytes = await compressed(file, encoding, headers.etag);
    response.writeHead(200, { ...headers, 'content-encoding': encoding, 'content-length': bytes.length });
    return response.end(request.method === 'HEAD' ? undefined : bytes);
  }
  let [first, last, status] = [0, found.size - 1, 200];
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '');
  if (range && (range[1] || range[2])) {
    if (range[1]) {
      first = Number(range[1]);
      if (range[2]) last = Math.min(last, Number(range[2]));
    } else {
      first = Math.max(0, found.size - Number(range[2]));
    }
    if (first > last) {
      response.writeHead(416, { 'content-range': `bytes */${found.size}` });
      return response.end();
    }
    status = 206;
    headers['content-range'] = `bytes ${first}-${last}/${found.size}`;
  }
  headers['content-length'] = last - first + 1;
  response.writeHead(status, headers);
  if (request.method === 'HEAD' || found.size === 0) return response.end();
  createReadStream(file, { start: first, end: last })
    .on('error', () => response.destroy())
    .pipe(response);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const port = Number(process.argv[2] ?? 8000);
  const server = await serve(process.cwd(), port);
  console.log(`the page is at http://127.0.0.1:${server.address().port}/`);
}

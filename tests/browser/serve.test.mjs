// The small web server: what it sends is compressed where that helps, and ranges are not.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';

import { serve } from '../../scripts/serve.mjs';

const script = 'const answer = 42;\n'.repeat(5000);
let root, server;
before(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'live-read-serve-'));
  writeFileSync(path.join(root, 'a.js'), script);
  writeFileSync(path.join(root, 'a.mp4'), Buffer.alloc(90_000));
  server = await serve(root);
});
after(() => {
  server.close();
  rmSync(root, { recursive: true });
});
const get = (name, headers = {}) => new Promise((resolve, reject) => {
  request({ port: server.address().port, host: '127.0.0.1', path: `/${name}`, headers }, (answer) => {
    const chunks = [];
    answer.on('data', (chunk) => chunks.push(chunk));
    answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) }));
  }).on('error', reject).end();
});

test('scripts are compressed as the browser likes it', async () => {
  for (const [accepts, name, open] of [['gzip, br', 'br', brotliDecompressSync], ['gzip', 'gzip', gunzipSync], ['gzip;q=1, br;q=0', 'gzip', gunzipSync]]) {
    const { headers, body } = await get('a.js', { 'accept-encoding': accepts });
    assert.equal(headers['content-encoding'], name);
    assert.equal(headers.vary, 'accept-encoding');
    assert.equal(Number(headers['content-length']), body.length);
    assert.ok(body.length < script.length / 10);
    assert.equal(open(body).toString(), script);
  }
  const { headers, body } = await get('a.js');
  assert.equal(headers['content-encoding'], undefined);
  assert.equal(body.toString(), script);
});

test('a changed file is sent anew, the same one is not', async () => {
  const first = await get('a.js', { 'accept-encoding': 'br' });
  const again = await get('a.js', { 'accept-encoding': 'br', 'if-none-match': first.headers.etag });
  assert.equal(again.status, 304);
  assert.equal(again.body.length, 0);
  writeFileSync(path.join(root, 'a.js'), 'new');
  const { status, body } = await get('a.js', { 'accept-encoding': 'br', 'if-none-match': first.headers.etag });
  assert.equal(status, 200);
  assert.equal(brotliDecompressSync(body).toString(), 'new');
});

test('media and ranges are sent as they are', async () => {
  const whole = await get('a.mp4', { 'accept-encoding': 'br' });
  assert.equal(whole.headers['content-encoding'], undefined);
  const { status, headers, body } = await get('a.js', { 'accept-encoding': 'br', range: 'bytes=0-1' });
  assert.equal(status, 206);
  assert.equal(headers['content-encoding'], undefined);
  assert.equal(body.length, 2);
});

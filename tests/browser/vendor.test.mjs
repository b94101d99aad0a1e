// What of others is in the repository is what npm installs, byte for byte.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('the hls.js in the program is the one that is installed', () => {
  const installed = path.dirname(createRequire(import.meta.url).resolve('hls.js/package.json'));
  const kept = fileURLToPath(new URL('../../page/vendor/', import.meta.url));
  for (const [here, there] of [['hls.light.min.js', 'dist/hls.light.min.js'], ['hls.min.js', 'dist/hls.min.js'], ['LICENSE', 'LICENSE']]) {
    assert.ok(readFileSync(path.join(kept, here)).equals(readFileSync(path.join(installed, there))), `cp node_modules/hls.js/${there} page/vendor/`);
  }
});

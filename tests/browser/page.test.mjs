// index.html with a folder of HLS files that ffmpeg makes out of a reader: today's use of `make page`.
// `make test` builds the tools and starts this; by hand:
//   cargo build --release --bins --example local_store && node --test tests/browser/
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Lab, assertPictures, built, fromTheBeginning, goOn, press, skip, state } from './lab.mjs';


/** store ← writer ← ffmpeg, and reader → ffmpeg → HLS files in `hls`. */
class Stream {
  static async start(lab, hls) {
    const stream = new Stream();
    const { env } = await lab.store('page', ['--listen', '127.0.0.1:0', '--bucket', 'page']);
    const at = { env, cwd: lab.dir };
    stream.writer = lab.start(path.join(built, 'writer'), ['--part-size', '5000000', 'page.mp4'], at);
    stream.reader = lab.start(path.join(built, 'reader'), ['page.mp4'], at);
    stream.hls = lab.start('ffmpeg', [
      '-nostdin', '-loglevel', 'error', '-i', '-', '-c', 'copy', '-f', 'hls',
      '-hls_time', '2', '-hls_playlist_type', 'event', path.join(hls, 'stream.m3u8'),
    ]);
    // 12 Mbit/s: a part fills every 3 or 4 s.
    stream.source = lab.start('ffmpeg', [
      '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=30',
      '-re', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000',
      '-t', '300', '-pix_fmt', 'yuv420p',
      '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '60', '-keyint_min', '60',
      '-b:v', '12M', '-minrate', '12M', '-maxrate', '12M', '-bufsize', '6M', '-x264-params', 'nal-hrd=cbr',
      '-c:a', 'aac', '-movflags', '+empty_moov+frag_keyframe+default_base_moof', '-f', 'mp4', '-',
    ]);
    stream.source.stdout.pipe(stream.writer.stdin);
    stream.reader.stdout.pipe(stream.hls.stdin);
    return stream;
  }

  /** The encoder ends, when what is to be seen of it live has been seen. */
  async end() {
    this.source.stdin.write('q');
    for (const name of ['source', 'writer', 'reader', 'hls']) {
      assert.equal(await this[name].ended, 0, `${name}: ${this[name].words}`);
    }
  }
}

describe('index.html with a folder of HLS files', { timeout: 900_000 }, () => {
  let lab;
  before(async () => { if (!skip) lab = await Lab.open(); });
  after(() => lab?.close());

  test('waits for the stream, plays it live, and goes on when it has ended', { skip }, async () => {
    const page = await lab.look();
    await page.until(state('waiting'), 'the page waits');
    assert.match(await page.value('document.body.innerText'), /has not begun/);

    const stream = await Stream.start(lab, path.join(lab.site, 'hls'));
    await page.until(state('live'), 'the page says that it is live');
    await page.value(goOn(2));
    await assertPictures(page);
    const playlist = readFileSync(path.join(lab.site, 'hls', 'stream.m3u8'), 'utf8');
    assert.doesNotMatch(playlist, /EXT-X-ENDLIST/, 'the stream is still live');
    assert.equal(stream.writer.exitCode, null, 'writer is still writing');

    await stream.end();
    await page.until(state('ended'), 'the page sees that the stream has ended');
    await page.value(goOn(0.5));
    await page.value(`new Promise((resolve) => {
      const video = document.querySelector('video');
      video.addEventListener('ended', resolve, { once: true });
      video.currentTime = video.duration - 1;
    })`);
    const whole = readFileSync(path.join(lab.site, 'hls', 'stream.m3u8'), 'utf8');
    const seconds = [...whole.matchAll(/^#EXTINF:([\d.]+)/gm)].reduce((sum, [, one]) => sum + Number(one), 0);
    assert.ok(Math.abs(await page.value('document.querySelector("video").duration') - seconds) < 1);
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('plays the recording from its beginning, on a narrow screen and by keyboard', { skip }, async () => {
    const page = await lab.look(undefined, { width: 390, height: 780 });
    await page.until(state('ended'), 'the page shows a recording');
    await page.value(goOn(1));
    await assertPictures(page);
    assert.ok(await page.value(fromTheBeginning), 'from the beginning');
    assert.ok(await page.value('document.documentElement.scrollWidth <= 390'), 'nothing sticks out');

    await press(page, ' ', 'Space', ' ');
    await page.until('document.querySelector("video").paused', 'the space bar pauses');
    const from = await page.value('document.querySelector("video").currentTime');
    await press(page, 'ArrowRight');
    await page.until(`document.querySelector("video").currentTime >= ${from} + 9`, 'the arrow goes on 10 s');
    await press(page, 'm', 'KeyM', 'm');
    await page.until('!document.querySelector("video").muted', 'm turns the sound on');
    if (process.env.SCREENSHOT) writeFileSync(process.env.SCREENSHOT, await page.screenshot());
    assert.deepEqual(page.errors, []);
    await page.close();
  });
});

// Drives a headless Chromium through its debugging pipe; no other package needed.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/**
 * Seconds after which a test that waits for an event says so. A machine that is busy with other things may take long: this
 * is no measure of the page.
 */
export const PATIENCE = 150;

export class Chromium {
  #waiting = new Map();
  #listeners = [];
  #next = 1;

  static async start(program) {
    const profile = mkdtempSync(path.join(tmpdir(), 'live-read-browser-'));
    const child = spawn(program, [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--disable-dev-shm-usage', '--mute-audio', '--window-size=1280,900',
      '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank',
    ], { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
    const browser = new Chromium(child, profile);
    await browser.send('Browser.getVersion');
    return browser;
  }

  constructor(child, profile) {
    this.child = child;
    this.profile = profile;
    this.words = '';
    child.stderr.on('data', (data) => { this.words = (this.words + data).slice(-4000); });
    this.gone = new Promise((resolve) => {
      child.once('error', (error) => { this.words += error.message; resolve(); });
      child.once('exit', resolve);
    });
    this.gone.then(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`Chromium has ended: ${this.words}`));
      this.#waiting.clear();
    });
    child.stdio[3].on('error', () => {});
    let rest = Buffer.alloc(0);
    child.stdio[4].on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        this.#hear(JSON.parse(rest.subarray(0, end).toString()));
        rest = rest.subarray(end + 1);
      }
    });
  }

  #hear(message) {
    if (message.id) {
      const { resolve, reject } = this.#waiting.get(message.id) ?? {};
      this.#waiting.delete(message.id);
      if (message.error) reject?.(new Error(message.error.message));
      else resolve?.(message.result);
    } else {
      for (const listener of this.#listeners) listener(message);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  on(listener) {
    this.#listeners.push(listener);
  }

  /** A new tab at `url`. What goes wrong in the page is gathered in `errors`. */
  async open(url, size = null) {
    // A window of its own: what is in a tab behind another is not loaded.
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank', newWindow: true });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId, targetId);
    await page.send('Page.enable');
    await page.send('Runtime.enable');
    if (size) {
      await page.send('Emulation.setDeviceMetricsOverride', { ...size, deviceScaleFactor: 1, mobile: true });
    }
    await page.send('Page.navigate', { url });
    return page;
  }

  async close() {
    // Asked first, so that it takes its own processes along.
    this.send('Browser.close').catch(() => {});
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 5000);
    await this.gone;
    clearTimeout(timer);
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Page {
  errors = [];

  constructor(browser, sessionId, targetId) {
    this.browser = browser;
    this.sessionId = sessionId;
    this.targetId = targetId;
    browser.on(({ method, params, sessionId: from }) => {
      if (from !== sessionId) return;
      if (method === 'Runtime.exceptionThrown') {
        this.errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
      } else if (method === 'Runtime.consoleAPICalled' && params.type === 'error') {
        this.errors.push(params.args.map((arg) => arg.value ?? arg.description).join(' '));
      }
    });
  }

  send(method, params) {
    return this.browser.send(method, params, this.sessionId);
  }

  /** The value of a JavaScript expression, or of the promise that it gives. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression, awaitPromise: true, returnByValue: true, userGesture: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until the expression is true; looks 20 times a second. */
  async until(expression, what, seconds = PATIENCE) {
    const met = await this.value(`new Promise((resolve) => {
      const end = performance.now() + ${seconds * 1000};
      const look = () => {
        let met = false;
        try { met = ${expression}; } catch { /* not there yet */ }
        if (met) resolve(true);
        else if (performance.now() > end) resolve(false);
        else setTimeout(look, 50);
      };
      look();
    })`);
    if (!met) throw new Error(`waited ${seconds} s in vain: ${what}; the page shows: ${await this.value('document.body.innerText')}`);
  }

  async screenshot() {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }

  close() {
    return this.browser.send('Target.closeTarget', { targetId: this.targetId });
  }
}

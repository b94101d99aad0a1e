// Drives a headless Firefox by its Marionette protocol; no other package needed.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { PATIENCE } from './chromium.mjs';

const settings = {
  'marionette.port': 0, 'media.autoplay.default': 0, 'browser.shell.checkDefaultBrowser': false, 'browser.aboutwelcome.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false, 'app.normandy.enabled': false, 'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false, 'app.update.disabledForTesting': true, 'full-screen-api.allow-trusted-requests-only': false,
};

export class Firefox {
  #next = 1;
  #waiting = new Map();

  static async start(program) {
    const firefox = new Firefox();
    firefox.profile = mkdtempSync(path.join(tmpdir(), 'live-read-firefox-'));
    writeFileSync(path.join(firefox.profile, 'user.js'), Object.entries(settings).map(([key, value]) => `user_pref(${JSON.stringify(key)}, ${value});\n`).join(''));
    firefox.child = spawn(program, ['--headless', '--no-remote', '--marionette', '--profile', firefox.profile, '--width', '1280', '--height', '900', 'about:blank'],
      { stdio: 'ignore', env: { ...process.env, HOME: firefox.profile } });
    firefox.gone = new Promise((resolve) => { firefox.child.once('exit', resolve); firefox.child.once('error', resolve); });
    await firefox.#connect();
    await firefox.send('WebDriver:NewSession', { capabilities: { alwaysMatch: { acceptInsecureCerts: true } } });
    await firefox.send('WebDriver:SetTimeouts', { script: (PATIENCE + 30) * 1000 });
    return firefox;
  }

  /** It writes the port that it has taken into its profile. */
  async #connect() {
    const end = performance.now() + PATIENCE * 1000;
    for (;;) {
      try {
        const port = Number(readFileSync(path.join(this.profile, 'MarionetteActivePort'), 'utf8'));
        this.socket = await new Promise((resolve, reject) => {
          const socket = connect(port, '127.0.0.1', () => resolve(socket));
          socket.once('error', reject);
        });
        break;
      } catch (error) {
        if (performance.now() > end || this.child.exitCode !== null) throw error;
        await new Promise((resolve) => { setTimeout(resolve, 100); });
      }
    }
    let rest = Buffer.alloc(0);
    this.socket.on('error', () => {});
    this.socket.on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      for (let colon = rest.indexOf(':'); colon > 0; colon = rest.indexOf(':')) {
        const length = Number(rest.subarray(0, colon));
        if (rest.length < colon + 1 + length) return;
        this.#hear(JSON.parse(rest.subarray(colon + 1, colon + 1 + length)));
        rest = rest.subarray(colon + 1 + length);
      }
    });
  }

  #hear(message) {
    if (!Array.isArray(message)) return; // its greeting
    const [, id, error, result] = message;
    const { resolve, reject } = this.#waiting.get(id) ?? {};
    this.#waiting.delete(id);
    if (error) reject?.(new Error(`${error.error}: ${error.message}`));
    else resolve?.(result);
  }

  send(command, parameters = {}) {
    const id = this.#next++;
    const text = JSON.stringify([0, id, command, parameters]);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
  }

  open(url) {
    return this.send('WebDriver:Navigate', { url });
  }

  /** The value of a JavaScript expression, or of the promise that it gives; as the page itself would have it. */
  async value(expression) {
    const script = `const done = arguments[arguments.length - 1];
      Promise.resolve().then(() => (${expression})).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
    const { value } = await this.send('WebDriver:ExecuteAsyncScript', { script, args: [], sandbox: null });
    if (value.error) throw new Error(value.error);
    return value.value;
  }

  async until(expression, what, seconds = PATIENCE) {
    const end = performance.now() + seconds * 1000;
    while (!await this.value(`(() => { try { return !!(${expression}); } catch { return false; } })()`)) {
      if (performance.now() > end) throw new Error(`waited ${seconds} s in vain: ${what}; the page shows: ${await this.value('document.body.innerText')}`);
      await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
  }

  /** Presses keys where the focus is; special ones by their WebDriver code points. */
  async keys(text) {
    const actions = [...text].flatMap((value) => [{ type: 'keyDown', value }, { type: 'keyUp', value }]);
    await this.send('WebDriver:PerformActions', { actions: [{ type: 'key', id: 'keyboard', actions }] });
  }

  async close() {
    this.send('Marionette:Quit', { flags: ['eForceQuit'] }).catch(() => {});
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 8000);
    await this.gone;
    clearTimeout(timer);
    this.socket?.destroy();
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10 });
  }
}

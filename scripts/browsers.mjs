// Finds the browsers of this machine; CHROMIUM and FIREFOX name another one.
//
//   node scripts/browsers.mjs chromium|firefox      prints its path, or ends with 1
import { accessSync, constants, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const applications = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
/** Ubuntu's chromium-browser is a script that only says to install a snap. */
const isStub = (file) => readFileSync(file).subarray(0, 4096).includes('snap install chromium');

const inPath = (names) => names.flatMap((name) => (process.env.PATH ?? '').split(path.delimiter).filter(Boolean).map((dir) => path.join(dir, name)));
/** What a variable names: a path, or a program in PATH. */
const named = (name) => (name.includes('/') ? [name] : inPath([name]));

/** The path of a Chromium or Chrome, or null. */
export function findChromium() {
  if (process.env.CHROMIUM) return named(process.env.CHROMIUM).find(isProgram) ?? null;
  const candidates = inPath(['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']);
  return [...candidates, ...applications].find((file) => isProgram(file) && !isStub(file)) ?? null;
}

/** The path of a Firefox, or null. */
export function findFirefox() {
  return (process.env.FIREFOX ? named(process.env.FIREFOX) : inPath(['firefox', 'firefox-esr'])).find(isProgram) ?? null;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const found = { chromium: findChromium, firefox: findFirefox }[process.argv[2]]?.();
  if (!found) process.exit(1);
  console.log(found);
}

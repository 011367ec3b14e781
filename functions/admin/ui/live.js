// Countdowns, periodic refreshes, and the wait for a pressed pointer.

let skew = 0; // milliseconds by which this machine's clock is behind the router's

/** Synchronise with the router's clock (ISO or epoch seconds), so that countdowns are right. */
export function setClock(now) {
  const time = typeof now === "number" ? now * 1000 : Date.parse(now);
  if (!Number.isNaN(time)) skew = time - Date.now();
}

/** The router's time in milliseconds. */
export const routerNow = () => Date.now() + skew;

const ticking = new Set(); // {element, tick}

setInterval(() => {
  for (const each of ticking) {
    if (each.element.isConnected) each.tick();
    else if (each.seen) ticking.delete(each);
    each.seen ||= each.element.isConnected;
  }
}, 1000);

/** Call `tick` now and every second for as long as `element` is on the page. */
export function live(element, tick) {
  tick();
  ticking.add({ element, tick, seen: false });
  return element;
}

/** Call `work` every `seconds` while the page is visible, until `signal` is aborted. */
export function repeat(seconds, work, signal) {
  let last = Date.now();
  let running = false;
  const refresh = async () => {
    if (running || document.hidden || Date.now() - last < seconds * 1000) return;
    running = true;
    try {
      await work();
    } finally {
      last = Date.now();
      running = false;
    }
  };
  const timer = setInterval(refresh, 500);
  document.addEventListener("visibilitychange", refresh, { signal });
  signal.addEventListener("abort", () => clearInterval(timer));
}

const CLICK = 50; // milliseconds within which a click follows the release
let end = null; // ends the press under way
let press = Promise.resolve();

addEventListener("pointerdown", () => end || (press = new Promise((resolve) => (end = resolve))), true);
const release = () => setTimeout(() => (end?.(), (end = null)), CLICK);
addEventListener("pointerup", release, true);
addEventListener("pointercancel", release, true);
addEventListener("blur", release);

/** Resolve once no pointer is pressed and its click, if any, has been handled. */
export const released = () => press;

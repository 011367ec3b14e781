// The admin API: one call, its errors in plain words, and a session that may end at any moment.

import { released } from "./live.js";

// Beside the page, so that it works at the root and under a stage alike.
const ROOT = new URL("../", import.meta.url);

let session = null; // {username, csrf, expires}
let signIn = null; // asks for the password and resolves once there is a session; set by the app
let asking = null; // the promise of the sign-in under way: many calls may find out at once

/** A failure with words for the person at the screen. `status` is 0 when there was no answer. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = null, param = null, body = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.body = body;
  }
}

export const url = (path) => new URL(path.replace(/^\//, ""), ROOT);
/** The address of the router, without a slash at its end. */
export const root = url("").href.replace(/\/$/, "");
export const currentSession = () => session;
export const setSession = (value) => (session = value);
export const onSignIn = (ask) => (signIn = ask);

/** Read. Resolves while no pointer is pressed: what is redrawn under a press loses its click. */
export async function get(path, query) {
  const answer = await call("GET", path, { query });
  await released();
  return answer;
}
export const post = (path, body = {}) => call("POST", path, { body });
export const put = (path, body) => call("PUT", path, { body });

/** A look that is taken when it is first needed and then remembered; one that failed is taken again. */
export function once(look) {
  let found = null;
  return () =>
    (found ??= look().catch((error) => {
      found = null;
      throw error;
    }));
}

const PATIENCE = 2; // times that a look at tables which can't be reached right now is repeated
const PAUSE = 1500; // milliseconds before each

/** Call the API and return its JSON. When the session has ended: signs in again, then repeats the call. */
export async function call(method, path, { query, body, signal, again = true, tried = 0 } = {}) {
  const target = url(path);
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined && value !== null && value !== "") target.searchParams.set(name, value);
  const sent = session;
  const headers = { accept: "application/json" };
  if (session) headers["x-vibe-csrf"] = session.csrf;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(target, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The router can't be reached. Check the connection, then try again.");
  }
  const parsed = await answer.json().catch(() => null);
  if (answer.ok) return parsed;
  if (answer.status === 401 && again && signIn) {
    const renewed = session !== null && session !== sent; // somebody signed in while this was on its way
    const left = sent !== null && session === null && !asking; // … or out
    if (left) throw toError(answer.status, parsed);
    if (!renewed) await signedInAgain();
    return call(method, path, { query, body, signal, again: renewed });
  }
  if (answer.status === 503 && method === "GET" && tried < PATIENCE) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    return call(method, path, { query, body, signal, again, tried: tried + 1 });
  }
  if (answer.status === 403 && again && parsed?.error?.code === "csrf_failed") {
    await resume(); // somebody signed in anew in another tab
    return call(method, path, { query, body, signal, again: false });
  }
  throw toError(answer.status, parsed);
}

function signedInAgain() {
  session = null;
  asking ??= signIn().finally(() => (asking = null));
  return asking;
}

/** Make an error of an answer that is one. */
export function toError(status, parsed) {
  const told = parsed?.error ?? {};
  const fallback =
    status >= 500
      ? `The router failed (${status}). Try again; its log has the reason.`
      : `The router refused this (${status}).`;
  return new ApiError(told.message || parsed?.message || fallback, {
    status,
    code: told.code ?? null,
    param: told.param ?? null,
    body: parsed,
  });
}

// That somebody signed in here before, so that a first visit need not ask. The session itself is a cookie out of reach.
const BEFORE = "vibe-signed-in";

function remember(signedIn) {
  try {
    if (signedIn) localStorage.setItem(BEFORE, "yes");
    else localStorage.removeItem(BEFORE);
  } catch {
    // Without storage one signs in once more after a reload.
  }
}

function remembered() {
  try {
    return localStorage.getItem(BEFORE) === "yes";
  } catch {
    return false;
  }
}

/** Look whether there is a session already; null when not. */
export async function resume() {
  if (!remembered()) return null;
  try {
    session = await call("GET", "ui/session", { again: false });
  } catch (error) {
    if (error.status !== 401) throw error;
    session = null;
    remember(false);
  }
  return session;
}

export async function signInWith(username, password) {
  session = await call("POST", "ui/sign-in", { body: { username, password }, again: false });
  remember(true);
  return session;
}

export async function signOut() {
  await call("POST", "ui/sign-out", { body: {}, again: false }).catch(() => null);
  session = null;
  remember(false);
}

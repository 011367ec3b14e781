// Calls to the admin API: the session, its renewal, retries, and error messages.

import { released } from "./live.js";

// Relative to the page, so that it works with and without a stage prefix.
const ROOT = new URL("../", import.meta.url);

let session = null; // {username, csrf, expires}
let leaving = false; // while signing out
let signIn = null; // asks for the password, resolves once a session exists; set by app.js
let signingIn = null; // the promise of the sign-in in progress, shared by all calls that were rejected

/** A failed call; `message` is shown to the user. `status` is 0 without a response. */
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

/** Read. Resolves only while no pointer is pressed: a control redrawn under a press would lose its click. */
export async function get(path, query) {
  const answer = await call("GET", path, { query });
  await released();
  return answer;
}
/** The same as text, for a download. */
export const getText = (path, query) => call("GET", path, { query, text: true });
/** Read again; null if nothing has changed since the answer with this `etag`. The answer has the next `etag`. */
export async function getIfChanged(path, query, etag) {
  const answer = await call("GET", path, { query, etag: etag ?? "" });
  await released();
  return answer;
}
export const post = (path, body = {}) => call("POST", path, { body });
export const put = (path, body) => call("PUT", path, { body });
export const remove = (path) => call("DELETE", path);

/** Call `read` on first use and cache its result; a failure is not cached. */
export function once(read) {
  let found = null;
  return () =>
    (found ??= read().catch((error) => {
      found = null;
      throw error;
    }));
}

const RETRIES = 2; // of a read that was answered with 503
const RETRY_DELAY = 1500; // milliseconds

/**
 * Call the API and return its JSON, or with `text` its text. With an `etag`, "" for none yet, the answer has the next one,
 * or is null if nothing has changed. After an expired session, asks the user to sign in and repeats the call.
 */
export async function call(method, path, options = {}) {
  const { query, body, signal, etag, text = false, again = true, tried = 0 } = options;
  const target = url(path);
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined && value !== null && value !== "") target.searchParams.set(name, value);
  const sent = session;
  const headers = { accept: "application/json" };
  if (session) headers["x-vibe-csrf"] = session.csrf;
  if (etag) headers["if-none-match"] = etag;
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
  if (answer.status === 304) return null;
  if (answer.ok && text) return answer.text();
  const parsed = await answer.json().catch(() => null);
  if (answer.ok) return etag === undefined ? parsed : { ...parsed, etag: answer.headers.get("etag") };
  if (answer.status === 401 && again && signIn) {
    const renewed = session !== null && session !== sent; // signed in again meanwhile
    const left = leaving || (sent !== null && session === null && !signingIn); // signed out meanwhile
    if (left) throw toError(answer.status, parsed);
    if (!renewed) await signInAgain();
    return call(method, path, { ...options, again: renewed });
  }
  if (answer.status === 503 && method === "GET" && tried < RETRIES) {
    await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
    return call(method, path, { ...options, tried: tried + 1 });
  }
  if (answer.status === 403 && again && parsed?.error?.code === "csrf_failed") {
    await resume(); // another tab has signed in again
    return call(method, path, { ...options, again: false });
  }
  throw toError(answer.status, parsed);
}

function signInAgain() {
  session = null;
  signingIn ??= signIn().finally(() => (signingIn = null));
  return signingIn;
}

/** Build the error of a failed response. */
export function toError(status, parsed) {
  const reported = parsed?.error ?? {};
  const fallback =
    status >= 500
      ? `The router failed with status ${status}. Try again; the reason is in its log.`
      : `The router rejected the request with status ${status}.`;
  return new ApiError(reported.message || parsed?.message || fallback, {
    status,
    code: reported.code ?? null,
    param: reported.param ?? null,
    body: parsed,
  });
}

// Whether this browser has signed in before: saves a first visit the call. The session itself is an HttpOnly cookie.
const BEFORE = "vibe-signed-in";

function remember(signedIn) {
  try {
    if (signedIn) localStorage.setItem(BEFORE, "yes");
    else localStorage.removeItem(BEFORE);
  } catch {
    // Without storage a reload asks for the password again.
  }
}

function remembered() {
  try {
    return localStorage.getItem(BEFORE) === "yes";
  } catch {
    return false;
  }
}

/** Resume the session of an earlier visit; null without one. */
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

/** Whether an OpenID Connect provider is configured; the router's answer to an older page is no. */
export const readSignInOptions = () => call("GET", "ui/sign-in-options", { again: false });
export const providerSignIn = url("ui/oidc/sign-in").href;

/** The browser comes back from the provider with `?signed-in`: there is a session, whatever was remembered. */
export function rememberReturn() {
  const address = new URL(location.href);
  if (!address.searchParams.has("signed-in")) return;
  remember(true);
  address.searchParams.delete("signed-in");
  history.replaceState(null, "", address);
}

export async function signInWith(username, password) {
  session = await call("POST", "ui/sign-in", { body: { username, password }, again: false });
  remember(true);
  return session;
}

/** End this session, or with `all` every session of the user; only then a failure is reported. */
export async function signOut({ all = false } = {}) {
  leaving = true;
  try {
    await call("POST", "ui/sign-out", { body: { all }, again: false });
  } catch (error) {
    if (all && error.status !== 401) throw error;
  } finally {
    leaving = false;
  }
  session = null;
  remember(false);
}

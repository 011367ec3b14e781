// The API calls of the page, by the view that makes them. Only signing in and out is in session.js.

import { get, getIfChanged, getText, post, put, remove, url } from "./session.js";

const readRoutes = () => get("routes");
const readCooldowns = () => get("cooldowns");
export const clearCooldown = (deployment) => post("cooldowns/clear", { deployment }); // and that of its provider's key
const readTeams = () => get("team/list");
const readKeyPage = (page, size, team) => get("key/list", { return_full_object: true, team_id: team, page, size });

/** Read every key (of a team), newest first, a hundred per call, up to about `most`. */
async function readAllKeys({ team, most = Infinity } = {}) {
  const keys = [];
  for (let page = 1, last = 1; page <= last && keys.length < most; page++) {
    const answer = await readKeyPage(page, 100, team);
    keys.push(...answer.keys);
    last = answer.total_pages;
  }
  return keys;
}

export const overview = {
  readUsage: (days) => get("usage/overview", { days }),
  readCooldowns,
  clearCooldown,
};

export const models = {
  readRoutes,
  clearCooldown,
  compareRoutes: (rows) => post("routes/dry-run", rows),
  saveRoutes: (body) => put("routes", body),
  readHistory: () => get("routes/history", { limit: 200 }),
  rollBack: (body) => post("routes/rollback", body),
  explain: (body) => post("routes/explain", body),
  setSecret: (name, secret) => put(`secrets/${encodeURIComponent(name)}`, { secret }),
  deleteSecret: (name) => remove(`secrets/${encodeURIComponent(name)}`),
  readAllKeys,
};

export const keys = {
  readRoutes,
  readTeams,
  readKeyPage,
  readAllKeys,
  createKey: (body) => post("key/generate", body),
  updateKey: (body) => post("key/update", body),
  rotateKey: (key, body) => post(`key/${encodeURIComponent(key)}/regenerate`, body),
  blockKey: (key) => post("key/block", { key }),
  unblockKey: (key) => post("key/unblock", { key }),
  deleteKey: (key) => post("key/delete", { keys: [key] }),
  createTeam: (body) => post("team/new", body),
  updateTeam: (body) => post("team/update", body),
  blockTeam: (id) => post("team/block", { team_id: id }),
  unblockTeam: (id) => post("team/unblock", { team_id: id }),
  deleteTeam: (id) => post("team/delete", { team_ids: [id] }),
  readUserPage: (page, page_size) => get("user/list", { page, page_size }),
  createUser: (body) => post("user/new", { ...body, auto_create_key: false }),
  updateUser: (body) => post("user/update", body),
  deleteUser: (id) => post("user/delete", { user_ids: [id] }),
};

const seriesAt = (path) => ({
  readSeries: (query) => get(path, query),
  readCsv: (query) => getText(path, { ...query, csv: true, limit: 1000 }),
});
/** Usage over time: of everything for admins, of their own keys for others. */
export const usage = seriesAt("usage/series");
export const ownUsage = seriesAt("me/usage/series");

export const requests = {
  readRequests: (query) => get("usage/requests", query),
  followRequests: (query, etag) => getIfChanged("usage/requests", query, etag),
  readRequest: (id) => get(`usage/requests/${encodeURIComponent(id)}`),
  readRoutes,
  readTeams,
  readAllKeys,
};

export const me = {
  readKeys: () => get("me/keys"),
  readUsage: (days) => get("me/usage", { days }),
  createKey: (body) => post("me/keys", body),
  rotateKey: (id) => post(`me/keys/${encodeURIComponent(id)}/regenerate`),
  blockKey: (id) => post(`me/keys/${encodeURIComponent(id)}/block`),
  unblockKey: (id) => post(`me/keys/${encodeURIComponent(id)}/unblock`),
};

export const audit = {
  readEntries: (query) => get("audit", query),
};

export const alerts = {
  read: (query) => get("alerts", query),
  readOne: (id) => get(`alerts/${encodeURIComponent(id)}`),
  test: (body) => post("alerts/test", body),
  resend: (id, body) => post(`alerts/${encodeURIComponent(id)}/resend`, body),
  readRoutes,
  saveRoutes: (body) => put("routes", body),
};

export const complexity = {
  readRollouts: () => get("complexity"),
  readReport: (model) => get("complexity/report", { model }),
  advance: (body) => post("complexity/rollout", body),
  rollBack: (body) => post("complexity/rollback", body),
  undo: (body) => post("complexity/undo", body),
};

/** Send a request to the model API with a virtual key, as any client would. Resolves with the `Response`. */
const sendWith = (key, path, body, signal) =>
  fetch(url(path), {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(body),
    credentials: "omit",
    signal,
  });

export const playground = {
  readRoutes,
  createKey: (body) => post("key/generate", body),
  complete: (key, body, signal) => sendWith(key, "v1/chat/completions", body, signal),
  /** Say whether an answer was good (1) or not (-1), with the key that asked for it. Resolves with the `Response`. */
  giveFeedback: (key, body) => sendWith(key, "v1/feedback", body),
};

export const providerTest = {
  createKey: (body) => post("key/generate", body),
  send: sendWith,
  clearCooldown,
};

export const api = {
  readAdminDocument: () => get("ui/openapi.json"),
  readModelDocument: () => get("openapi.json"),
};

/** Where the archived request and answer are downloaded, with the cookie of the session. */
export const archiveUrl = (id) => url(`usage/requests/${encodeURIComponent(id)}/archive`);

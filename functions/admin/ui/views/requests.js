// Requests: the list, which follows new requests, its filters, and the drawer with one request's details.

import { addressOf, filtersIn } from "../address.js";
import { busy, button, empty, failure, segmented, select, skeleton, table, toggle } from "../controls.js";
import { openDialog, toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { requests as api } from "../endpoints.js";
import { cost, count, keyName, moment, ms, NONE, timeOf } from "../format.js";
import { repeat } from "../live.js";
import { once } from "../session.js";
import { keyOf, names, drawRequest, succeeded, teams } from "./request.js";

const PAGE = 50;
const MOST_KEYS = 1000; // in the filter's menu
const MOST_FOLLOWED = 200; // rows; beyond that the list stays as it is
const FOLLOW_SECONDS = 5;
const FILTERS = { status: "", model: "", deployment: "", key: "", team: "", day: "" };
let isLive = true; // across changes of view

export async function show(view, { signal, head, parts, query, setAddress }) {
  const filters = filtersIn(query, FILTERS);
  const list = h("div", {}, skeleton(8));
  const choices = h("div", { class: "filters" });
  const followed = h("p", { class: "quiet small" });
  const here = () => addressOf("requests", filters);
  const addressOfRow = (id) => addressOf(`requests/${encodeURIComponent(id)}`, filters);
  let rows = [];
  let next = null;
  let etag = null; // of the rows that are shown
  let arrived = new Set(); // ids of the rows that the last refresh brought
  function change(changed) {
    Object.assign(filters, changed);
    setAddress(here());
    load();
  }
  const live = toggle("Live", isLive, (on) => {
    isLive = on;
    if (on) follow();
    drawFollowed();
  }, { "aria-label": "Live: follow new requests" });
  head.append(
    h("div", { class: "live" }, live, followed),
    segmented("Outcome", [["", "All"], ["ok", "OK"], ["failover", "Failed over"], ["error", "Errors"]], filters.status, (status) => change({ status })),
  );
  view.append(choices, list);

  let turn = 0;
  /** Read the newest requests. */
  async function load() {
    const mine = ++turn;
    swap(list, skeleton(8));
    try {
      const answer = await read(PAGE);
      if (signal.aborted || mine !== turn) return;
      arrived = new Set();
      etag = null;
      showPage(answer);
    } catch (error) {
      if (!signal.aborted && mine === turn) swap(list, failure(error, load));
    }
  }

  /** Read as many of the newest as are shown, unless nothing has changed. A failure is left to the next time. */
  async function follow() {
    if (!isLive || rows.length > MOST_FOLLOWED || document.querySelector("dialog")) return drawFollowed();
    const mine = turn;
    const limit = Math.max(PAGE, rows.length);
    try {
      const answer = await api.followRequests({ ...filters, limit }, etag);
      if (signal.aborted || mine !== turn || rows.length > limit || !isLive) return undefined;
      drawFollowed(new Date());
      if (answer === null) return undefined;
      const known = new Set(rows.map((row) => row.request_id));
      arrived = new Set(answer.requests.map((row) => row.request_id).filter((id) => !known.has(id)));
      etag = answer.etag;
      if (answer.requests.length || !answer.next) showPage(answer);
    } catch {
      drawFollowed();
    }
    return undefined;
  }

  function showPage(answer) {
    rows = answer.requests;
    next = answer.next;
    draw();
    drawFollowed(new Date());
  }

  function drawFollowed(at = null) {
    if (!isLive) swap(followed, "Paused");
    else if (rows.length > MOST_FOLLOWED) swap(followed, `Paused: more than ${MOST_FOLLOWED} rows are shown`);
    else if (at) swap(followed, `Updated ${timeOf(at)}`);
  }

  /** Read a page. The API scans a bounded part of the table per call: an empty page may have a next one. */
  async function read(limit, before) {
    let answer = await api.readRequests({ ...filters, limit, before });
    for (let tries = 0; tries < 3 && !answer.requests.length && answer.next; tries++) answer = await api.readRequests({ ...filters, limit, before: answer.next });
    return answer;
  }

  async function more() {
    const mine = turn;
    try {
      const answer = await read(PAGE, next);
      if (signal.aborted || mine !== turn) return;
      arrived = new Set();
      etag = null;
      showPage({ requests: [...rows, ...answer.requests], next: answer.next });
    } catch (error) {
      if (!signal.aborted) toast(error.message, { kind: "bad" });
    }
  }

  function moreButton(label) {
    const control = button(label, () => busy(control, more), { "data-focus": "more" });
    return control;
  }

  function draw() {
    if (!rows.length && next) {
      swap(list, empty("No matches so far", "No request of the last days matches these filters.", moreButton("Search further back")));
      return;
    }
    if (!rows.length) {
      const filtered = Object.values(filters).some(Boolean);
      swap(
        list,
        filtered
          ? empty("No matching requests", "No request of the last 90 days matches these filters.", button("Clear filters", clear))
          : empty("No requests yet", "Every request appears here with its attempts, routing decisions and cost.", h("a", { class: "button primary", href: "#/playground" }, "Open the playground")),
      );
      return;
    }
    swap(
      list,
      h(
        "div",
        { class: "framed" },
        table(
          "Requests, newest first",
          [
            { label: "Time", head: true, cell: (row) => h("a", { href: addressOfRow(row.request_id), "data-focus": row.request_id, on: { click: (event) => (event.preventDefault(), open(row.request_id, row)) } }, moment(row.at)) },
            { label: "Model", cell: (row) => h("span", { class: "mono" }, row.model ?? NONE) },
            { label: "Served by", cell: served },
            { label: "Status", cell: status },
            { label: "Key", cell: (row) => h("span", { class: "name" }, keyOf(row)) },
            { label: "Tokens", number: true, cell: tokens },
            { label: "Cost", number: true, cell: (row) => (row.deployment ? cost(row.cost) : NONE) },
            { label: "Duration", number: true, cell: duration },
          ],
          rows,
          { rowProps: (row) => ({ class: arrived.has(row.request_id) ? "clickable arrived" : "clickable", on: { click: (event) => event.target.closest("a") || open(row.request_id, row) } }) },
        ),
      ),
      next ? h("div", { class: "more" }, moreButton("Load more")) : h("p", { class: "quiet more" }, "End of list. Requests are stored for 90 days."),
    );
  }

  function clear() {
    view.querySelector(".segmented input").checked = true;
    change(FILTERS);
    drawChoices();
  }

  async function open(id, listed) {
    await openDialog("Request", (close) => {
      const body = h("div", {}, listed ? drawRequest(listed) : skeleton(6));
      const read = async (tries = 5) => {
        try {
          swap(body, drawRequest(await api.readRequest(id)));
        } catch (error) {
          // A request is stored after its response has been sent: it may appear in a moment.
          if (error.status === 404 && tries && body.isConnected) setTimeout(() => read(tries - 1), 800);
          else swap(body, failure(error, () => read()));
        }
      };
      if (!listed) read();
      return body;
    }, { side: true, address: addressOfRow(id) });
  }

  // The id is in the response's x-vibe-request-id and in the log. The beginning suffices for a request in the list.
  const idInput = h("input", { type: "search", placeholder: "Find by id", "aria-label": "Find a request by its id", maxlength: "200", spellcheck: "false", "data-focus": "find", on: { keydown: (event) => event.key === "Enter" && find() } });
  function find() {
    const id = idInput.value.trim();
    if (!id) return;
    const found = rows.filter((row) => row.request_id.startsWith(id));
    idInput.value = "";
    open(found.length === 1 ? found[0].request_id : id, found.length === 1 ? found[0] : null);
  }

  let options = { models: [], deployments: [], keys: [], teams: [] };
  function drawChoices() {
    const choice = (name, label, values) => select([["", label], ...values], filters[name], { "aria-label": label, on: { change: (event) => change({ [name]: event.target.value }) } });
    const withChosen = (values, value) => (value && !values.some((each) => (Array.isArray(each) ? each[0] : each) === value) ? [value, ...values] : values);
    swap(
      choices,
      choice("model", "All models", withChosen(options.models, filters.model)),
      choice("deployment", "All deployments", withChosen(options.deployments, filters.deployment)),
      choice("key", "All keys", withChosen(options.keys, filters.key)),
      options.teams.length || filters.team ? choice("team", "All teams", withChosen(options.teams, filters.team)) : null,
      h("input", { type: "date", "aria-label": "Day (UTC)", value: filters.day, on: { change: (event) => change({ day: event.target.value }) } }),
      idInput,
    );
  }
  drawChoices();

  const readOptions = once(async () => {
    const [routes, keys, found] = await Promise.all([api.readRoutes(), api.readAllKeys({ most: MOST_KEYS }), api.readTeams()]);
    teams.clear();
    for (const team of found) teams.set(team.team_id, team.team_alias || team.team_id);
    names.clear();
    for (const key of keys) if (!names.has(key.key_id)) names.set(key.key_id, keyName(key)); // a rotated key: the newest name
    options = {
      models: Object.keys(routes.models).sort(),
      deployments: [...new Set(Object.values(routes.chains).flat(2).map((entry) => entry.deployment))].sort(),
      keys: [["master", "master key"], ...names],
      teams: [...teams],
    };
    if (signal.aborted) return;
    drawChoices();
    if (rows.length) draw();
  });
  const loadOptions = () => readOptions().catch(() => null); // the next refresh tries again

  const first = load();
  loadOptions();
  if (parts[0]) {
    setAddress(here()); // where Back leads
    open(parts[0]);
  }
  await first;
  repeat(FOLLOW_SECONDS, follow, signal);
  repeat(FOLLOW_SECONDS, loadOptions, signal); // until they are loaded
}

const twoLines = (first, second) => [first, h("span", { class: "quiet small" }, second)];

function tokens(row) {
  if (row.prompt_tokens === null && row.completion_tokens === null) return NONE;
  return twoLines(`${count(row.prompt_tokens ?? 0)} in`, `${count(row.completion_tokens ?? 0)} out`);
}

const duration = (row) => (row.ttft_ms ? twoLines(ms(row.total_ms), `first token ${ms(row.ttft_ms)}`) : ms(row.total_ms));

/** The model that served the request, above its provider. */
function served(row) {
  if (row.cache_hit) return [h("span", { class: "quiet" }, "from the cache")];
  if (!row.deployment) return [path(row), h("span", { class: "quiet" }, "none")];
  const [provider] = row.deployment.split("/", 1);
  return [path(row), h("span", { class: "mono" }, row.deployment.slice(provider.length + 1)), h("span", { class: "quiet small" }, provider)];
}

/** A dot for every attempt, in order. */
function path(row) {
  const attempts = row.attempts ?? [];
  if (attempts.length < 2) return null;
  return h("span", { class: "path", "aria-hidden": "true" }, attempts.map((attempt) => h("i", { class: succeeded(attempt) ? "ok" : "bad" })));
}

function status(row) {
  const failed = row.status >= 400 || row.error;
  const tone = failed ? "bad" : row.failover ? "warn" : "good";
  const text = failed ? (row.status >= 400 ? row.status : "interrupted") : row.failover ? "failed over" : "OK";
  return h("span", { class: `status ${tone}` }, text);
}

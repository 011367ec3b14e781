// Overview: how much, how well, what it cost, and how every deployment is.

import { chart, meter } from "../charts.js";
import { button, copy, empty, failure, segmented, skeleton, table } from "../controls.js";
import { h, swap } from "../dom.js";
import { overview as api } from "../endpoints.js";
import { cost, count, dayOf, fullTime, minuteOf, money, ms, NONE, percent, plural, short, timeOf } from "../format.js";
import { repeat, routerNow, setClock } from "../live.js";
import { url } from "../session.js";
import { clearButton, countdown, reason, stateBadge } from "./state.js";

const RANGES = [
  ["1", "24 hours"],
  ["7", "7 days"],
  ["30", "30 days"],
];
const HOUR = 3_600_000;
let days = "1"; // what was chosen last, kept over a change of view

export async function show(view, { signal, head }) {
  const updated = h("p", { class: "quiet updated" });
  const figures = h("div", {}, skeleton(2));
  const ill = h("div", {});
  const details = h("div", { class: "details" }, skeleton(5));
  const deployments = h("div", {}, skeleton(4));
  head.append(
    segmented("Time", RANGES, days, (value) => {
      days = value;
      load();
    }),
    updated,
  );
  view.append(figures, ill, details, h("section", { "aria-labelledby": "deployments-title" }, h("h2", { id: "deployments-title" }, "Deployments"), deployments));

  let used = [];
  let turn = 0;
  let drawn = "";

  async function loadUsage() {
    const mine = ++turn;
    try {
      const usage = await api.readUsage(days);
      if (signal.aborted || mine !== turn) return;
      used = usage.deployments ?? [];
      const now = JSON.stringify([days, usage.totals, Math.floor(routerNow() / HOUR)]);
      if (now !== drawn) {
        swap(figures, usage.totals.requests ? drawTiles(usage.totals) : firstMinute());
        swap(details, usage.totals.requests ? drawDetails(usage) : null);
        drawn = now;
      }
      updated.textContent = `Updated ${timeOf(new Date())}`;
    } catch (error) {
      if (signal.aborted || mine !== turn) return;
      swap(figures, failure(error, load));
      swap(details);
      drawn = "";
    }
  }

  let states = null;
  const redrawDeployments = () => states && !signal.aborted && swap(deployments, drawDeployments(states, used));

  async function loadStates() {
    try {
      const cooldowns = await api.readCooldowns();
      if (signal.aborted) return;
      setClock(cooldowns.now);
      states = cooldowns.deployments;
      swap(ill, drawResting(states, loadStates));
      redrawDeployments();
    } catch (error) {
      if (!signal.aborted) swap(deployments, failure(error, loadStates));
    }
  }

  const load = async () => {
    // Both at once, and the states again when the usage is there: their table needs it.
    await Promise.all([loadUsage(), loadStates()]);
    redrawDeployments();
  };
  await load();
  repeat(10, loadStates, signal);
  repeat(30, loadUsage, signal);
}

// --- figures and charts ---

function drawTiles(totals) {
  return h(
    "div",
    { class: "tiles" },
    tile("Requests", short(totals.requests), totals.errors ? `${plural(totals.errors, "error")}, ${percent(totals.errors, totals.requests)}` : "no errors", totals.errors ? "bad" : ""),
    tile("Failed over", percent(totals.failovers, totals.requests), totals.failovers ? `${plural(totals.failovers, "request")} served by a later layer` : "the first layer served all"),
    tile("Spend", totals.unpriced >= totals.requests ? "unknown" : money(totals.cost), totals.unpriced ? `${plural(totals.unpriced, "request")} without a known price` : "every request has a price"),
    tile("First token", ms(totals.ttft_ms), "on average"),
    tile("Tokens", short((totals.prompt_tokens ?? 0) + (totals.completion_tokens ?? 0)), `${short(totals.prompt_tokens)} in, ${short(totals.completion_tokens)} out`),
  );
}

function drawDetails(usage) {
  const { totals } = usage;
  const points = timeline(usage);
  return [
    h(
      "div",
      { class: "charts" },
      chart({
        title: "Requests",
        points,
        format: short,
        series: [
          { name: "First layer", tone: "one", value: (point) => Math.max(point.requests - point.failovers - point.errors, 0) },
          { name: "Failed over", tone: "two", value: (point) => point.failovers },
          { name: "Errors", tone: "three", value: (point) => point.errors },
        ],
        summary: `${count(totals.requests)} in all, ${count(totals.failovers)} failed over, ${count(totals.errors)} errors.`,
      }),
      chart({
        title: "Spend",
        points,
        format: money,
        series: [{ name: "Spend", tone: "one", value: (point) => point.cost }],
        summary: `${money(totals.cost)} in all${totals.unpriced ? `, and ${plural(totals.unpriced, "request")} without a known price` : ""}.`,
        empty: totals.unpriced ? "No deployment that answered has a known price." : undefined,
      }),
      chart({
        title: "First token, average",
        kind: "line",
        points,
        format: ms,
        series: [{ name: "First token", tone: "one", value: (point) => point.ttft_ms }],
        summary: `${ms(totals.ttft_ms)} on average.`,
      }),
    ),
    h("div", { class: "breakdowns" }, breakdown("Models", usage.models), breakdown("Keys", usage.keys), breakdown("Teams", usage.teams)),
  ];
}

function tile(label, value, note, tone = "") {
  return h("div", { class: "tile" }, h("h2", { class: "tile-label" }, label), h("p", { class: "tile-value" }, value), h("p", { class: `tile-note ${tone}` }, note));
}

/** Every hour or day of the range, also those in which nothing happened. */
function timeline(usage) {
  const none = { requests: 0, errors: 0, failovers: 0, cost: 0, unpriced: 0, ttft_ms: null };
  const byHour = days === "1";
  const known = new Map((byHour ? usage.hours : usage.days).map((each) => [each.at, each]));
  const points = [];
  const now = routerNow();
  if (byHour) {
    for (let back = 23; back >= 0; back--) {
      const start = new Date(Math.floor(now / HOUR) * HOUR - back * HOUR);
      const found = known.get(start.toISOString().slice(0, 13));
      points.push({ ...none, ...found, label: minuteOf(start), title: `${dayOf(start)}, ${minuteOf(start)} to ${minuteOf(new Date(start.getTime() + HOUR))}` });
    }
  } else {
    for (let back = Number(days) - 1; back >= 0; back--) {
      const name = new Date(now - back * 24 * HOUR).toISOString().slice(0, 10);
      // A day is UTC's; noon keeps its name in every time zone but the outermost.
      const noon = new Date(`${name}T12:00:00Z`);
      points.push({ ...none, ...known.get(name), label: dayOf(noon), title: `${dayOf(noon)} (UTC)` });
    }
  }
  return points;
}

function breakdown(title, rows) {
  if (!rows?.length) return null;
  const sorted = rows.toSorted((a, b) => b.requests - a.requests).slice(0, 6);
  const most = Math.max(...sorted.map((row) => row.requests));
  return h(
    "section",
    { class: "card" },
    h("h2", {}, title, days === "1" ? h("span", { class: "quiet" }, " today (UTC)") : null),
    table(
      `${title} by requests`,
      [
        { label: title.replace(/s$/, ""), head: true, cell: (row) => [h("span", { class: "name" }, nameOf(row)), meter(row.requests, most, { label: `Share of ${nameOf(row)}`, tone: "share" })] },
        { label: "Requests", number: true, cell: (row) => count(row.requests) },
        { label: "Spend", number: true, cell: (row) => cost(row.cost, row.unpriced, row.requests) },
      ],
      sorted,
    ),
  );
}

const nameOf = (row) => row.key_alias ?? row.team_alias ?? row.name ?? row.key_name ?? row.key_id ?? row.team_id ?? NONE;

// --- nothing yet: the way to the first answer ---

function firstMinute() {
  const address = url("v1").href;
  const copied = button("Copy", () => copy(copied, address), { icon: "copy" });
  return h(
    "section",
    { class: "first card", "aria-labelledby": "first-title" },
    h("h2", { id: "first-title" }, "Your first answer is a minute away"),
    h("p", { class: "quiet" }, "No request has come in this time. Make a key, try it here, then give it to your program."),
    h(
      "ol",
      { class: "steps" },
      h("li", {}, h("h3", {}, "Make a key"), h("p", {}, "With a budget and limits, or without."), h("a", { class: "button primary", href: "#/keys?new" }, "Make a key")),
      h("li", {}, h("h3", {}, "Ask something"), h("p", {}, "The playground goes the way of a real request and shows what served it."), h("a", { class: "button", href: "#/playground" }, "Open the playground")),
      h("li", {}, h("h3", {}, "Point your client here"), h("p", {}, "Any OpenAI client works with this base URL:"), h("div", { class: "copyable" }, h("code", {}, address), copied)),
    ),
  );
}

// --- deployments ---

const ORDER = ["cooling", "probing", "due", "healthy", "off"];

function drawResting(listed, reload) {
  const ill = inOrder(listed.filter((each) => ["cooling", "probing", "due"].includes(each.state)));
  return ill.length ? h("ul", { class: "resting", "aria-label": "Deployments that are left alone" }, ill.map((each) => resting(each, reload))) : null;
}

const inOrder = (listed) => listed.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.deployment.localeCompare(b.deployment));

function drawDeployments(listed, used) {
  if (!listed.length) return empty("No deployments", "Add a model with at least one deployment, then it shows here.", h("a", { class: "button primary", href: "#/models" }, "Open models"));
  const counters = new Map(used.map((each) => [each.name, each]));
  return table(
    "Deployments",
    [
      { label: "Deployment", head: true, cell: (row) => h("span", { class: "mono" }, row.deployment) },
      { label: "State", cell: stateBadge },
      { label: "Models", cell: (row) => h("span", { class: "quiet" }, (row.models ?? []).join(", ") || NONE) },
      { label: days === "1" ? "Served today" : "Served", number: true, cell: (row) => count(counters.get(row.deployment)?.requests ?? 0) },
      { label: "First token", number: true, cell: (row) => ms(counters.get(row.deployment)?.ttft_ms) },
      { label: "Spend", number: true, cell: (row) => spent(counters.get(row.deployment)) },
    ],
    inOrder(listed),
  );
}

const spent = (row) => (row?.requests ? cost(row.cost, row.unpriced, row.requests) : NONE);

function resting(entry, reload) {
  const time =
    entry.state === "cooling"
      ? countdown(entry.until, { before: "Tried again in " , after: "Tried again with the next request" })
      : entry.state === "probing"
        ? "One request is trying it now; all others keep away until it answers."
        : "The next request tries it.";
  return h(
    "li",
    { class: `rest card ${entry.state}` },
    h("div", { class: "rest-head" }, h("h3", { class: "mono" }, entry.deployment), stateBadge(entry)),
    h("p", { class: "rest-time" }, time),
    h("p", { class: "quiet" }, reason(entry), entry.models?.length ? ` Stands behind ${entry.models.join(", ")}.` : ""),
    entry.evidence && h("p", { class: "evidence", title: `until ${fullTime(entry.until)}` }, entry.evidence),
    h("div", { class: "actions start" }, clearButton(entry, reload)),
  );
}

// Overview: traffic, errors, spend, and the state of every deployment.

import { addressOf } from "../address.js";
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
let days = "1"; // the range chosen last, across changes of view

export async function show(view, { signal, head, query, setAddress }) {
  if (RANGES.some(([value]) => value === query.get("days"))) days = query.get("days");
  else if (days !== RANGES[0][0]) setAddress(addressOf("overview", { days }));
  const updated = h("p", { class: "quiet updated" });
  const figures = h("div", {}, skeleton(2));
  const unhealthy = h("div", {});
  const details = h("div", { class: "details" }, skeleton(5));
  const deployments = h("div", {}, skeleton(4));
  head.append(
    segmented("Time", RANGES, days, (value) => {
      days = value;
      setAddress(addressOf("overview", { days }));
      load();
    }),
    updated,
  );
  view.append(figures, unhealthy, details, h("section", { "aria-labelledby": "deployments-title" }, h("h2", { id: "deployments-title" }, "Deployments"), deployments));

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
        swap(figures, usage.totals.requests ? drawTiles(usage.totals) : drawFirstSteps());
        swap(details, usage.totals.requests ? drawDetails(usage) : null);
        drawn = now;
      }
      updated.textContent = `Updated ${timeOf(new Date())}. Totals are up to a minute behind.`;
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
      swap(unhealthy, drawCooling(states, loadStates));
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
    tile("Failed over", percent(totals.failovers, totals.requests), totals.failovers ? `${plural(totals.failovers, "request")} served by a later step` : "step 1 served all requests"),
    tile("Spend", totals.unpriced >= totals.requests ? "unknown" : money(totals.cost), totals.unpriced ? `${plural(totals.unpriced, "request")} without a price` : "every request has a price"),
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
          { name: "Step 1", tone: "one", value: (point) => Math.max(point.requests - point.failovers - point.errors, 0) },
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
        summary: `${money(totals.cost)} in all${totals.unpriced ? `, and ${plural(totals.unpriced, "request")} without a price` : ""}.`,
        empty: totals.unpriced ? "None of the deployments that served has a price." : undefined,
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

/** One point for every hour or day of the range, including those without requests. */
function timeline(usage) {
  const none = { requests: 0, errors: 0, failovers: 0, cost: 0, unpriced: 0, ttft_ms: null };
  const byHour = days === "1";
  const byTime = new Map((byHour ? usage.hours : usage.days).map((each) => [each.at, each]));
  const points = [];
  const now = routerNow();
  if (byHour) {
    for (let back = 23; back >= 0; back--) {
      const start = new Date(Math.floor(now / HOUR) * HOUR - back * HOUR);
      const found = byTime.get(start.toISOString().slice(0, 13));
      points.push({ ...none, ...found, label: minuteOf(start), title: `${dayOf(start)}, ${minuteOf(start)} to ${minuteOf(new Date(start.getTime() + HOUR))}` });
    }
  } else {
    for (let back = Number(days) - 1; back >= 0; back--) {
      const name = new Date(now - back * 24 * HOUR).toISOString().slice(0, 10);
      // Days are UTC; noon has the same date in nearly every time zone.
      const noon = new Date(`${name}T12:00:00Z`);
      points.push({ ...none, ...byTime.get(name), label: dayOf(noon), title: `${dayOf(noon)} (UTC)` });
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

// --- before the first request ---

function drawFirstSteps() {
  const address = url("v1").href;
  const copied = button("Copy", () => copy(copied, address), { icon: "copy" });
  return h(
    "section",
    { class: "first card", "aria-labelledby": "first-title" },
    h("h2", { id: "first-title" }, "Send your first request"),
    h("p", { class: "quiet" }, "No requests in this period. Create a key, try it here, then use it in your program."),
    h(
      "ol",
      { class: "steps" },
      h("li", {}, h("h3", {}, "Create a key"), h("p", {}, "Optionally with a budget and limits."), h("a", { class: "button primary", href: "#/keys?new" }, "Create key")),
      h("li", {}, h("h3", {}, "Try it"), h("p", {}, "The playground sends real requests and shows which deployment served them."), h("a", { class: "button", href: "#/playground" }, "Open the playground")),
      h("li", {}, h("h3", {}, "Connect your client"), h("p", {}, "Any OpenAI client works with this base URL:"), h("div", { class: "copyable" }, h("code", {}, address), copied)),
    ),
  );
}

// --- deployments ---

const ORDER = ["cooling", "probing", "due", "healthy", "off"];

function drawCooling(listed, reload) {
  const unhealthy = inOrder(listed.filter((each) => ["cooling", "probing", "due"].includes(each.state)));
  return unhealthy.length ? h("ul", { class: "cooling-list", "aria-label": "Cooling deployments" }, unhealthy.map((each) => coolingCard(each, reload))) : null;
}

const inOrder = (listed) => listed.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.deployment.localeCompare(b.deployment));

function drawDeployments(listed, used) {
  if (!listed.length) return empty("No deployments", "Add a model with at least one deployment, and it appears here.", h("a", { class: "button primary", href: "#/models" }, "Open models"));
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

function coolingCard(entry, reload) {
  const time =
    entry.state === "cooling"
      ? countdown(entry.until)
      : entry.state === "probing"
        ? "One request is probing it; all others skip it until the probe has finished."
        : "The next request will probe it.";
  return h(
    "li",
    { class: `cooling-card card ${entry.state}` },
    h("div", { class: "cooling-head" }, h("h3", { class: "mono" }, entry.deployment), stateBadge(entry)),
    h("p", { class: "cooling-time" }, time),
    h("p", { class: "quiet" }, reason(entry), entry.models?.length ? ` Serves ${entry.models.join(", ")}.` : ""),
    entry.evidence && h("p", { class: "evidence", title: `until ${fullTime(entry.until)}` }, entry.evidence),
    h("div", { class: "actions start" }, clearButton(entry, reload)),
  );
}

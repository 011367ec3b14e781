// Usage over time: requests, spend, tokens and times, by model, key, team and others, for any range of days.

import { addressOf, filtersIn } from "../address.js";
import { chart } from "../charts.js";
import { busy, button, empty, failure, field, segmented, select, skeleton, table } from "../controls.js";
import { toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { ownUsage, usage } from "../endpoints.js";
import { cost, count, dayOf, minuteOf, money, ms, NONE, percent, plural, short } from "../format.js";
import { repeat, routerNow } from "../live.js";
import { currentSession } from "../session.js";
import { requestsLink } from "./holders.js";

const DAY = 86_400_000;
const LONG = 31; // days
const SHOWN = 6; // series with a colour of their own; the others are added up
const TONES = ["one", "two", "four", "five", "six", "three"];
const RANGES = [
  ["1", "Today"],
  ["7", "7 days"],
  ["30", "30 days"],
  ["90", "90 days"],
];
const STEPS = [
  ["", "automatic"],
  ["hour", "hours"],
  ["day", "days"],
  ["week", "weeks"],
];
const GROUPS = { model: "Model", key: "Key", team: "Team", user: "User", tag: "Tag", deployment: "Deployment" };
const FILTERED = new Set(["model", "key", "team", "deployment"]); // by the list of requests
const GROUPS_OF = { admin: ["model", "key", "team", "user", "tag", "deployment"], lead: ["key", "user", "model", "tag", "deployment"], member: ["key", "model", "tag", "deployment"] };

const today = () => new Date(routerNow()).toISOString().slice(0, 10);
const daysBefore = (day, number) => new Date(Date.parse(day) - number * DAY).toISOString().slice(0, 10);

export async function show(view, { signal, head, query, setAddress }) {
  const { role } = currentSession();
  const api = role === "admin" ? usage : ownUsage;
  const groups = GROUPS_OF[role] ?? GROUPS_OF.member;
  const defaults = { days: "7", from: "", to: "", by: groups[0], name: "", step: "" };
  const filters = filtersIn(query, defaults);
  if (!groups.includes(filters.by)) filters.by = groups[0];
  const choices = h("div", { class: "filters" });
  const body = h("div", {}, skeleton(8));
  const csv = button("Download CSV", () => busy(csv, download), { icon: "download" });
  const times = h("div", {});
  head.append(times, csv);
  view.append(choices, body);

  const isCustom = () => Boolean(filters.from || filters.to);
  function range() {
    if (!isCustom()) return { start_date: daysBefore(today(), (Number.parseInt(filters.days, 10) || 7) - 1), end_date: today() };
    const end = filters.to || today();
    return { start_date: filters.from || daysBefore(end, 6), end_date: end };
  }
  const asked = () => ({ by: filters.by, name: filters.name, step: filters.step, ...range() });

  let turn = 0;
  let drawn = "";
  async function load({ quietly = false } = {}) {
    const mine = ++turn;
    if (!quietly) {
      body.setAttribute("aria-busy", "true");
      if (!drawn) swap(body, skeleton(8));
    }
    try {
      const found = await api.readSeries({ ...asked(), limit: SHOWN });
      if (signal.aborted || mine !== turn) return;
      const now = JSON.stringify(found);
      if (now !== drawn) swap(body, draw(found));
      drawn = now;
    } catch (error) {
      if (signal.aborted || mine !== turn || quietly) return;
      drawn = "";
      swap(body, failure(error, load));
    } finally {
      if (mine === turn) body.removeAttribute("aria-busy");
    }
  }

  function change(changed) {
    Object.assign(filters, changed);
    const isDefault = (name) => filters[name] === defaults[name] || (name === "days" && isCustom());
    setAddress(addressOf("usage", Object.fromEntries(Object.entries(filters).filter(([name]) => !isDefault(name)))));
    drawChoices();
    load();
  }

  function drawChoices() {
    const { start_date: start, end_date: end } = range();
    const day = (label, value, limits, set) => field(label, h("input", { type: "date", value, "data-focus": label, ...limits, on: { change: (event) => event.target.value && set(event.target.value) } }));
    const choice = (label, options, value, set) => field(label, select(options, value, { "data-focus": label, on: { change: (event) => set(event.target.value) } }));
    swap(times, segmented("Time", RANGES, isCustom() ? "" : filters.days, (days) => change({ days, from: "", to: "" })));
    swap(
      choices,
      choice("Group by", groups.map((group) => [group, GROUPS[group]]), filters.by, (by) => change({ by, name: "" })),
      day("From (UTC)", start, { max: end }, (from) => change({ from, to: end })),
      day("To (UTC)", end, { min: start }, (to) => change({ from: start, to })),
      choice("Steps", STEPS, filters.step, (step) => change({ step })),
      filters.name ? button(`All ${GROUPS[filters.by].toLowerCase()}s`, () => change({ name: "" }), { icon: "close", "data-focus": "all" }) : null,
    );
  }

  async function download() {
    try {
      const text = await api.readCsv(asked());
      const { start_date: start, end_date: end } = range();
      const link = h("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: `usage-${filters.by}-${start}-${end}.csv` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
  }

  function draw(found) {
    // With one name chosen its figures are shown, not those of all requests.
    const shown = filters.name ? found.series[0] : found;
    if (!shown?.totals.requests) {
      return empty("No usage in this range", "No request of these days was counted yet. Choose other dates; totals are up to a minute behind.", filters.name ? button("Show all", () => change({ name: "" })) : null);
    }
    const points = timeline(found);
    const value = (points, read) => {
      const at = new Map(points.map((point) => [point.at, point]));
      return (point) => read(at.get(point.at));
    };
    const series = found.series.map((each, index) => ({ ...each, label: labelOf(each), tone: each.name === null ? "rest" : TONES[index % TONES.length] }));
    const stacked = (read) => series.map((each) => ({ name: each.label, tone: each.tone, value: value(each.points, (point) => (point ? read(point) : 0)) }));
    const lines = (fields) => fields.map(([name, read], index) => ({ name, tone: TONES[index], value: value(shown.points, (point) => (point ? read(point) : null)) }));
    const by = GROUPS[filters.by].toLowerCase();
    const { totals } = shown;
    return [
      drawTiles(totals),
      h(
        "div",
        { class: "charts" },
        chart({ title: `Requests by ${by}`, points, format: short, series: stacked((point) => point.requests), summary: `${count(totals.requests)} in all, ${count(totals.errors)} errors.`, empty: `No request of this range has a ${by}.` }),
        chart({ title: `Spend by ${by}`, points, format: money, series: stacked((point) => point.cost), summary: `${money(totals.cost)} in all.`, empty: totals.unpriced ? "None of the deployments that served has a price." : undefined }),
        chart({ title: "Time to first token", kind: "line", points, format: ms, series: lines([["p50", (point) => point.ttft_p50_ms], ["p95", (point) => point.ttft_p95_ms]]), summary: `p50 ${ms(totals.ttft_p50_ms)}, p95 ${ms(totals.ttft_p95_ms)}.`, empty: "No request of this range has a time to first token." }),
        chart({ title: "Total time", kind: "line", points, format: ms, series: lines([["p50", (point) => point.total_p50_ms], ["p95", (point) => point.total_p95_ms]]), summary: `p50 ${ms(totals.total_p50_ms)}, p95 ${ms(totals.total_p95_ms)}, of answered requests.`, empty: "No request of this range was answered and timed." }),
        chart({ title: "Input tokens", points, format: short, series: lines([["Not cached", (point) => Math.max(point.prompt_tokens - point.cached_tokens, 0)], ["Cached", (point) => point.cached_tokens]]), summary: `${percent(totals.cached_tokens, totals.prompt_tokens)} of ${count(totals.prompt_tokens)} were cached.`, empty: "No provider reported input tokens." }),
        chart({ title: "Errors", points, format: short, series: [{ name: "Errors", tone: "three", value: value(shown.points, (point) => point?.errors ?? 0) }], summary: `${percent(totals.errors, totals.requests)} of all requests.`, empty: "No errors in this range." }),
      ),
      drawNames(series, by),
      h("p", { class: "quiet small more" }, "Days, weeks and hours are in UTC. p50 and p95 are estimates, at most a factor of 5/3 from the exact value. Totals are up to a minute behind."),
    ];
  }

  function drawNames(series, by) {
    const canFollow = role === "admin" && FILTERED.has(filters.by);
    const both = (fast, slow) => (fast === null ? NONE : `${ms(fast)} / ${ms(slow)}`);
    return h(
      "section",
      { class: "by-name", "aria-labelledby": "by-name" },
      h("h2", { id: "by-name" }, `By ${by}`),
      series.length
        ? h(
            "div",
            { class: "framed" },
            table(
              `Usage by ${by}`,
              [
                { label: GROUPS[filters.by], head: true, cell: (row) => [h("i", { class: `key ${row.tone}`, "aria-hidden": "true" }), " ", row.name === null || filters.name ? h("span", { class: "name" }, row.label) : h("button", { type: "button", class: "link", "data-focus": `name ${row.name}`, on: { click: () => change({ name: row.name }) } }, row.label)] },
                { label: "Requests", number: true, cell: (row) => count(row.totals.requests) },
                { label: "Errors", number: true, cell: (row) => count(row.totals.errors) },
                { label: "Tokens in / out", number: true, cell: (row) => `${short(row.totals.prompt_tokens)} / ${short(row.totals.completion_tokens)}` },
                { label: "Cached", number: true, cell: (row) => percent(row.totals.cached_tokens, row.totals.prompt_tokens) },
                { label: "Spend", number: true, cell: (row) => cost(row.totals.cost, row.totals.unpriced, row.totals.requests) },
                { label: "First token, p50 / p95", number: true, cell: (row) => both(row.totals.ttft_p50_ms, row.totals.ttft_p95_ms) },
                { label: "Total, p50 / p95", number: true, cell: (row) => both(row.totals.total_p50_ms, row.totals.total_p95_ms) },
                canFollow && { label: "Actions", sr: true, number: true, cell: (row) => row.name !== null && requestsLink(row.label, { [filters.by]: row.name }) },
              ].filter(Boolean),
              series,
            ),
          )
        : h("p", { class: "quiet" }, `No request of this range has a ${by}.`),
    );
  }

  drawChoices();
  await load();
  let refreshed = Date.now();
  repeat(
    30,
    () => {
      const { start_date: start, end_date: end } = range();
      const isLong = daysBefore(end, LONG) >= start; // and so dear to read
      if (end < today() || (isLong && Date.now() - refreshed < 300_000)) return undefined;
      refreshed = Date.now();
      return load({ quietly: true });
    },
    signal,
  );
}

function drawTiles(totals) {
  const tile = (label, value, note, tone = "") => h("div", { class: "tile" }, h("h2", { class: "tile-label" }, label), h("p", { class: "tile-value" }, value), h("p", { class: `tile-note ${tone}` }, note));
  return h(
    "div",
    { class: "tiles" },
    tile("Requests", short(totals.requests), totals.errors ? `${plural(totals.errors, "error")}, ${percent(totals.errors, totals.requests)}` : "no errors", totals.errors ? "bad" : ""),
    tile("Spend", totals.unpriced >= totals.requests ? "unknown" : money(totals.cost), totals.unpriced ? `${plural(totals.unpriced, "request")} without a price` : "every request has a price"),
    tile("Tokens", short(totals.prompt_tokens + totals.completion_tokens), `${short(totals.prompt_tokens)} in, ${short(totals.completion_tokens)} out`),
    tile("Cached", percent(totals.cached_tokens, totals.prompt_tokens), totals.cache_hits ? `of the input tokens; ${plural(totals.cache_hits, "stored answer")}` : "of the input tokens"),
    tile("First token", ms(totals.ttft_p50_ms), `p50; p95 ${ms(totals.ttft_p95_ms)}`),
    tile("Total time", ms(totals.total_p50_ms), `p50; p95 ${ms(totals.total_p95_ms)}`),
  );
}

/** One point for every step of the range, including those without requests. */
function timeline({ times, step, start_date: start, end_date: end }) {
  const now = new Date(routerNow()).toISOString();
  return times
    .filter((at) => at <= now)
    .map((at) => {
      if (step === "hour") {
        const hour = new Date(`${at}:00:00Z`);
        return { at, label: `${at.slice(11)}:00`, title: `${at.slice(0, 10)}, ${at.slice(11)}:00 UTC (${minuteOf(hour)} here)` };
      }
      const day = dayOf(`${at}T12:00:00Z`); // noon has the same date in nearly every time zone
      const isPart = at < start || daysBefore(at, -6) > end;
      return { at, label: day, title: step === "week" ? `Week from ${day}${isPart ? ", the days in the range" : ""}` : `${day} (UTC)` };
    });
}

const labelOf = (each) => (each.name === null ? plural(each.names, "other") : (each.key_alias ?? each.team_alias ?? each.name));

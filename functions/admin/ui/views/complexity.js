// Complexity: the rollout of each model that is routed by complexity, its gates, and what it got wrong.

import { button, busy, empty, failure, skeleton, table } from "../controls.js";
import { confirm, toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { complexity as api } from "../endpoints.js";
import { count, money, NONE, percent, plural, when } from "../format.js";

const STRATA = { en: "English", zh: "Chinese", tools: "With tools", long: "Long prompts" };
const MODES = { manual: "Manual", shadow: "Shadow", complexity: "Routed" };

export async function show(view, { signal }) {
  const list = h("div", { class: "models-list" }, skeleton(5));
  const announcement = h("p", { class: "sr", role: "status" });
  view.append(list, announcement);

  async function load() {
    try {
      const { models } = await api.readRollouts();
      if (signal.aborted) return;
      const help = "Add `routing: {by: complexity, mini: …, standard: …}` to a model in routes.yaml. In shadow it only records what it would do.";
      swap(list, models.length ? models.map((model) => card(model)) : empty("No model is routed by complexity", help));
    } catch (error) {
      if (!signal.aborted) swap(list, failure(error, load));
    }
  }

  function card(model) {
    const details = h("div", {}, skeleton(4));
    const element = h("section", { class: "card model", "aria-labelledby": `complexity-${model.model}` }, head(model), details);
    readReport(model, details);
    return element;
  }

  function head(model) {
    const following = model.next && stageName(model.next);
    const advance = following && button(`Advance to ${following}`, () => busy(advance, () => change(() => api.advance({ model: model.model, number: model.number }), `${model.model}: ${following}`)), { kind: "primary", icon: "up" });
    const back = model.mode !== "manual" && button("Roll back", () => rollBack(model), { kind: "danger", icon: "rotate" });
    const undo = model.can_undo && button("Undo", () => busy(undo, () => change(() => api.undo({ model: model.model }), `${model.model}: undone`)), { icon: "history" });
    return h(
      "div",
      { class: "model-head" },
      h("div", {}, h("h2", { id: `complexity-${model.model}`, class: "mono" }, model.model), h("p", { class: "quiet" }, `Easy requests to ${model.mini}, all others to ${model.standard}`)),
      h("span", { class: "chip" }, stageName(model)),
      h("div", { class: "actions" }, advance, back, undo),
    );
  }

  async function readReport(model, details) {
    try {
      const report = await api.readReport(model.model);
      if (!signal.aborted) swap(details, drawReport(report));
    } catch (error) {
      if (!signal.aborted) swap(details, failure(error, () => readReport(model, details)));
    }
  }

  async function rollBack(model) {
    const text = `All requests for ${model.model} go to ${model.standard} within ten seconds. Evidence stays.`;
    if (await confirm(`Roll back ${model.model}?`, text, "Roll back")) await change(() => api.rollBack({ model: model.model, reason: "on the page" }), `${model.model}: rolled back`);
  }

  async function change(work, done) {
    try {
      await work();
      announcement.textContent = done;
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
    await load();
  }

  await load();
}

const stageName = ({ mode, share }) => (mode === "complexity" ? `${share} %` : MODES[mode]);

function drawReport(report) {
  const events = report.bad_events;
  return [
    report.reason && h("p", { class: report.reason.startsWith("rolled back automatically") ? "notice bad" : "quiet" }, `${report.reason}${report.since ? `, ${when(report.since)}` : ""}`),
    h(
      "dl",
      { class: "served" },
      fact("Scored", `${count(report.scored)} in ${plural(report.days, "day")}`),
      fact("Easy", percent(report.mini_share, 1)),
      fact("Served by mini", count(report.counts.arm_mini)),
      fact("Savings", report.savings === null ? NONE : `about ${money(report.savings)}`),
      fact("Dual runs", count(report.counts.dual_runs)),
      fact("Feedback", count(report.counts.feedback)),
      fact("Judge's noise", report.judge_noise.pairs ? percent(report.judge_noise.differing, report.judge_noise.pairs) : NONE),
      fact("Bad events", `${count(events.mini)} of mini, ${count(events.standard)} of standard`),
      fact("Evidence against mini", `${events.evidence} (rollback at ${events.limit})`),
      fact("Opened", report.strata.map((name) => STRATA[name] ?? name).join(", ") || NONE),
      fact("Trees", report.trees.version),
    ),
    h("h3", {}, "Gates"),
    table(
      "Gates",
      [
        { label: "Requests", head: true, cell: ({ stratum }) => STRATA[stratum.stratum] },
        { label: "Gate", cell: ({ gate }) => gate.name },
        { label: "State", cell: ({ gate }) => h("span", { class: `chip ${gate.is_open ? "good" : "bad"}` }, gate.is_open ? "open" : "closed") },
        { label: "Value", number: true, cell: ({ gate }) => number(gate.value) },
        { label: "95 % interval", cell: ({ gate }) => (gate.high === null ? NONE : `${number(gate.low)} to ${number(gate.high)}`) },
        { label: "Required", cell: ({ gate }) => gate.required },
        { label: "Missing", cell: ({ gate }) => missing(gate) },
      ],
      report.strata_report.flatMap((stratum) => stratum.gates.map((gate) => ({ stratum, gate }))),
    ),
    report.strata_report.filter((each) => each.advice).map((each) => h("p", { class: "notice" }, `${STRATA[each.stratum]}: ${each.advice}`)),
    h("h3", {}, "Disagreements"),
    report.disagreements.length
      ? table(
          "Requests that mini was not good enough for",
          [
            { label: "Request", head: true, cell: (each) => h("a", { href: `#/requests/${encodeURIComponent(each.request_id)}`, class: "mono" }, each.request_id.slice(0, 12)) },
            { label: "Time", cell: (each) => when(each.at) },
            { label: "Score", number: true, cell: (each) => number(each.score) },
            { label: "Why", cell: (each) => (each.judged === null ? "complaint" : "the judge preferred standard") },
            { label: "Reasons of the score", cell: (each) => Object.entries(each.reasons).map(([name, share]) => `${name} ${share > 0 ? "+" : ""}${share}`).join(", ") || NONE },
          ],
          report.disagreements,
        )
      : h("p", { class: "quiet" }, "None among the labelled requests."),
  ];
}

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
const number = (value) => (value === null || value === undefined ? NONE : Number.isInteger(value) ? count(value) : value.toFixed(3));

function missing(gate) {
  if (gate.is_open) return NONE;
  return gate.missing === null ? "more of the same will not open it" : `about ${count(gate.missing)} more`;
}

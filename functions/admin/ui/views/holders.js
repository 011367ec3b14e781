// What keys and teams have in common: cells of their tables, fields of their forms.

import { meter } from "../charts.js";
import { field, select } from "../controls.js";
import { h } from "../dom.js";
import { count, fromNow, fullTime, money, period, PERIODS, when } from "../format.js";
import { icon } from "../icons.js";
import { routerNow } from "../live.js";

/** What may be used; of a key without models of its own, what its team may. */
export function allowed(models, ofTeam) {
  const names = models?.length ? models : ofTeam;
  if (!names?.length) return h("span", { class: "quiet" }, "every model");
  return [h("div", { class: "chips" }, names.map((model) => h("span", { class: "chip" }, model))), names === models ? null : h("span", { class: "quiet small" }, "as its team")];
}

/** Whose a key is, and what its usage is filed under. */
export function whose(key) {
  const told = [key.user_id, ...(key.tags ?? [])].filter(Boolean);
  return told.length ? h("span", { class: "quiet small name" }, told.join(", ")) : null;
}

/** A link to the requests of a key or a team. */
export function requestsOf(spoken, filter) {
  const label = `Requests of ${spoken}`;
  return h("a", { class: "button quiet only", href: `#/requests?${new URLSearchParams(filter)}`, "aria-label": label, title: label }, icon("requests"));
}

export function budget(holder) {
  const spent = holder.spend ?? 0;
  if (holder.max_budget === null || holder.max_budget === undefined) return h("span", {}, money(spent), h("span", { class: "quiet" }, " spent, no budget"));
  return [
    h("span", {}, money(spent), h("span", { class: "quiet" }, ` of ${money(holder.max_budget)}`)),
    meter(spent, holder.max_budget, { label: `Budget used: ${money(spent)} of ${money(holder.max_budget)}` }),
    h("span", { class: "quiet small" }, holder.budget_reset_at && when(holder.budget_reset_at) > routerNow() ? `starts anew ${fromNow(holder.budget_reset_at, routerNow())}` : holder.budget_duration ? `starts anew ${period(holder.budget_duration)}` : "never starts anew"),
  ];
}

export function limits(holder) {
  const told = [
    [holder.rpm_limit, "requests/min"],
    [holder.tpm_limit, "tokens/min"],
    [holder.max_parallel_requests, "at once"],
  ].filter(([limit]) => limit !== null && limit !== undefined);
  return told.length ? told.map(([limit, unit]) => h("span", { class: "limit" }, `${count(limit)} ${unit}`)) : h("span", { class: "quiet" }, "none");
}

export function keyState(key) {
  const expires = when(key.expires);
  if (key.replaced_by) return [h("span", { class: "state off" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Replaced"), h("span", { class: "quiet small" }, expires > routerNow() ? `works until ${fullTime(expires)}` : "works no more")];
  if (key.blocked) return h("span", { class: "state blocked" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Blocked");
  if (expires && expires <= routerNow()) return h("span", { class: "state expired" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Expired");
  return [
    h("span", { class: "state healthy" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Active"),
    expires ? h("span", { class: "quiet small", title: fullTime(expires) }, `expires ${fromNow(expires, routerNow())}`) : null,
  ];
}

/** The fields that a key and a team have in common. `read()` gives what they say, or null with the problem shown. */
export function holderFields(before, models) {
  const chosen = new Set(before.models ?? []);
  const boxes = models.map((model) => h("input", { type: "checkbox", value: model, checked: chosen.has(model) }));
  const patterns = h("input", { value: [...chosen].filter((name) => !models.includes(name)).join(", "), placeholder: "auto-*", spellcheck: "false", autocapitalize: "none" });
  const number = (value, step = "1") => h("input", { type: "number", min: "0", step, inputmode: "decimal", value: value ?? "" });
  const inputs = {
    max_budget: number(before.max_budget, "any"),
    rpm_limit: number(before.rpm_limit),
    tpm_limit: number(before.tpm_limit),
    max_parallel_requests: number(before.max_parallel_requests),
  };
  const tags = h("input", { value: (before.tags ?? []).join(", "), autocomplete: "off" });
  const metadata = h("textarea", { rows: "3", class: "mono", spellcheck: "false", value: isNothing(before.metadata) ? "" : JSON.stringify(before.metadata, null, 2), placeholder: '{"project": "x"}' });
  const known = PERIODS.some(([value]) => value === (before.budget_duration ?? ""));
  const duration = select(known ? PERIODS : [...PERIODS, [before.budget_duration, period(before.budget_duration)]], before.budget_duration ?? "");
  const fields = {
    models: h(
      "fieldset",
      { class: "wide" },
      h("legend", { class: "label" }, "Models it may use"),
      h("p", { class: "hint" }, "Choose none for every model."),
      boxes.length ? h("div", { class: "checks", tabindex: "0", role: "group", "aria-label": "Models" }, boxes.map((box) => h("label", { class: "check" }, box, h("span", {}, box.value)))) : null,
    ),
    patterns: field("Other names and patterns", patterns, { hint: "Separated by commas; * stands for anything." }),
    max_budget: field("Budget in dollars", inputs.max_budget, { hint: "Empty: without a budget." }),
    budget_duration: field("Starts anew", duration),
    rpm_limit: field("Requests per minute", inputs.rpm_limit),
    tpm_limit: field("Tokens per minute", inputs.tpm_limit),
    max_parallel_requests: field("Requests at once", inputs.max_parallel_requests),
    tags: field("Tags", tags, { hint: "Separated by commas." }),
    metadata: field("Metadata", metadata, { hint: "Whatever else should be known, as a JSON object.", wide: true }),
  };
  function read() {
    const about = objectOf(metadata.value);
    if (about === undefined) {
      fields.metadata.problem("This is not a JSON object.");
      fields.metadata.closest("details")?.setAttribute("open", "");
      metadata.focus();
      return null;
    }
    const values = {
      tags: words(tags.value),
      metadata: about,
      models: [...boxes.filter((box) => box.checked).map((box) => box.value), ...words(patterns.value)],
      budget_duration: duration.value || null,
    };
    for (const [name, input] of Object.entries(inputs)) values[name] = input.value === "" ? null : Number(input.value);
    return values;
  }
  return { fields, read };
}

/** The JSON object in a text; null for none, undefined for what is something else. */
function objectOf(text) {
  if (!text.trim()) return null;
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isNothing = (value) => value === null || value === undefined || value === "" || (typeof value === "object" && !Object.keys(value).length);

const words = (text) => text.split(",").map((word) => word.trim()).filter(Boolean);

/** What of `values` differs from what there was; for something new, what is not empty. */
export function differing(values, before) {
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => (isNothing(value) && isNothing(before?.[name]) ? false : JSON.stringify(value) !== JSON.stringify(before?.[name]))));
}

/** Show an API error at the field that it names, else above the buttons. */
export function showProblem(error, fields, general) {
  const named = fields[(error.param ?? "").split(/[.[]/)[0]];
  if (named?.problem) {
    named.problem(error.message);
    named.closest("details")?.setAttribute("open", "");
    named.querySelector("input, select, textarea")?.focus();
  } else general.textContent = error.message;
}

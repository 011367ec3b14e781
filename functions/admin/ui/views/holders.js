// Shared by keys and teams: table cells and form fields.

import { meter } from "../charts.js";
import { field, select } from "../controls.js";
import { h } from "../dom.js";
import { count, fromNow, fullTime, money, period, PERIODS, when } from "../format.js";
import { icon } from "../icons.js";
import { routerNow } from "../live.js";
import { laddersIn, laddersText, modelBudgetsIn, modelBudgetsText } from "./budgets.js";

/** The models and patterns that a key may use; a key without its own has those of its team. */
export function allowedModels(models, teamModels) {
  const names = models?.length ? models : teamModels;
  if (!names?.length) return h("span", { class: "quiet" }, "all models");
  return [h("div", { class: "chips" }, names.map((model) => h("span", { class: "chip" }, model))), names === models ? null : h("span", { class: "quiet small" }, "from its team")];
}

export function ownerAndTags(key) {
  const words = [key.user_id, ...(key.tags ?? [])].filter(Boolean);
  return words.length ? h("span", { class: "quiet small name" }, words.join(", ")) : null;
}

/** A link to the requests of a key or a team. */
export function requestsLink(name, filter) {
  const label = `Requests of ${name}`;
  return h("a", { class: "button quiet only", href: `#/requests?${new URLSearchParams(filter)}`, "aria-label": label, title: label }, icon("requests"));
}

export function budget(holder) {
  const spent = holder.spend ?? 0;
  const soft = holder.soft_budget ?? null;
  const warning = soft !== null && spent >= soft ? h("span", { class: "quiet small" }, `beyond the soft budget of ${money(soft)}`) : null;
  if (holder.max_budget === null || holder.max_budget === undefined) return [h("span", {}, money(spent), h("span", { class: "quiet" }, " spent, no budget")), warning];
  return [
    h("span", {}, money(spent), h("span", { class: "quiet" }, ` of ${money(holder.max_budget)}`)),
    meter(spent, holder.max_budget, { label: `Budget used: ${money(spent)} of ${money(holder.max_budget)}` }),
    h("span", { class: "quiet small" }, holder.budget_reset_at && when(holder.budget_reset_at) > routerNow() ? `resets ${fromNow(holder.budget_reset_at, routerNow())}` : holder.budget_duration ? `resets ${period(holder.budget_duration)}` : "never resets"),
    warning,
  ];
}

export function limits(holder) {
  const set = [
    [holder.rpm_limit, "requests/min"],
    [holder.tpm_limit, "tokens/min"],
    [holder.max_parallel_requests, "concurrent"],
  ].filter(([limit]) => limit !== null && limit !== undefined);
  return set.length ? set.map(([limit, unit]) => h("span", { class: "limit" }, `${count(limit)} ${unit}`)) : h("span", { class: "quiet" }, "none");
}

export function keyState(key) {
  const expires = when(key.expires);
  if (key.replaced_by) return [h("span", { class: "state off" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Replaced"), h("span", { class: "quiet small" }, expires > routerNow() ? `valid until ${fullTime(expires)}` : "no longer valid")];
  if (key.blocked) return h("span", { class: "state blocked" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Blocked");
  if (expires && expires <= routerNow()) return h("span", { class: "state expired" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Expired");
  return [
    h("span", { class: "state healthy" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Active"),
    expires ? h("span", { class: "quiet small", title: fullTime(expires) }, `expires ${fromNow(expires, routerNow())}`) : null,
  ];
}

/** The form fields shared by keys and teams. `read()` returns their values; null after showing a problem. */
export function holderFields(before, models) {
  const chosen = new Set(before.models ?? []);
  const boxes = models.map((model) => h("input", { type: "checkbox", value: model, checked: chosen.has(model) }));
  const patterns = h("input", { value: [...chosen].filter((name) => !models.includes(name)).join(", "), placeholder: "auto-*", spellcheck: "false", autocapitalize: "none" });
  const number = (value, step = "1") => h("input", { type: "number", min: "0", step, inputmode: "decimal", value: value ?? "" });
  const inputs = {
    max_budget: number(before.max_budget, "any"),
    soft_budget: number(before.soft_budget, "any"),
    rpm_limit: number(before.rpm_limit),
    tpm_limit: number(before.tpm_limit),
    max_parallel_requests: number(before.max_parallel_requests),
    cache_seconds: number(before.cache_seconds),
  };
  const tags = h("input", { value: (before.tags ?? []).join(", "), autocomplete: "off" });
  const guards = h("input", { value: (before.guards ?? []).join(", "), spellcheck: "false", autocapitalize: "none", autocomplete: "off", placeholder: "secrets" });
  const metadata = h("textarea", { rows: "3", class: "mono", spellcheck: "false", value: isEmpty(before.metadata) ? "" : JSON.stringify(before.metadata, null, 2), placeholder: '{"project": "x"}' });
  const listed = PERIODS.some(([value]) => value === (before.budget_duration ?? ""));
  const duration = select(listed ? PERIODS : [...PERIODS, [before.budget_duration, period(before.budget_duration)]], before.budget_duration ?? "");
  const text = (value, placeholder) => h("input", { value, placeholder, spellcheck: "false", autocapitalize: "none", autocomplete: "off" });
  const modelBudgets = text(modelBudgetsText(before.model_max_budget), "auto-codex=5/1d");
  const ladders = text(laddersText(before.budget_ladder), "auto-chat=auto-chat-mini@80%");
  const fields = {
    models: h(
      "fieldset",
      { class: "wide" },
      h("legend", { class: "label" }, "Allowed models"),
      h("p", { class: "hint" }, "Leave all unchecked to allow every model."),
      boxes.length ? h("div", { class: "checks", tabindex: "0", role: "group", "aria-label": "Models" }, boxes.map((box) => h("label", { class: "check" }, box, h("span", {}, box.value)))) : null,
    ),
    patterns: field("Model patterns", patterns, { hint: "Allowed in addition to the models above. Comma-separated; * matches any text.", wide: true }),
    max_budget: field("Budget", inputs.max_budget, { unit: "USD", hint: "Leave empty for no budget." }),
    budget_duration: field("Resets", duration),
    soft_budget: field("Warn beyond", inputs.soft_budget, { unit: "USD", hint: "A soft budget: requests continue beyond it, and a warning is reported." }),
    model_max_budget: field("Spending per model", modelBudgets, { hint: "MODEL=USD/PERIOD, comma-separated; without a period the budget never resets.", wide: true }),
    budget_ladder: field("Cheaper models", ladders, { hint: "Budget ladders: MODEL=CHEAPER@SHARE, comma-separated. CHEAPER serves once that share of the budget is used. MODEL=none switches off the ladder in the routes.", wide: true }),
    rpm_limit: field("Request limit", inputs.rpm_limit, { unit: "requests/min" }),
    tpm_limit: field("Token limit", inputs.tpm_limit, { unit: "tokens/min" }),
    max_parallel_requests: field("Concurrency limit", inputs.max_parallel_requests, { unit: "concurrent" }),
    cache_seconds: field("Answer cache", inputs.cache_seconds, { unit: "seconds", hint: "How long repeatable answers are stored and replayed. 0 for never; empty to follow the model." }),
    guards: field("Guards", guards, { hint: "Names from the routes, comma-separated. They inspect its requests, beside the guards of the model.", wide: true }),
    tags: field("Tags", tags, { hint: "Comma-separated." }),
    metadata: field("Metadata", metadata, { hint: "A JSON object of your own.", wide: true }),
  };
  function reject(name, input, problem) {
    fields[name].problem(problem);
    fields[name].closest("details")?.setAttribute("open", "");
    input.focus();
    return null;
  }

  function read() {
    const object = objectOf(metadata.value);
    if (object === undefined) return reject("metadata", metadata, "Not a JSON object.");
    const budgets = modelBudgetsIn(modelBudgets.value);
    if (!budgets) return reject("model_max_budget", modelBudgets, "Write MODEL=USD/PERIOD, such as auto-codex=5/1d.");
    const ladder = laddersIn(ladders.value);
    if (!ladder) return reject("budget_ladder", ladders, "Write MODEL=CHEAPER@SHARE, such as auto-chat=auto-chat-mini@80%.");
    const values = {
      model_max_budget: budgets,
      budget_ladder: ladder,
      tags: words(tags.value),
      guards: words(guards.value),
      metadata: object,
      models: [...boxes.filter((box) => box.checked).map((box) => box.value), ...words(patterns.value)],
      budget_duration: duration.value || null,
    };
    for (const [name, input] of Object.entries(inputs)) values[name] = input.value === "" ? null : Number(input.value);
    return values;
  }
  return { fields, read };
}

/** The JSON object in a text; null for an empty text, undefined for anything else. */
function objectOf(text) {
  if (!text.trim()) return null;
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isEmpty = (value) => value === null || value === undefined || value === "" || (typeof value === "object" && !Object.keys(value).length);

const words = (text) => text.split(",").map((word) => word.trim()).filter(Boolean);

/** The values that differ from `before`; without `before`, those that are not empty. */
export function changedValues(values, before) {
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => (isEmpty(value) && isEmpty(before?.[name]) ? false : JSON.stringify(value) !== JSON.stringify(before?.[name]))));
}

/** Show an API error at the field it names, else above the buttons. */
export function showError(error, fields, general) {
  const field = fields[(error.param ?? "").split(/[.[]/)[0]];
  if (field?.problem) {
    field.problem(error.message);
    field.closest("details")?.setAttribute("open", "");
    field.querySelector("input, select, textarea")?.focus();
  } else general.textContent = error.message;
}

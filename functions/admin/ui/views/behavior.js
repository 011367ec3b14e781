// The editor of what a chain does beyond its steps: time limits, retries, order, stays, hedges, continuation, quota, and
// request shaping. The same settings apply to all deployments, providers, models and single deployments; the nearest wins.

import { button, field, select } from "../controls.js";
import { openDialog } from "../dialogs.js";
import { h } from "../dom.js";
import { settingsText } from "./settings.js";

const SHAPE = ["set", "default", "drop", "headers", "betas"];
const WAITS = ["timeouts", "retries", "max_inline_wait", "max_last_wait", "cooldown", "reserve_tokens"];
const NAMES = [...WAITS, "order", "stay", "continuation", "hedge_after", "hedge_share", "quota", "drop_params", "forward_headers", ...SHAPE];
const SWITCH = [["", "inherited"], ["true", "on"], ["false", "off"]];
const SHAPE_EXAMPLE = '{"set": {"reasoning.effort": "low"}, "drop": ["service_tier"]}';

/** Edit the defaults of every deployment. Resolves with the new ones; undefined if cancelled. */
export function defaultsDialog(defaults) {
  const edited = structuredClone(defaults);
  const apply = (close) => (event) => {
    event.preventDefault();
    close(edited);
  };
  const build = (close) =>
    h(
      "form",
      { class: "form", on: { submit: apply(close) } },
      behaviorEditor("every deployment", edited, () => {}, { open: true }),
      h("div", { class: "actions" }, button("Cancel", () => close()), button("Apply", null, { kind: "primary", type: "submit" })),
    );
  return openDialog("Defaults", build, { wide: true, describe: "They apply to every deployment, unless a provider, a model or a deployment has a setting of its own." });
}

/** Edit the settings of `row` in place; `label` names it. `changed()` is called after every change. */
export function behaviorEditor(label, row, changed, { open = false } = {}) {
  const summary = h("span", {});

  function draw() {
    const given = Object.fromEntries(NAMES.filter((name) => name in row).map((name) => [name, row[name]]));
    summary.textContent = settingsText(given) || "inherited";
  }

  function update(name, value, group) {
    const holder = group ? { ...row[group] } : row;
    if (value === undefined) delete holder[name];
    else holder[name] = value;
    if (group && Object.keys(holder).length) row[group] = holder;
    else if (group) delete row[group];
    draw();
    changed();
  }

  const pick = (name, options) => select(options, row[name] === undefined ? "" : String(row[name]), { on: { change: (event) => update(name, optionOf(event.target.value)) } });
  const number = (name, { group, scale = 1, ...props } = {}) => {
    const value = (group ? row[group] : row)?.[name];
    return h("input", { type: "number", min: "0", step: "any", inputmode: "decimal", placeholder: "inherited", ...props, value: value === undefined ? "" : rounded(value * scale), on: { input: (event) => update(name, numberOf(event.target.value, scale), group) } });
  };
  const list = (name, group) => h("input", { spellcheck: "false", autocapitalize: "none", value: ((group ? row[group] : row)?.[name] ?? []).join(", "), on: { input: (event) => update(name, listOf(event.target.value), group) } });

  const hedge = h("input", { spellcheck: "false", autocapitalize: "none", placeholder: "inherited", value: row.hedge_after ?? "", on: { input: (event) => update("hedge_after", hedgeOf(event.target.value.trim())) } });
  const shape = Object.fromEntries(SHAPE.filter((name) => name in row).map((name) => [name, row[name]]));
  const shaping = h("textarea", { rows: "3", class: "mono", spellcheck: "false", placeholder: SHAPE_EXAMPLE }, Object.keys(shape).length ? JSON.stringify(shape, null, 2) : "");
  const shapingField = field("Request shaping", shaping, { wide: true, hint: "JSON with set, default, drop, headers and betas. Fields are given by path, such as reasoning.effort; * is every item." });
  shaping.addEventListener("input", () => reshape(shaping.value)); // after the field's own listener, which clears problems

  function reshape(text) {
    let value;
    try {
      value = text.trim() ? JSON.parse(text) : {};
    } catch {
      return shapingField.problem("This is not JSON yet.");
    }
    const unknown = value && typeof value === "object" && !Array.isArray(value) ? Object.keys(value).filter((name) => !SHAPE.includes(name)) : [""];
    if (unknown.length) return shapingField.problem(`Only ${SHAPE.join(", ")} are allowed here.`);
    for (const name of SHAPE) delete row[name];
    Object.assign(row, value);
    draw();
    changed();
  }

  const whole = (name) => number(name, { step: "1", inputmode: "numeric" });
  const seconds = (label_, name, group, hint) => field(label_, number(name, { group }), { unit: "s", hint });
  draw();
  return h(
    "details",
    { class: "price behavior", open },
    h("summary", {}, h("span", { class: "sr" }, `Behavior of ${label}: `), "Behavior: ", summary),
    h(
      "fieldset",
      { class: "form three" },
      h("legend", { class: "label" }, "Time limits and retries"),
      seconds("To connect", "connect", "timeouts"),
      seconds("To the first byte", "first_byte", "timeouts"),
      seconds("To the first token", "first_token", "timeouts"),
      seconds("Between two chunks", "idle", "timeouts"),
      seconds("For a whole answer", "response", "timeouts"),
      seconds("For a probe", "probe", "timeouts", "Of a deployment that recovers."),
      seconds("In total", "total", "timeouts", "For all attempts of a request."),
      field("Retries", whole("retries"), { hint: "On the same deployment, after the first try." }),
      seconds("Wait before a retry, at most", "max_inline_wait"),
      seconds("Wait for the last deployment, at most", "max_last_wait"),
      seconds("First cooldown", "base", "cooldown"),
      seconds("Longest cooldown", "max", "cooldown"),
      field("Reserve for an answer", whole("reserve_tokens"), { unit: "tokens" }),
    ),
    h(
      "fieldset",
      { class: "form three" },
      h("legend", { class: "label" }, "Chain and requests"),
      field("Order within a step", pick("order", [["", "inherited"], "weights", "cheapest", "fastest", "quota"])),
      field("Conversations stay", number("stay", { max: "1440" }), { unit: "min" }),
      field("Continue broken answers", pick("continuation", SWITCH)),
      field("Hedge after", hedge, { hint: "Seconds without a first token, or p95." }),
      field("Hedged requests, at most", number("hedge_share", { scale: 100, max: "50" }), { unit: "%" }),
      field("Quota for new conversations", number("threshold", { group: "quota", max: "100" }), { unit: "%" }),
      field("Keys for the rest of the quota", list("keys", "quota"), { hint: "Names of virtual keys, separated by commas." }),
      field("Drop unsupported parameters", pick("drop_params", SWITCH)),
      field("Forward client headers", list("forward_headers"), { hint: "Names, separated by commas." }),
      shapingField,
    ),
  );
}

const optionOf = (text) => (text === "" ? undefined : text === "true" ? true : text === "false" ? false : text);

const rounded = (value) => Math.round(value * 1e6) / 1e6;

function numberOf(text, scale) {
  const value = Number.parseFloat(text);
  return Number.isNaN(value) ? undefined : rounded(value / scale);
}

function hedgeOf(text) {
  if (!text) return undefined;
  return /^[\d.]+$/.test(text) ? Number.parseFloat(text) : text;
}

function listOf(text) {
  const items = text.split(",").map((each) => each.trim()).filter(Boolean);
  return items.length ? items : undefined;
}

// The editor of what a chain does beyond its steps: order, stays, hedges, continuation, quota, and request shaping.
// The same settings apply to providers, models and deployments; the nearest wins.

import { field, select } from "../controls.js";
import { h } from "../dom.js";
import { settingsText } from "./settings.js";

const SHAPE = ["set", "default", "drop", "headers", "betas"];
const NAMES = ["order", "stay", "continuation", "hedge_after", "hedge_share", "quota", "drop_params", "forward_headers", ...SHAPE];
const SWITCH = [["", "inherited"], ["true", "on"], ["false", "off"]];
const SHAPE_EXAMPLE = '{"set": {"reasoning.effort": "low"}, "drop": ["service_tier"]}';

/** Edit the settings of `row` in place; `label` names it. `changed()` is called after every change. */
export function behaviorEditor(label, row, changed) {
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

  draw();
  return h(
    "details",
    { class: "price behavior" },
    h("summary", {}, h("span", { class: "sr" }, `Behavior of ${label}: `), "Behavior: ", summary),
    h(
      "div",
      { class: "form three" },
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

// Differences between two states of the routes.

import { h } from "../dom.js";
import { same } from "../draft.js";
import { idOf, priceOf, stepsOf } from "./rows.js";
import { settingName, settingText, settingsText } from "./settings.js";

/** The API's differences: {row, change, fields: {name: {from, to}}}, under headings such as "h3". */
export function differences(changes, heading) {
  return h(
    "div",
    { class: "differences" },
    changes.map((each) =>
      h(
        "section",
        { class: "difference" },
        h(heading, {}, h("span", { class: "mono" }, each.row.replace(/^(models?|providers?|aliases|guards?)[ ./]/, "")), " ", h("span", { class: `chip ${each.change}` }, each.change)),
        Object.entries(each.fields ?? {}).map(([name, { from, to }]) => difference(name, from, to)),
      ),
    ),
  );
}

export function rowChanges(from, to) {
  if (!to) return h("p", {}, "Removed.");
  if (typeof to === "string") return [difference("model", from, to)]; // an alias
  const names = new Set([...Object.keys(from ?? {}), ...Object.keys(to)]);
  return [...names].filter((name) => !same(from?.[name], to[name])).map((name) => difference(name, from?.[name], to[name]));
}

function difference(name, from, to) {
  const before = lines(name, from);
  const after = lines(name, to);
  const unchanged = new Set(before.filter((line) => after.includes(line)));
  return h(
    "div",
    { class: "diff" },
    h("p", { class: "diff-name" }, fieldLabel(name)),
    h(
      "ul",
      {},
      before.filter((line) => !unchanged.has(line)).map((line) => h("li", { class: "deleted" }, h("span", { class: "sr" }, "before: "), h("del", {}, line))),
      after.map((line) => (unchanged.has(line) ? h("li", {}, line) : h("li", { class: "inserted" }, h("span", { class: "sr" }, "now: "), h("ins", {}, line)))),
    ),
  );
}

// The API reports the changes of a chain by step: chain[0] is step 1.
const STEP = /^chain\[(\d+)\]$/;

const fieldLabel = (name) => (STEP.test(name) ? `step ${Number(STEP.exec(name)[1]) + 1}` : settingName(name));

function lines(name, value) {
  if (value === undefined || value === null || value === "") return [];
  if (STEP.test(name)) return [stepLine(Array.isArray(value) ? value : [value])];
  if (name === "chain" && Array.isArray(value)) return stepsOf({ chain: value }).map((step, index) => `${index + 1}  ${stepLine(step)}`);
  if (typeof value !== "object" || Array.isArray(value)) return [settingText(name, value)];
  return Object.entries(value).map(([part, each]) => `${settingName(part)}: ${settingText(`${name}.${part}`, each)}`);
}

const stepLine = (step) => step.map((member) => memberLine(member, step.length > 1)).join("  |  ");

function memberLine(member, shared) {
  const { provider: _, model: __, weight = 1, price, enabled, ...rest } = member;
  return [idOf(member), shared && `weight ${weight}`, price && priceOf(price), enabled === false && "disabled", settingsText(rest)].filter(Boolean).join(", ");
}

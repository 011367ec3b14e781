// The parameters of a request of the playground.

import { field, select } from "../controls.js";
import { h } from "../dom.js";

const NUMBERS = [
  ["temperature", "Temperature", { min: "0", max: "2", step: "0.1" }],
  ["top_p", "Top p", { min: "0", max: "1", step: "0.05" }],
  ["max_tokens", "Longest answer", { min: "1", step: "1", unit: "tokens" }],
  ["seed", "Seed", { step: "1" }],
];
const EFFORTS = [["", "default"], "minimal", "low", "medium", "high"];
const OWN = ["model", "messages", "stream", "stream_options"];

/** Edit `parameters`, fields of a chat completion, in place. `parameters.more` is JSON text with other fields. */
export function parameterEditor(parameters) {
  const set = (name, value) => {
    if (value === undefined || value === "" || Number.isNaN(value)) delete parameters[name];
    else parameters[name] = value;
  };
  const number = ([name, label, { unit, ...props }]) =>
    field(label, h("input", { type: "number", inputmode: "decimal", placeholder: "default", ...props, value: parameters[name] ?? "", on: { input: (event) => set(name, Number.parseFloat(event.target.value)) } }), { unit });
  const effort = select(EFFORTS, parameters.reasoning_effort ?? "", { on: { change: (event) => set("reasoning_effort", event.target.value) } });
  const more = h("textarea", { rows: "3", class: "mono", spellcheck: "false", placeholder: '{"stop": ["END"]}', value: parameters.more ?? "", on: { input: (event) => set("more", event.target.value) } });
  const moreField = field("Other fields", more, { hint: "JSON, sent as part of the body." });
  more.addEventListener("change", () => moreField.problem(problemIn(parameters.more)));
  return h("div", { class: "form" }, NUMBERS.map(number), field("Reasoning effort", effort), moreField);
}

/** The fields to send. Throws an Error whose message says what is wrong. */
export function fieldsOf({ more, ...fields }) {
  const problem = problemIn(more);
  if (problem) throw new Error(problem);
  return { ...fields, ...(more?.trim() ? JSON.parse(more) : {}) };
}

function problemIn(more) {
  if (!more?.trim()) return undefined;
  let value;
  try {
    value = JSON.parse(more);
  } catch {
    return "The other fields are not valid JSON.";
  }
  if (!value || typeof value !== "object" || Array.isArray(value)) return "The other fields must be a JSON object.";
  const own = OWN.filter((name) => name in value);
  return own.length ? `${own.join(", ")} cannot be set here: the playground sets it.` : undefined;
}

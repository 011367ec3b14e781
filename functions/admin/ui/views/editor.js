// The editor of a chain: add, move, weight, price, disable and delete deployments.

import { button, field, select, toggle } from "../controls.js";
import { h, swap } from "../dom.js";
import { icon } from "../icons.js";
import { behaviorEditor } from "./behavior.js";
import { ladderIn, ladderText } from "./budgets.js";
import { FORMATS, chainOf, idOf, stepsOf, priceOf, weightOf } from "./rows.js";
import { settingsText } from "./settings.js";

const CAPABILITIES = ["context_window", "base_model", "vision", "tools", "stream", "formats"];

/** Move a deployment up (-1) or down (1): its whole step if it is alone there, else into a new step of its own. */
export function moved(steps, step, index, by) {
  const next = steps.map((each) => [...each]);
  if (next[step].length === 1) {
    const other = step + by;
    if (other < 0 || other >= next.length) return steps;
    [next[step], next[other]] = [next[other], next[step]];
  } else {
    const [member] = next[step].splice(index, 1);
    next.splice(by < 0 ? step : step + 1, 0, [member]);
  }
  return next;
}

/** Put a deployment into step `target`, or between two steps (`target` 1.5: between the second and the third). */
export function placed(steps, step, index, target) {
  const member = steps[step][index];
  const next = steps.map((each) => each.filter((other) => other !== member));
  if (Number.isInteger(target)) {
    if (target === step) return steps;
    next[target].push(member);
  } else next.splice(Math.ceil(target), 0, [member]);
  return next.filter((each) => each.length);
}

const numbers = new WeakMap(); // deployment in the editor → an id that survives moves
let last = 0;
const numberOf = (member) => numbers.get(member) ?? (numbers.set(member, ++last), last);

/** Edit `row` in place. `changed(announcement)` is called after every change; a move has an announcement. */
export function editor(name, row, providers, changed) {
  const element = h("div", { class: "editor" });
  const behavior = behaviorEditor(name, row, () => changed());
  const ladder = h("div", { class: "form" }, ladderField(row, () => changed()), cacheField(row, () => changed()), guardsField(row, () => changed()));
  let dragged = null; // [step, index]

  function set(steps, words, focus) {
    row.chain = chainOf(steps);
    draw();
    changed(words);
    if (focus) element.querySelector(`[data-focus="${CSS.escape(focus)}"]:not(:disabled)`)?.focus();
  }

  function draw() {
    const steps = stepsOf(row);
    const drop = (target, words) => ({
      dragover: (event) => {
        if (!dragged) return;
        event.preventDefault();
        event.currentTarget.classList.add("over");
      },
      dragleave: (event) => event.currentTarget.classList.remove("over"),
      drop: (event) => {
        event.preventDefault();
        event.stopPropagation();
        if (dragged) set(placed(steps, ...dragged, target), words);
      },
    });
    const gap = (target) => h("li", { class: "gap", "aria-hidden": "true", on: drop(target, "Moved.") });
    swap(
      element,
      h(
        "ol",
        { class: "edit-steps", "aria-label": `Steps of ${name}` },
        steps.map((step, at) => [
          gap(at - 0.5),
          h(
            "li",
            { class: "edit-step", on: drop(at, `Moved into step ${at + 1}.`) },
            h("p", { class: "step-mark" }, h("span", { class: "sr" }, "Step "), at + 1),
            h("ul", {}, step.map((member, index) => memberRow(steps, at, index, member))),
          ),
        ]),
        gap(steps.length - 0.5),
      ),
      ladder,
      h("div", { class: "actions start" }, button("Add step", () => append(steps), { icon: "plus", "data-focus": "add-step" })),
      behavior,
    );
  }

  function append(steps) {
    const member = { provider: Object.keys(providers)[0] ?? "", model: "" };
    set([...steps, [member]], "Step added.", `model ${numberOf(member)}`);
  }

  function memberRow(steps, step, index, member) {
    const number = numberOf(member);
    const label = member.model ? idOf(member) : "the new deployment";
    const alone = steps[step].length === 1;
    const update = (key, value) => {
      if (value === undefined) delete member[key];
      else member[key] = value;
      changed();
    };
    const model = h("input", { value: member.model, placeholder: "model name at the provider", spellcheck: "false", autocapitalize: "none", "data-focus": `model ${number}`, on: { input: (event) => update("model", event.target.value.trim()) } });
    const weight = h("input", { type: "number", min: "0.001", step: "any", inputmode: "decimal", value: weightOf(member), "data-focus": `weight ${number}`, on: { input: (event) => update("weight", positive(event.target.value)) } });
    return h(
      "li",
      {
        class: `edit-member ${member.enabled === false ? "is-off" : ""}`,
        on: {
          dragstart: (event) => {
            dragged = [step, index];
            event.dataTransfer.effectAllowed = "move";
            event.dataTransfer.setData("text/plain", label);
            element.classList.add("dragging");
          },
          dragend: (event) => {
            dragged = null;
            event.currentTarget.removeAttribute("draggable");
            element.classList.remove("dragging");
            for (const over of element.querySelectorAll(".over")) over.classList.remove("over");
          },
        },
      },
      // Only the handle starts a drag, so that text in the fields stays selectable.
      h("span", { class: "handle", "aria-hidden": "true", on: { pointerdown: (event) => event.currentTarget.parentElement.setAttribute("draggable", "true") } }, icon("drag")),
      h(
        "div",
        { class: "member-fields" },
        field("Provider", select(Object.keys(providers).includes(member.provider) ? Object.keys(providers) : [member.provider, ...Object.keys(providers)], member.provider, { "data-focus": `provider ${number}`, on: { change: (event) => update("provider", event.target.value) } })),
        field("Model", model),
        alone ? null : field("Weight", weight),
      ),
      h(
        "div",
        { class: "member-tools" },
        toggle("Enabled", member.enabled !== false, (on) => {
          update("enabled", on ? undefined : false);
          draw();
        }, { "aria-label": `Enable ${label}`, "data-focus": `on ${number}` }),
        button(`Move ${label} up`, () => set(moved(steps, step, index, -1), `${label} moved up.`, `up ${number}`), { icon: "up", kind: "quiet", only: true, disabled: alone && step === 0, "data-focus": `up ${number}` }),
        button(`Move ${label} down`, () => set(moved(steps, step, index, 1), `${label} moved down.`, `down ${number}`), { icon: "down", kind: "quiet", only: true, disabled: alone && step === steps.length - 1, "data-focus": `down ${number}` }),
        button(`Delete ${label}`, () => set(steps.map((each) => each.filter((other) => other !== member)), `${label} deleted.`, "add-step"), { icon: "trash", kind: "quiet", only: true, disabled: steps.flat().length === 1 }),
      ),
      h(
        "div",
        { class: "member-more" },
        step > 0 && alone ? button(`Load-balance with step ${step}`, () => set(placed(steps, step, index, step - 1), `${label} moved into step ${step}.`, `weight ${number}`), { kind: "quiet", "aria-label": `Load-balance ${label} with step ${step}` }) : null,
        priceEditor(member, label, changed),
        capabilityEditor(label, member, changed),
        behaviorEditor(label, member, () => changed()),
      ),
    );
  }

  draw();
  return element;
}

/** What a deployment can do, if its provider's formats and the model's name do not tell. */
function capabilityEditor(label, member, changed) {
  const summary = h("span", {});
  const draw = () => {
    const given = Object.fromEntries(CAPABILITIES.filter((name) => name in member).map((name) => [name, member[name]]));
    summary.textContent = settingsText(given) || "the provider's formats, images and tools";
  };
  const update = (name, value) => {
    if (value === undefined) delete member[name];
    else member[name] = value;
    draw();
    changed();
  };
  const capability = (name) => (on) => update(name, on ? undefined : false);
  const chosen = () => formats.filter((input) => input.checked).map((input) => input.value);
  const formats = FORMATS.map((format) => h("input", { type: "checkbox", value: format, checked: member.formats?.includes(format) ?? false, on: { change: () => update("formats", chosen().length ? chosen() : undefined) } }));
  draw();
  return h(
    "details",
    { class: "price" },
    h("summary", {}, h("span", { class: "sr" }, `Capabilities of ${label}: `), "Capabilities: ", summary),
    h(
      "div",
      { class: "form three" },
      field("Context window", h("input", { type: "number", min: "1", step: "1", inputmode: "numeric", placeholder: "unknown", value: member.context_window ?? "", on: { input: (event) => update("context_window", positive(event.target.value)) } }), { unit: "tokens" }),
      field("Base model", h("input", { spellcheck: "false", autocapitalize: "none", value: member.base_model ?? "", on: { input: (event) => update("base_model", event.target.value.trim() || undefined) } }), { hint: "The model behind an opaque name, such as an Azure deployment." }),
      h("div", { class: "checks" }, toggle("Images", member.vision !== false, capability("vision")), toggle("Tools", member.tools !== false, capability("tools")), toggle("Only streams", member.stream === "always", (on) => update("stream", on ? "always" : undefined))),
      h("fieldset", { class: "wide" }, h("legend", { class: "label" }, "Formats, if not the provider's"), h("div", { class: "checks" }, formats.map((input) => h("label", { class: "check" }, input, input.value)))),
    ),
  );
}

function ladderField(row, changed) {
  const input = h("input", { value: ladderText(row.budget_ladder), placeholder: "auto-chat-mini@80%", spellcheck: "false", autocapitalize: "none" });
  const labelled = field("Budget ladder", input, { hint: "MODEL@SHARE, comma-separated. MODEL serves instead once that share of a key's or team's budget is used." });
  input.addEventListener("input", () => {
    // After the field's own listener, which clears problems.
    const steps = ladderIn(input.value);
    if (!steps) return labelled.problem("Write MODEL@SHARE, such as auto-chat-mini@80%.");
    if (steps.length) row.budget_ladder = steps;
    else delete row.budget_ladder;
    return changed();
  });
  return labelled;
}

function cacheField(row, changed) {
  const input = h("input", { type: "number", min: "1", step: "1", inputmode: "numeric", value: row.cache?.seconds ?? "", placeholder: "off" });
  const labelled = field("Answer cache", input, { unit: "seconds", hint: "How long answers to equal requests (embeddings, temperature 0) are stored and replayed. Empty for never." });
  input.addEventListener("input", () => {
    // After the field's own listener, which clears problems.
    const seconds = Number(input.value);
    if (input.value !== "" && !(Number.isInteger(seconds) && seconds > 0)) return labelled.problem("Write whole seconds, such as 3600.");
    if (input.value === "") delete row.cache;
    else row.cache = { seconds };
    return changed();
  });
  return labelled;
}

function guardsField(row, changed) {
  const input = h("input", { value: (row.guards ?? []).join(", "), placeholder: "secrets", spellcheck: "false", autocapitalize: "none" });
  const labelled = field("Guards", input, { hint: "Names of guards, comma-separated. They inspect its requests before a provider gets them." });
  input.addEventListener("input", () => {
    const names = input.value.split(",").map((name) => name.trim()).filter(Boolean);
    if (names.length) row.guards = names;
    else delete row.guards;
    changed();
  });
  return labelled;
}

function priceEditor(member, label, changed) {
  const price = () => member.price ?? {};
  const summary = h("span", {}, priceOf(member.price));
  const input = (key) =>
    h("input", {
      type: "number",
      min: "0",
      step: "any",
      inputmode: "decimal",
      value: price()[key] ?? "",
      on: {
        input: (event) => {
          // The price has been edited: it no longer comes from its former source.
          const { source: _, ...next } = price();
          const value = Number.parseFloat(event.target.value);
          if (Number.isNaN(value)) delete next[key];
          else next[key] = value;
          if (Object.keys(next).length) member.price = next;
          else delete member.price;
          summary.textContent = member.price?.input >= 0 && member.price?.output >= 0 ? priceOf(member.price) : member.price ? "input and output price required" : "price unknown";
          changed();
        },
      },
    });
  return h(
    "details",
    { class: "price" },
    h("summary", {}, h("span", { class: "sr" }, `Price of ${label}: `), summary),
    h(
      "div",
      { class: "form three" },
      field("Input", input("input")),
      field("Output", input("output")),
      field("Cached input", input("cache_read")),
    ),
    h("p", { class: "hint" }, "USD per million tokens. Without a price the cost of requests is unknown."),
  );
}

function positive(text) {
  const value = Number.parseFloat(text);
  return Number.isNaN(value) ? undefined : value;
}

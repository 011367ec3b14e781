// The editor of a chain: deployments are added, moved, weighed, priced and removed.

import { button, field, select, toggle } from "../controls.js";
import { h, swap } from "../dom.js";
import { icon } from "../icons.js";
import { chainOf, idOf, layersOf, priceOf, weightOf } from "./rows.js";

/** Move a deployment by one place. Alone in its layer the layer moves; else it leaves its layer for one of its own. */
export function moved(layers, layer, index, by) {
  const next = layers.map((each) => [...each]);
  if (next[layer].length === 1) {
    const other = layer + by;
    if (other < 0 || other >= next.length) return layers;
    [next[layer], next[other]] = [next[other], next[layer]];
  } else {
    const [member] = next[layer].splice(index, 1);
    next.splice(by < 0 ? layer : layer + 1, 0, [member]);
  }
  return next;
}

/** Put a deployment into layer `target`, or between two layers (`target` 1.5: between the second and the third). */
export function placed(layers, layer, index, target) {
  const member = layers[layer][index];
  const next = layers.map((each) => each.filter((other) => other !== member));
  if (Number.isInteger(target)) {
    if (target === layer) return layers;
    next[target].push(member);
  } else next.splice(Math.ceil(target), 0, [member]);
  return next.filter((each) => each.length);
}

const numbers = new WeakMap(); // a deployment in the editor → a number that it keeps while it moves
let last = 0;
const numberOf = (member) => numbers.get(member) ?? (numbers.set(member, ++last), last);

/** Edit `row` in place. `changed(words, rebuilt)` is told of every change; `rebuilt` when the layers are others now. */
export function editor(name, row, providers, changed) {
  const element = h("div", { class: "editor" });
  let dragged = null; // [layer, index]

  function set(layers, words, focus) {
    row.chain = chainOf(layers);
    draw();
    changed(words);
    if (focus) element.querySelector(`[data-focus="${CSS.escape(focus)}"]:not(:disabled)`)?.focus();
  }

  function draw() {
    const layers = layersOf(row);
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
        if (dragged) set(placed(layers, ...dragged, target), words);
      },
    });
    const gap = (target) => h("li", { class: "gap", "aria-hidden": "true", on: drop(target, "Moved.") });
    swap(
      element,
      h(
        "ol",
        { class: "edit-layers", "aria-label": `Layers of ${name}, in order` },
        layers.map((layer, at) => [
          gap(at - 0.5),
          h(
            "li",
            { class: "edit-layer", on: drop(at, `Shares layer ${at + 1} now.`) },
            h("p", { class: "layer-mark" }, h("span", { class: "sr" }, "Layer "), at + 1),
            h("ul", {}, layer.map((member, index) => memberRow(layers, at, index, member))),
          ),
        ]),
        gap(layers.length - 0.5),
      ),
      h("div", { class: "actions start" }, button("Add a layer", () => append(layers), { icon: "plus", "data-focus": "add-layer" })),
    );
  }

  function append(layers) {
    const member = { provider: Object.keys(providers)[0] ?? "", model: "" };
    set([...layers, [member]], "A layer was added.", `model ${numberOf(member)}`);
  }

  function memberRow(layers, layer, index, member) {
    const number = numberOf(member);
    const spoken = member.model ? idOf(member) : "the new deployment";
    const alone = layers[layer].length === 1;
    const update = (key, value) => {
      if (value === undefined) delete member[key];
      else member[key] = value;
      changed();
    };
    const model = h("input", { value: member.model, placeholder: "the model's name there", spellcheck: "false", autocapitalize: "none", "data-focus": `model ${number}`, on: { input: (event) => update("model", event.target.value.trim()) } });
    const weight = h("input", { type: "number", min: "0.001", step: "any", inputmode: "decimal", value: weightOf(member), "data-focus": `weight ${number}`, on: { input: (event) => update("weight", positive(event.target.value)) } });
    return h(
      "li",
      {
        class: `edit-member ${member.enabled === false ? "is-off" : ""}`,
        on: {
          dragstart: (event) => {
            dragged = [layer, index];
            event.dataTransfer.effectAllowed = "move";
            event.dataTransfer.setData("text/plain", spoken);
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
      // Only the handle starts a drag, so that text in the fields can be selected.
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
        toggle("On", member.enabled !== false, (on) => {
          update("enabled", on ? undefined : false);
          draw();
        }, { "aria-label": `${spoken} takes part`, "data-focus": `on ${number}` }),
        button(`Move ${spoken} up`, () => set(moved(layers, layer, index, -1), `${spoken} moved up.`, `up ${number}`), { icon: "up", kind: "quiet", only: true, disabled: alone && layer === 0, "data-focus": `up ${number}` }),
        button(`Move ${spoken} down`, () => set(moved(layers, layer, index, 1), `${spoken} moved down.`, `down ${number}`), { icon: "down", kind: "quiet", only: true, disabled: alone && layer === layers.length - 1, "data-focus": `down ${number}` }),
        button(`Remove ${spoken}`, () => set(layers.map((each) => each.filter((other) => other !== member)), `${spoken} was removed.`, "add-layer"), { icon: "trash", kind: "quiet", only: true, disabled: layers.flat().length === 1 }),
      ),
      h(
        "div",
        { class: "member-more" },
        layer > 0 && alone ? button(`Share layer ${layer}`, () => set(placed(layers, layer, index, layer - 1), `${spoken} shares layer ${layer} now.`, `weight ${number}`), { kind: "quiet", "aria-label": `Let ${spoken} share layer ${layer}` }) : null,
        priceEditor(member, spoken, changed),
      ),
    );
  }

  draw();
  return element;
}

function priceEditor(member, spoken, changed) {
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
          // Set by hand: what had filled it in is no longer its source.
          const { source: _, ...next } = price();
          const value = Number.parseFloat(event.target.value);
          if (Number.isNaN(value)) delete next[key];
          else next[key] = value;
          if (Object.keys(next).length) member.price = next;
          else delete member.price;
          summary.textContent = member.price?.input >= 0 && member.price?.output >= 0 ? priceOf(member.price) : member.price ? "needs both, in and out" : "price unknown";
          changed();
        },
      },
    });
  return h(
    "details",
    { class: "price" },
    h("summary", {}, h("span", { class: "sr" }, `Price of ${spoken}: `), summary),
    h(
      "div",
      { class: "form three" },
      field("In", input("input")),
      field("Out", input("output")),
      field("Read from cache", input("cache_read")),
    ),
    h("p", { class: "hint" }, "Dollars per million tokens. Left empty, the cost of its answers is shown as unknown."),
  );
}

function positive(text) {
  const value = Number.parseFloat(text);
  return Number.isNaN(value) ? undefined : value;
}

// Buttons, fields, tables and notices.

import { h } from "./dom.js";
import { icon } from "./icons.js";

/** A button. `kind` is primary, danger, quiet or empty; `only` shows just the icon, with the label as its name. */
export function button(label, click, { kind = "", icon: drawing, only = false, type = "button", ...props } = {}) {
  return h(
    "button",
    {
      type,
      class: `button ${kind} ${only ? "only" : ""}`.trim(),
      "aria-label": only ? label : undefined,
      title: only ? label : undefined,
      on: click ? { click } : undefined,
      ...props,
    },
    drawing && icon(drawing),
    only ? null : h("span", {}, label),
  );
}

/** Mark a button as busy while `work` runs, and ignore further presses. */
export async function busy(control, work) {
  if (control.getAttribute("aria-busy") === "true") return undefined;
  control.setAttribute("aria-busy", "true");
  try {
    return await work();
  } finally {
    control.removeAttribute("aria-busy");
  }
}

let ids = 0;
/** An id that is unique on the page. */
export const uid = (prefix = "id") => `${prefix}-${++ids}`;

/** A labelled control with a hint and an error. `.problem(text)` of the returned element shows the error. */
export function field(label, control, { hint, wide = false, unit } = {}) {
  control.id ||= uid("field");
  const hintId = `${control.id}-hint`;
  const errorId = `${control.id}-error`;
  const error = h("p", { class: "field-error", id: errorId });
  control.setAttribute("aria-describedby", `${hint ? `${hintId} ` : ""}${errorId}`);
  const element = h(
    "div",
    { class: `field ${wide ? "wide" : ""}`.trim() },
    h("label", { for: control.id }, label, unit && h("span", { class: "sr" }, ` in ${unit}`)),
    unit ? h("div", { class: "with-unit" }, control, h("span", { "aria-hidden": "true" }, unit)) : control,
    hint && h("p", { class: "hint", id: hintId }, hint),
    error,
  );
  element.problem = (text) => {
    error.textContent = text ?? "";
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  };
  control.addEventListener("input", () => element.problem());
  return element;
}

/** A choice as buttons side by side. `options` are [value, label]. */
export function segmented(label, options, chosen, change) {
  const name = uid("choice");
  return h(
    "fieldset",
    { class: "segmented" },
    h("legend", { class: "sr" }, label),
    options.map(([value, text]) =>
      h(
        "label",
        {},
        h("input", { type: "radio", name, value, checked: value === chosen, on: { change: () => change(value) } }),
        h("span", {}, text),
      ),
    ),
  );
}

/** A `<select>`. `options` are [value, label] or plain values. */
export function select(options, value, props = {}) {
  return h(
    "select",
    { ...props, value },
    options.map((each) => {
      const [own, text] = Array.isArray(each) ? each : [each, each];
      return h("option", { value: own }, text);
    }),
  );
}

/** An on/off switch with a label. */
export function toggle(label, on, change, props = {}) {
  return h(
    "label",
    { class: "switch" },
    h("input", { type: "checkbox", role: "switch", checked: on, on: { change: (event) => change?.(event.target.checked) }, ...props }),
    h("span", { class: "track", "aria-hidden": "true" }),
    h("span", {}, label),
  );
}

/** An empty state: what is missing, why, and what to do. */
export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, text), actions.length ? h("div", { class: "actions" }, actions) : null);
}

/** An error, with a button to retry. */
export function failure(error, retry) {
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    icon("warn"),
    h("div", {}, h("p", {}, error.message), retry && button("Retry", retry)),
  );
}

/** A placeholder while something loads. */
export function skeleton(lines = 3) {
  return h(
    "div",
    { class: "skeleton", "aria-busy": "true" },
    h("span", { class: "sr" }, "Loading"),
    Array.from({ length: lines }, () => h("span", { class: "bone", "aria-hidden": "true" })),
  );
}

/** A table that becomes a list of cards on a phone. `columns`: {label, cell(row), number?, head?, className?}. */
export function table(caption, columns, rows, { rowProps } = {}) {
  return h(
    "div",
    { class: "table-wrap" },
    h(
      "table",
      { role: "table" },
      h("caption", { class: "sr" }, caption),
      h(
        "thead",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row" },
          columns.map((column) =>
            h("th", { scope: "col", role: "columnheader", class: column.number ? "number" : undefined }, column.sr ? h("span", { class: "sr" }, column.label) : column.label),
          ),
        ),
      ),
      h(
        "tbody",
        { role: "rowgroup" },
        rows.map((row) =>
          h(
            "tr",
            { role: "row", ...rowProps?.(row) },
            columns.map((column) =>
              h(
                column.head ? "th" : "td",
                {
                  role: column.head ? "rowheader" : "cell",
                  scope: column.head ? "row" : undefined,
                  class: [column.number && "number", column.className].filter(Boolean).join(" ") || undefined,
                  "data-label": column.sr ? undefined : column.label,
                },
                h("div", { class: "cell" }, column.cell(row)),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Copy text, and confirm it on the button. */
export async function copy(control, text) {
  const words = control.querySelector("span");
  const before = words?.textContent;
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    done = copyBySelection(control, text);
  }
  if (words) words.textContent = done ? "Copied" : "Press Ctrl+C";
  setTimeout(() => words && (words.textContent = before), 2500);
  return done;
}

/** Browsers offer the clipboard API on https and localhost only. */
function copyBySelection(control, text) {
  const area = h("textarea", { readonly: true, class: "sr", "aria-hidden": "true", value: text });
  control.after(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  control.focus();
  return done;
}

// Elements, dialogs and notices. Whatever comes from outside becomes a text node, so markup is shown and never read.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `props` are attributes, except `on` (listeners), `style` (properties) and `value`, `checked` …. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same in SVG. */
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "indeterminate", "required"]);

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null) continue;
    if (name === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    // Properties of the CSSOM, not a style attribute: the Content-Security-Policy allows none.
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (PROPERTIES.has(name)) continue;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  add(element, children);
  // After the children: a <select> takes a value only once it has its options.
  for (const name of PROPERTIES) if (props?.[name] !== undefined) element[name] = props[name];
  return element;
}

function add(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

/** Put `children` where there was something else; whoever had the focus keeps it, found again by `data-focus`. */
export function swap(parent, ...children) {
  const held = parent.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  parent.replaceChildren();
  add(parent, children);
  if (held) parent.querySelector(`[data-focus="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
  return parent;
}

// Who presses what is swapped before the button comes up means what took its place: browsers make no click of that.
let pressed = null;
addEventListener("pointerdown", (event) => (pressed = event.button === 0 ? event.target.closest?.("[data-focus]") : null), true);
addEventListener(
  "pointerup",
  (event) => {
    const gone = pressed && !pressed.isConnected ? `[data-focus="${CSS.escape(pressed.dataset.focus)}"]` : null;
    pressed = null;
    if (gone) document.elementFromPoint(event.clientX, event.clientY)?.closest(gone)?.click();
  },
  true,
);

const ICONS = {
  overview: "M3 13h4l2-7 4 13 3-9 1 3h4",
  models: "M5 6h4c4 0 3 6 7 6h3M5 18h4c4 0 3-6 7-6M5 6h.01M5 18h.01",
  keys: "M14.5 9.5 20 4m-2 2 2 2m-4.5.5 1.5 1.5M15 13.5a5 5 0 1 1-4.5-4.5 5 5 0 0 1 4.5 4.5Z",
  requests: "M4 6h16M4 12h16M4 18h10",
  playground: "M4 5h16v11H9l-5 4V5Z",
  api: "m8 7-5 5 5 5m8-10 5 5-5 5M14 4l-4 16",
  light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0-5v2m0 14v2M3 12h2m14 0h2M5.6 5.6 7 7m10 10 1.4 1.4M18.4 5.6 17 7M7 17l-1.4 1.4",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.500 10.500Z",
  system: "M4 5h16v11H4zM9 20h6m-3-4v4",
  out: "M10 4H5v16h5m5-12 4 4-4 4m4-4H9",
  up: "m6 14 6-6 6 6",
  down: "m6 10 6 6 6-6",
  left: "m14 6-6 6 6 6",
  right: "m10 6 6 6-6 6",
  plus: "M12 5v14M5 12h14",
  close: "m6 6 12 12M18 6 6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "m5 12.500 4.500 4.500L19 7.500",
  drag: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  trash: "M5 7h14M10 7V4h4v3m3 0-1 13H8L7 7",
  edit: "m5 19 1-4L16 5l3 3L9 18l-4 1Z",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  warn: "M12 4 2.500 20h19L12 4Zm0 6v5m0 2.500v.01",
  stop: "M7 7h10v10H7z",
  send: "m4 12 16-8-6 16-3-7-7-1Z",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16Zm0 4v4l3 2",
  history: "M4 12a8 8 0 1 0 2.500-5.800L4 8.500M4 4v4.500h4.500M12 8v4l3 2",
  rotate: "M19 8.500A8 8 0 1 0 20 12m0-8v5h-5",
  block: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16ZM6.500 6.500l11 11",
  explain: "M9.500 9a2.500 2.500 0 1 1 3.500 2.500c-.7.4-1 .9-1 1.700m0 3.300v.01M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
};

/** A drawing beside words; it says nothing to a screen reader. */
export function icon(name) {
  return s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name] }));
}

/** A button. `kind` is primary, danger, quiet or nothing; `only` shows the icon alone and speaks the label. */
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

/** Let a button show that it works, and keep it from being pressed twice. */
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
/** An id that nothing else on the page has. */
export const uid = (prefix = "id") => `${prefix}-${++ids}`;

/** A labelled control with a hint and room for an error. Returns the element; `.problem(text)` shows what is wrong. */
export function field(label, control, { hint, wide = false, suffix } = {}) {
  control.id ||= uid("field");
  const hintId = `${control.id}-hint`;
  const errorId = `${control.id}-error`;
  const error = h("p", { class: "field-error", id: errorId });
  control.setAttribute("aria-describedby", `${hint ? `${hintId} ` : ""}${errorId}`);
  const element = h(
    "div",
    { class: `field ${wide ? "wide" : ""}`.trim() },
    h("label", { for: control.id }, label),
    suffix ? h("div", { class: "with-suffix" }, control, h("span", { "aria-hidden": "true" }, suffix)) : control,
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

/** A choice out of few, as buttons side by side. `options` are [value, label]. */
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
      const [given, text] = Array.isArray(each) ? each : [each, each];
      return h("option", { value: given }, text);
    }),
  );
}

/** An on/off switch with words. */
export function toggle(label, on, change, props = {}) {
  return h(
    "label",
    { class: "switch" },
    h("input", { type: "checkbox", role: "switch", checked: on, on: { change: (event) => change?.(event.target.checked) }, ...props }),
    h("span", { class: "track", "aria-hidden": "true" }),
    h("span", {}, label),
  );
}

/** Open a modal dialog. `build(close)` gives its content; resolves with what `close` was given, or undefined (Escape). */
export function openDialog(title, build, { wide = false, describe, side = false, guard } = {}) {
  return new Promise((resolve) => {
    const heading = uid("title");
    let outcome;
    const close = (value) => {
      outcome = value;
      element.close();
    };
    const tryClose = async () => {
      if (!guard || (await guard())) close();
    };
    const element = h(
      "dialog",
      { class: `dialog ${wide ? "wide" : ""} ${side ? "drawer" : ""}`, "aria-labelledby": heading },
      h(
        "header",
        {},
        h("h2", { id: heading, tabindex: "-1" }, title),
        button("Close", tryClose, { kind: "quiet", icon: "close", only: true }),
      ),
      describe && h("p", { class: "dialog-lead" }, describe),
    );
    add(element, [build(close, element)]);
    element.addEventListener("cancel", (event) => {
      if (!guard) return;
      event.preventDefault();
      tryClose();
    });
    element.addEventListener("close", () => {
      element.remove();
      resolve(outcome);
    });
    document.body.append(element);
    element.showModal();
    (element.querySelector("[autofocus]") ?? element.querySelector("h2")).focus();
  });
}

/** Ask before something that can't be taken back. */
export function confirm(title, text, action, { danger = true } = {}) {
  return openDialog(title, (close) => [
    h("p", {}, text),
    h(
      "div",
      { class: "actions" },
      button("Cancel", () => close(false), { autofocus: true }),
      button(action, () => close(true), { kind: danger ? "danger" : "primary" }),
    ),
  ]);
}

/** Tell of something that happened, without taking the focus. `action` is [label, click]. */
export function toast(text, { kind = "good", action, seconds = 8 } = {}) {
  const region = document.getElementById("toasts");
  const gone = () => element.remove();
  const element = h(
    "div",
    { class: `toast ${kind}` },
    h("span", {}, text),
    action && button(action[0], () => (gone(), action[1]()), { kind: "quiet" }),
    button("Dismiss", gone, { kind: "quiet", icon: "close", only: true }),
  );
  region.append(element);
  while (region.children.length > 3) region.firstChild.remove();
  setTimeout(gone, (action ? seconds * 2 : seconds) * 1000);
}

/** A box that says that there is nothing, why, and what to do. */
export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("h3", {}, title), h("p", {}, text), actions.length ? h("div", { class: "actions" }, actions) : null);
}

/** A box for what went wrong, with a way on. */
export function failure(error, retry) {
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    icon("warn"),
    h("div", {}, h("p", {}, error.message), retry && button("Try again", retry)),
  );
}

/** Grey shapes while something loads. */
export function skeleton(lines = 3) {
  return h(
    "div",
    { class: "skeleton", "aria-busy": "true" },
    h("span", { class: "sr" }, "Loading"),
    Array.from({ length: lines }, () => h("span", { class: "bone", "aria-hidden": "true" })),
  );
}

/** Put into `place` what `build` makes of what `read` finds: grey shapes until then, a way on when it fails. */
async function fillWith(place, read, build) {
  swap(place, skeleton(4));
  let found;
  try {
    found = await read();
  } catch (error) {
    swap(place, failure(error, () => fillWith(place, read, build)));
    return;
  }
  const dialog = place.closest("dialog");
  const waits = dialog && (dialog.querySelector("h2") === document.activeElement || document.activeElement === document.body);
  swap(place, build(found));
  if (waits) place.querySelector("[autofocus]")?.focus();
}

/** A dialog of what `build(found, close)` makes of what `read` finds; it opens before that is there. */
export function openFilled(title, read, build, options) {
  const body = h("div", {});
  return openDialog(
    title,
    (close) => {
      fillWith(body, read, (found) => build(found, close));
      return body;
    },
    options,
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

/** Copy text, and say so on the button that was pressed. */
export async function copy(control, text) {
  const words = control.querySelector("span");
  const before = words?.textContent;
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    done = copyOldWay(control, text);
  }
  if (words) words.textContent = done ? "Copied" : "Press Ctrl+C";
  setTimeout(() => words && (words.textContent = before), 2500);
  return done;
}

/** Over plain http beyond localhost there is no clipboard API. */
function copyOldWay(control, text) {
  const area = h("textarea", { readonly: true, class: "sr", "aria-hidden": "true", value: text });
  control.after(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  control.focus();
  return done;
}

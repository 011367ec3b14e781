// Elements. Strings become text nodes, so that markup in data is shown and never parsed.

const SVG = "http://www.w3.org/2000/svg";

/** Create an element. `props` are attributes, except `on` (listeners), `style` (properties) and `value`, `checked` …. */
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

export function add(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

/** Replace the children of `parent`. The element with the same `data-focus` keeps the focus. */
export function swap(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  parent.replaceChildren();
  add(parent, children);
  if (focused) parent.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  return parent;
}

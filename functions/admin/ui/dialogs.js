// Dialogs and toasts.

import { button, failure, skeleton, uid } from "./controls.js";
import { add, h, swap } from "./dom.js";

/** Open a modal dialog with the content of `build(close)`. Resolves with the argument of `close`; undefined on Escape. */
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

/** Ask for confirmation. Resolves with true or false. */
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

/** Fill `place` with `build(await read())`: a placeholder until then, a retry button after a failure. */
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
  const unfocused = dialog && (dialog.querySelector("h2") === document.activeElement || document.activeElement === document.body);
  swap(place, build(found));
  if (unfocused) place.querySelector("[autofocus]")?.focus();
}

/** Open a dialog with a placeholder, then fill it with `build(await read(), close)`. */
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

/** Report an event without moving the focus. `action` is [label, click]. */
export function toast(text, { kind = "good", action, seconds = 8 } = {}) {
  const region = document.getElementById("toasts");
  const remove = () => element.remove();
  const element = h(
    "div",
    { class: `toast ${kind}` },
    h("span", {}, text),
    action && button(action[0], () => (remove(), action[1]()), { kind: "quiet" }),
    button("Dismiss", remove, { kind: "quiet", icon: "close", only: true }),
  );
  region.append(element);
  while (region.children.length > 3) region.firstChild.remove();
  setTimeout(remove, (action ? seconds * 2 : seconds) * 1000);
}

// Dialogs and toasts.

import { button, failure, skeleton, uid } from "./controls.js";
import { add, h, swap } from "./dom.js";

// Every open dialog has an entry in the browser's history, so that Back closes it. The entry's state lists the ids of the
// dialogs that are open there.
const open = new Map(); // id → <dialog>
let closing = Promise.resolve(); // resolved once the entry of the dialog closed last is gone

const idsHere = () => history.state?.dialogs ?? [];

addEventListener("popstate", () => {
  for (const [id, element] of [...open].reverse()) if (!idsHere().includes(id)) element.close();
});

/** Leave the history entry of a closed dialog, unless Back or a link has left it already. */
async function leaveEntry(id) {
  if (!idsHere().includes(id)) return;
  await new Promise((resolve) => {
    addEventListener("popstate", resolve, { once: true });
    history.back();
  });
}

/**
 * Open a modal dialog with the content of `build(close)`. Resolves with the argument of `close`; undefined on Escape or
 * Back. `address` is the URL's hash while the dialog is open.
 */
export async function openDialog(title, build, { wide = false, describe, side = false, address = location.hash } = {}) {
  await closing;
  const id = uid(`dialog-${Date.now()}`);
  const heading = uid("title");
  let outcome;
  const close = (value) => {
    outcome = value;
    element.close();
  };
  const element = h(
    "dialog",
    { class: `dialog ${wide ? "wide" : ""} ${side ? "drawer" : ""}`, "aria-labelledby": heading },
    h("div", { class: "dialog-head" }, h("h2", { id: heading, tabindex: "-1" }, title), button("Close", () => close(), { kind: "quiet", icon: "close", only: true })),
    describe && h("p", { class: "dialog-lead" }, describe),
  );
  add(element, [build(close)]);
  history.pushState({ dialogs: [...idsHere(), id] }, "", address || location.href);
  open.set(id, element);
  document.body.append(element);
  element.showModal();
  (element.querySelector("[autofocus]") ?? element.querySelector("h2")).focus();
  await new Promise((resolve) => element.addEventListener("close", resolve));
  element.remove();
  open.delete(id);
  closing = leaveEntry(id);
  await closing;
  return outcome;
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

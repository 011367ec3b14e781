// The dialog with a new key's text, which is shown only once.

import { button, copy } from "../controls.js";
import { openDialog } from "../dialogs.js";
import { h } from "../dom.js";

/** Show the text of `created`, with `details` below it and `action` next to the button that closes the dialog. */
export function showNewKey(created, title, { details = null, action = null, wide = false } = {}) {
  const copied = button("Copy", () => copy(copied, created.key), { kind: "primary", icon: "copy", autofocus: true });
  return openDialog(
    title,
    (close) => [
      h("div", { class: "copyable once" }, h("code", { "data-created-key": "" }, created.key), copied),
      h("p", { class: "hint spaced" }, "The router stores only a hash. If you lose the key, rotate it."),
      details,
      h("div", { class: "actions spaced" }, button("Done", () => close()), action),
    ],
    { wide, describe: "Copy it now. It is not shown again." },
  );
}

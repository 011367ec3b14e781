// From an edit to the table: the differences, a conflict with somebody else's edit, history and the way back.

import { busy, button, failure, field, skeleton } from "../controls.js";
import { openDialog, openFilled, toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { currentDraft, setDraft } from "../draft.js";
import { models as api } from "../endpoints.js";
import { icon } from "../icons.js";
import { ApiError } from "../session.js";
import { sideBySide } from "./conflict.js";
import { differences } from "./differences.js";
import { rollBack } from "./history.js";

/** Show what would change, take a note, save. Resolves with the new version, or nothing when it was not saved. */
export async function reviewDialog(reload) {
  const body = h("div", {}, skeleton(3));
  const note = h("input", { maxlength: "500", placeholder: "Why, for whoever reads the history", autocomplete: "off" });
  const outcome = await openDialog(
    "Review the changes",
    (close) => {
      look(close);
      return body;
    },
    { wide: true },
  );
  if (outcome === "conflict") return resolveConflict(reload);
  return outcome;

  async function look(close) {
    const { edited } = currentDraft();
    try {
      const found = await api.compareRoutes(edited);
      const save = button("Save", () => busy(save, () => keep(close)), { kind: "primary", disabled: found.problems.length > 0 || !found.changes.length });
      swap(
        body,
        found.problems.length
          ? h("div", { class: "notice bad" }, icon("warn"), h("div", {}, h("p", {}, h("strong", {}, "This can't be saved yet.")), h("ul", {}, found.problems.map((each) => h("li", {}, h("code", {}, each.path), `: ${each.reason}`)))))
          : null,
        found.changes.length ? differences(found.changes) : found.problems.length ? null : h("p", {}, "Nothing differs from what is saved."),
        found.problems.length ? null : h("form", { class: "form spaced", on: { submit: (event) => (event.preventDefault(), save.click()) } }, field("Note", note)),
        h("p", { class: "hint spaced" }, "Live within ten seconds, for every caller."),
        h("div", { class: "actions" }, button("Go on editing", () => close()), save),
      );
      (found.problems.length ? body.querySelector(".notice") : note).focus?.();
    } catch (error) {
      swap(body, failure(error, () => look(close)));
    }
  }

  async function keep(close) {
    const { version, digest, edited } = currentDraft();
    try {
      const saved = await api.saveRoutes({ version, digest, ...edited, note: note.value.trim() || undefined });
      setDraft(null);
      savedToast(saved, reload);
      close(saved.version);
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) close("conflict");
      else if (error.body?.error?.problems) look(close);
      else swap(body, failure(error, () => look(close)));
    }
  }
}

function savedToast(saved, reload) {
  toast(`Saved as version ${saved.version}.`, {
    action: ["Undo", () => rollBack(saved, saved.version - 1, `Undo version ${saved.version}`, reload)],
  });
}

// --- two editors ---

/** Somebody saved in between: show theirs beside ours, row by row, and put both together. Nothing is lost. */
async function resolveConflict(reload) {
  const draft = currentDraft();
  const together = await openFilled(
    "Somebody saved in between",
    api.readRoutes,
    (fresh, close) => sideBySide(draft, fresh, close),
    { wide: true, describe: "Your changes are all still here." },
  );
  if (!together) return undefined;
  setDraft(together);
  return reviewDialog(reload);
}

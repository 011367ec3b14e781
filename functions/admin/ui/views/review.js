// Review and save an edit of the routes, and merge it with a concurrent one.

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

/** Show the changes, ask for a note, save. Resolves with the new version; undefined if not saved. */
export async function reviewDialog(reload) {
  const body = h("div", {}, skeleton(3));
  const note = h("input", { maxlength: "500", placeholder: "Reason for the change, shown in the history", autocomplete: "off" });
  const outcome = await openDialog(
    "Review changes",
    (close) => {
      compare(close);
      return body;
    },
    { wide: true },
  );
  if (outcome === "conflict") return resolveConflict(reload);
  return outcome;

  async function compare(close) {
    const { edited } = currentDraft();
    try {
      const found = await api.compareRoutes(edited);
      const hosts = found.new_hosts;
      const confirmed = h("input", { type: "checkbox", on: { change: () => (save.disabled = !valid || !confirmed.checked) } });
      const valid = !found.problems.length && found.changes.length > 0;
      const save = button("Save", () => busy(save, () => write(close, hosts)), { kind: "primary", disabled: !valid || hosts.length > 0 });
      swap(
        body,
        found.problems.length
          ? h("div", { class: "notice bad" }, icon("warn"), h("div", {}, h("p", {}, h("strong", {}, "These changes are not valid yet.")), h("ul", {}, found.problems.map((each) => h("li", {}, h("code", {}, each.path), `: ${each.reason}`)))))
          : null,
        hosts.length
          ? h(
              "div",
              { class: "notice" },
              icon("warn"),
              h("div", {}, h("p", {}, h("strong", {}, "A secret will be sent to a new host.")), h("ul", {}, hosts.map(({ secret, host }) => h("li", {}, h("code", {}, secret), " → ", h("code", {}, host)))), h("label", { class: "check" }, confirmed, "I trust this host with the secret")),
            )
          : null,
        found.changes.length ? differences(found.changes, "h3") : found.problems.length ? null : h("p", {}, "No differences from the saved routes."),
        found.problems.length ? null : h("form", { class: "form spaced", on: { submit: (event) => (event.preventDefault(), save.click()) } }, field("Note", note)),
        h("p", { class: "hint spaced" }, "Takes effect for every caller within ten seconds."),
        h("div", { class: "actions" }, button("Keep editing", () => close()), save),
      );
      (found.problems.length ? body.querySelector(".notice") : note).focus?.();
    } catch (error) {
      swap(body, failure(error, () => compare(close)));
    }
  }

  async function write(close, hosts) {
    const { version, digest, edited } = currentDraft();
    try {
      const saved = await api.saveRoutes({ version, digest, ...edited, note: note.value.trim() || undefined, confirmed_hosts: hosts });
      setDraft(null);
      savedToast(saved, reload);
      close(saved.version);
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) close("conflict");
      else if (error.body?.error?.problems || error.code === "secret_host_unconfirmed") compare(close);
      else swap(body, failure(error, () => compare(close)));
    }
  }
}

function savedToast(saved, reload) {
  toast(`Saved as version ${saved.version}.`, {
    action: ["Undo", () => rollBack(saved, saved.version - 1, `Undo version ${saved.version}`, reload)],
  });
}

/** Someone else has saved meanwhile: show both edits row by row and merge them. */
async function resolveConflict(reload) {
  const draft = currentDraft();
  const merged = await openFilled(
    "Conflicting changes",
    api.readRoutes,
    (fresh, close) => sideBySide(draft, fresh, close),
    { wide: true, describe: "Someone else saved while you were editing. Your changes are not lost." },
  );
  if (!merged) return undefined;
  setDraft(merged);
  return reviewDialog(reload);
}

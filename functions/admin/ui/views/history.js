// The history of the routes, and the way back.

import { button, empty } from "../controls.js";
import { confirm, openFilled, toast } from "../dialogs.js";
import { h } from "../dom.js";
import { changedRows, currentDraft } from "../draft.js";
import { models as api } from "../endpoints.js";
import { fromNow, fullTime, plural } from "../format.js";
import { differences } from "./differences.js";

/** Write version `to` over what was seen last. */
export async function rollBack({ version, digest }, to, note, reload) {
  try {
    const answer = await api.rollBack({ version, digest, to, note });
    toast(`Back at what version ${to} said, as version ${answer.version}.`);
    await reload();
    return true;
  } catch (error) {
    toast(error.status === 409 ? "Somebody has saved since. Look at the history, then choose again." : error.message, { kind: "bad" });
    return false;
  }
}

export function historyDialog(reload) {
  const read = async () => {
    const [{ versions }, now] = await Promise.all([api.readHistory(), api.readRoutes()]);
    return { versions, now };
  };
  const list = ({ versions, now }, close) =>
    versions.length ? h("ol", { class: "history" }, versions.map((each) => entry(each, now, close))) : empty("No versions yet", "Every save on this page becomes a version that you can go back to.");
  function entry(version, now, close) {
    return h(
      "li",
      {},
      h("div", { class: "history-head" }, h("h3", {}, `Version ${version.version}`), version.version === now.version ? h("span", { class: "chip" }, "live now") : button("Roll back to this", () => back(version, now, close), { "aria-label": `Roll back to version ${version.version}` })),
      h("p", { class: "quiet" }, `${fullTime(version.at)} (${fromNow(version.at)})${version.by ? `, by ${version.by}` : ""}`),
      version.note && h("p", { class: "note" }, version.note),
      version.changes?.length ? h("details", {}, h("summary", {}, plural(version.changes.length, "row")), differences(version.changes)) : null,
    );
  }
  async function back(version, now, close) {
    if (currentDraft() && changedRows(currentDraft()).length) {
      toast("Save or discard your changes first.", { kind: "bad" });
      return;
    }
    if (!(await confirm(`Roll back to version ${version.version}?`, "What it said becomes a new version, live within ten seconds. The versions in between stay in the history.", "Roll back", { danger: false }))) return;
    if (await rollBack(now, version.version, `Back to version ${version.version}`, reload)) close();
  }
  return openFilled("History", read, list, { side: true, describe: "Every version that was saved, newest first." });
}

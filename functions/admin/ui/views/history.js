// The history of the routes, and rolling back.

import { button, empty } from "../controls.js";
import { confirm, openFilled, toast } from "../dialogs.js";
import { h } from "../dom.js";
import { changedRows, currentDraft } from "../draft.js";
import { models as api } from "../endpoints.js";
import { fromNow, fullTime, plural } from "../format.js";
import { differences } from "./differences.js";

/** Save version `to` again as the newest, unless the routes have changed since `version`. Asks before a secret goes to a new host. */
export async function rollBack({ version, digest }, to, note, reload, confirmed_hosts) {
  try {
    const answer = await api.rollBack({ version, digest, to, note, confirmed_hosts });
    toast(`Rolled back to version ${to}, saved as version ${answer.version}.`);
    await reload();
    return true;
  } catch (error) {
    if (error.code === "secret_host_unconfirmed" && !confirmed_hosts) {
      const hosts = error.body.error.new_hosts;
      const named = hosts.map(({ secret, host }) => `${secret} → ${host}`).join(", ");
      const trusted = await confirm("Send a secret to a new host?", `Version ${to} sends ${named}. Continue only if you trust this host with the secret.`, "Roll back");
      return trusted && rollBack({ version, digest }, to, note, reload, hosts);
    }
    toast(error.status === 409 ? "Someone else has saved since. Check the history and try again." : error.message, { kind: "bad" });
    return false;
  }
}

export function historyDialog(reload) {
  const read = async () => {
    const [{ versions }, now] = await Promise.all([api.readHistory(), api.readRoutes()]);
    return { versions, now };
  };
  const list = ({ versions, now }, close) =>
    versions.length ? h("ol", { class: "history" }, versions.map((each) => entry(each, now, close))) : empty("No versions yet", "Every save becomes a version that you can roll back to.");
  function entry(version, now, close) {
    return h(
      "li",
      {},
      h("div", { class: "history-head" }, h("h3", {}, `Version ${version.version}`), version.version === now.version ? h("span", { class: "chip" }, "live now") : button("Roll back", () => confirmRollBack(version, now, close), { "aria-label": `Roll back to version ${version.version}` })),
      h("p", { class: "quiet" }, `${fullTime(version.at)} (${fromNow(version.at)})${version.by ? `, by ${version.by}` : ""}`),
      version.note && h("p", { class: "note" }, version.note),
      version.changes?.length ? h("details", {}, h("summary", {}, plural(version.changes.length, "row")), differences(version.changes, "h4")) : null,
    );
  }
  async function confirmRollBack(version, now, close) {
    if (currentDraft() && changedRows(currentDraft()).length) {
      toast("Save or discard your changes before rolling back.", { kind: "bad" });
      return;
    }
    if (!(await confirm(`Roll back to version ${version.version}?`, "Its routes are saved as a new version and take effect within ten seconds. Later versions stay in the history.", "Roll back", { danger: false }))) return;
    if (await rollBack(now, version.version, `Roll back to version ${version.version}`, reload)) close();
  }
  return openFilled("History", read, list, { side: true, describe: "All saved versions, newest first." });
}

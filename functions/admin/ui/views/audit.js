// The audit log: who changed what, and who signed in.

import { busy, button, empty, failure, skeleton, table } from "../controls.js";
import { toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { audit as api } from "../endpoints.js";
import { moment, NONE } from "../format.js";

const ACTIONS = {
  "ui/sign-in": "Signed in",
  "ui/oidc/callback": "Signed in with the provider",
  "ui/sign-out": "Signed out",
  "key/generate": "Created a key",
  "me/keys": "Created a key",
  "key/update": "Changed a key",
  "key/regenerate": "Rotated a key",
  "key/block": "Blocked a key",
  "key/unblock": "Unblocked a key",
  "key/delete": "Deleted keys",
  "team/new": "Created a team",
  "team/update": "Changed a team",
  "team/block": "Blocked a team",
  "team/unblock": "Unblocked a team",
  "team/delete": "Deleted teams",
  routes: "Saved the routes",
  "routes/rollback": "Rolled the routes back",
  "cooldowns/clear": "Ended cooldowns",
  "alerts/test": "Tested a receiver of alerts",
  "alerts/resend": "Sent an alert again",
};

export async function show(view, { signal }) {
  const list = h("div", {}, skeleton(8));
  view.append(list);
  let rows = [];
  let next = null;

  async function load() {
    try {
      await read();
    } catch (error) {
      if (!signal.aborted) swap(list, failure(error, load));
    }
  }

  async function read() {
    const page = await api.readEntries({ limit: 50, before: next });
    if (signal.aborted) return;
    rows = [...rows, ...page.entries];
    next = page.next;
    draw();
  }

  const more = () => read().catch((error) => signal.aborted || toast(error.message, { kind: "bad" }));

  function draw() {
    if (!rows.length) {
      swap(list, empty("No entries yet", "Every change to keys, teams, routes and cooldowns appears here, and every sign-in."));
      return;
    }
    const control = next ? button("Load more", () => busy(control, more), { "data-focus": "more" }) : null;
    swap(
      list,
      h(
        "div",
        { class: "framed" },
        table(
          "Changes and sign-ins, newest first",
          [
            { label: "Time", head: true, cell: (entry) => moment(entry.at) },
            { label: "By", cell: (entry) => [h("span", { class: "name" }, entry.by || NONE), h("span", { class: "quiet small name" }, entry.address)] },
            { label: "Action", cell: action },
            { label: "Target", cell: (entry) => h("span", { class: "mono name" }, shortened(entry.target)) },
            { label: "Changes", cell: changes },
          ],
          rows,
        ),
      ),
      control ? h("div", { class: "more" }, control) : h("p", { class: "quiet more" }, "End of list."),
    );
  }

  await load();
}

function action(entry) {
  if (entry.status >= 400) return h("span", { class: "status bad" }, entry.action.startsWith("ui/") ? "Failed to sign in" : `Failed: ${entry.action}`);
  // The path may name the key: key/KEY/regenerate, me/keys/KEY/block.
  const path = entry.action.replace(/^(?:key|me\/keys)\/[^/]+\/(regenerate|block|unblock)$/, "key/$1").replace(/^alerts\/.+\/resend$/, "alerts/resend");
  return h("span", { class: "name" }, ACTIONS[path] ?? path);
}

/** A target; of a key's id, which is 64 characters long, the first ten. */
const shortened = (target) => (target ? target.replace(/^(key [0-9a-f]{10})[0-9a-f]{54}$/, "$1…") : NONE);

function changes(entry) {
  const fields = Object.entries(entry.changes);
  if (!fields.length) return NONE;
  return h("span", { class: "quiet small name" }, fields.map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(", ") : value}`).join(" · "));
}

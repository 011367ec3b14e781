// The keys and the usage of a member, or of the team that a lead leads.

import { busy, button, empty, failure, field, skeleton, table } from "../controls.js";
import { confirm, openDialog, toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { me as api } from "../endpoints.js";
import { keyName, money, NONE, plural, short } from "../format.js";
import { currentSession } from "../session.js";
import { budget, keyState } from "./holders.js";
import { showNewKey } from "./new-key.js";

const DAYS = 30;

const showKey = (created) => showNewKey(created, `New key ${keyName(created)}`);

export async function show(view, { signal, head }) {
  const { role, team } = currentSession();
  const leads = role === "lead";
  const figures = h("p", { class: "quiet" }, leads ? `Keys of the team ${team}.` : "Your own keys.");
  const list = h("div", {}, skeleton(5));
  if (leads) head.append(button("Create key", createKey, { kind: "primary", icon: "plus" }));
  view.append(figures, list);

  async function load() {
    try {
      const [{ keys }, usage] = await Promise.all([api.readKeys(), api.readUsage(DAYS)]);
      if (signal.aborted) return;
      const { totals } = usage;
      swap(figures, `${leads ? `Keys of the team ${team}` : "Your own keys"}: ${plural(totals.requests, "request")}, ${short(totals.prompt_tokens + totals.completion_tokens)} tokens and ${money(totals.cost)} in the last ${DAYS} days.`);
      draw(keys, new Map(usage.keys.map((each) => [each.key_id, each])));
    } catch (error) {
      if (!signal.aborted) swap(list, failure(error, load));
    }
  }

  function draw(keys, used) {
    if (!keys.length) {
      swap(list, empty("No keys yet", leads ? "Create a key for a member of your team." : "Ask an administrator or the lead of your team for a key with you as its owner."));
      return;
    }
    const columns = [
      { label: "Key", head: true, cell: (key) => [h("span", { class: "name" }, keyName(key)), h("span", { class: "mono quiet key-name" }, key.key_name)] },
      leads && { label: "Owner", cell: (key) => h("span", { class: "name" }, key.user_id ?? NONE) },
      { label: "State", cell: keyState },
      { label: "Budget", cell: budget },
      { label: "Requests", number: true, cell: (key) => short(used.get(key.key_id)?.requests ?? 0) },
      { label: "Actions", sr: true, number: true, cell: (key) => h("div", { class: "actions" }, actions(key)) },
    ];
    swap(list, h("div", { class: "framed" }, table("Keys", columns.filter(Boolean), keys)));
  }

  function actions(key) {
    const name = keyName(key);
    const rotate = button("Rotate", () => rotateKey(key), { "aria-label": `Rotate ${name}` });
    if (key.blocked) return leads ? [button("Unblock", () => act(() => api.unblockKey(key.key_id)), { "aria-label": `Unblock ${name}` })] : NONE;
    return [rotate, button("Block", () => blockKey(key), { kind: "danger", "aria-label": `Block ${name}` })];
  }

  async function act(work) {
    try {
      await work();
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
    await load();
  }

  async function rotateKey(key) {
    if (!(await confirm(`Rotate ${keyName(key)}?`, "The current key stops working within ten seconds. Its budget and its history stay.", "Rotate"))) return;
    await act(async () => showKey(await api.rotateKey(key.key_id)));
  }

  async function blockKey(key) {
    const undo = leads ? "" : " Only an administrator or the lead of your team can unblock it.";
    if (!(await confirm(`Block ${keyName(key)}?`, `It stops working within ten seconds.${undo}`, "Block"))) return;
    await act(() => api.blockKey(key.key_id));
  }

  async function createKey() {
    const created = await openDialog("Create key", createForm, { describe: `The key belongs to the team ${team}, whose budget and limits apply.` });
    if (!created) return;
    load();
    await showKey(created);
  }

  await load();
}

function createForm(close) {
  const alias = h("input", { maxlength: "200", autocomplete: "off", required: true, autofocus: true });
  const owner = h("input", { maxlength: "200", autocomplete: "off", placeholder: "bob@example.com" });
  const failed = h("p", { class: "form-error", role: "alert" });
  const submit = button("Create key", null, { kind: "primary", type: "submit" });
  async function send() {
    failed.textContent = "";
    try {
      close(await api.createKey({ key_alias: alias.value.trim(), user_id: owner.value.trim() || null }));
    } catch (error) {
      failed.textContent = error.message;
    }
  }
  return h(
    "form",
    { class: "form", on: { submit: (event) => (event.preventDefault(), busy(submit, send)) } },
    field("Alias", alias),
    field("Owner", owner, { hint: "The name the owner signs in with. They see and rotate the key themselves." }),
    failed,
    h("div", { class: "actions" }, button("Cancel", () => close()), submit),
  );
}

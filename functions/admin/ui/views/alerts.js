// Alerts: their receivers, with a test of each, and the log of what was sent.

import { busy, button, empty, failure, field, select, skeleton, table } from "../controls.js";
import { confirm, openDialog, toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { alerts as api } from "../endpoints.js";
import { moment, NONE } from "../format.js";

const EVENTS = {
  budget: "Budget",
  soft_budget: "Soft budget",
  quota: "Quota",
  cooldown: "Long cooldown",
  credential: "Rejected credential",
  no_deployment: "No deployment left",
  rollback: "Complexity rollback",
  test: "Test",
};
const TYPES = [["slack", "Slack"], ["feishu", "Feishu or Lark"], ["dingtalk", "DingTalk"], ["json", "JSON webhook"]];
const STATUS = { delivered: "good", retrying: "warn", failed: "bad" };
const WAIT = 20; // tries to read the result of a test, a second apart

export async function show(view, { signal, head }) {
  const place = h("div", {}, skeleton(8));
  const announcement = h("p", { class: "sr", role: "status" });
  view.append(place, announcement);
  let page = null;
  let rows = [];

  head.append(h("div", { class: "actions" }, button("Add receiver", () => edit(), { kind: "primary", icon: "plus" })));

  async function load() {
    try {
      page = await api.read({ limit: 50 });
      if (signal.aborted) return;
      rows = page.alerts;
      draw();
    } catch (error) {
      if (!signal.aborted) swap(place, failure(error, load));
    }
  }

  async function more() {
    try {
      const older = await api.read({ limit: 50, before: page.next });
      if (signal.aborted) return;
      rows = [...rows, ...older.alerts];
      page = { ...page, next: older.next };
      draw();
    } catch (error) {
      if (!signal.aborted) toast(error.message, { kind: "bad" });
    }
  }

  function draw() {
    swap(place, receivers(), log());
  }

  function receivers() {
    const title = h("h2", { id: "receivers-title" }, "Receivers");
    if (!page.receivers.length) return h("section", { "aria-labelledby": "receivers-title" }, title, empty("No receivers yet", "Alerts report budgets, quotas, rejected credentials and long failures to Slack, Feishu, DingTalk or any webhook. They are off until there is a receiver.", button("Add receiver", () => edit(), { icon: "plus" })));
    const shares = page.budget.map((share) => `${Math.round(share * 1000) / 10} %`).join(", ") || "no share";
    return h(
      "section",
      { "aria-labelledby": "receivers-title" },
      title,
      h(
        "div",
        { class: "framed" },
        table(
          "Receivers of alerts",
          [
            { label: "Name", head: true, cell: (each) => h("span", { class: "mono name" }, each.name) },
            { label: "Type", cell: (each) => TYPES.find(([type]) => type === each.type)?.[1] ?? each.type },
            { label: "URL", cell: (each) => secretName(each.url, each.url_set, each.host) },
            { label: "Signed with", cell: (each) => (each.secret ? secretName(each.secret, each.secret_set) : NONE) },
            { label: "Events", cell: (each) => (each.events.length ? each.events.map((event) => EVENTS[event]).join(", ") : "All") },
            { label: "Actions", sr: true, cell: (each) => actions(each) },
          ],
          page.receivers,
        ),
      ),
      h("p", { class: "quiet small note" }, `Budgets are reported at ${shares}, cooldowns after ${page.cooled_minutes} minutes.`),
    );
  }

  function actions(receiver) {
    const control = button("Test", () => busy(control, () => test(receiver)), { icon: "send", "aria-label": `Test ${receiver.name}` });
    return h("div", { class: "actions" }, control, button(`Edit ${receiver.name}`, () => edit(receiver), { kind: "quiet", icon: "edit", only: true }), button(`Remove ${receiver.name}`, () => remove(receiver), { kind: "quiet", icon: "trash", only: true }));
  }

  const test = ({ name }) => send(name, () => api.test({ receiver: name }), `${name} accepted the test.`);
  const resend = (alert, name) => send(name, () => api.resend(alert.id, { receiver: name }), `${name} accepted the alert.`);

  async function send(name, raise, done) {
    try {
      const { id } = await raise();
      const delivery = await result(id, name);
      if (signal.aborted) return;
      if (delivery?.status === "delivered") toast(done);
      else toast(delivery ? `${name}: ${delivery.detail}` : "There is no result yet. It will appear in the log.", { kind: "bad" });
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
    await load();
  }

  async function result(id, name) {
    for (let tried = 0; tried < WAIT && !signal.aborted; tried++) {
      const { deliveries } = await api.readOne(id);
      const delivery = deliveries.find((each) => each.receiver === name);
      if (delivery) return delivery;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    return null;
  }

  function log() {
    const control = page.next ? button("Load more", () => busy(control, more), { "data-focus": "more" }) : null;
    return h(
      "section",
      { "aria-labelledby": "log-title" },
      h("h2", { id: "log-title" }, "Log"),
      rows.length
        ? h(
            "div",
            { class: "framed" },
            table(
              "Alerts, newest first",
              [
                { label: "Time", head: true, cell: (each) => moment(each.at) },
                { label: "Event", cell: (each) => EVENTS[each.event] ?? each.event },
                { label: "Alert", cell: text },
                { label: "Deliveries", cell: (each) => deliveries(each, resend) },
              ],
              rows,
            ),
          )
        : h("p", { class: "quiet" }, "No alerts in the last 90 days."),
      control && h("div", { class: "more" }, control),
    );
  }

  async function edit(receiver) {
    const saved = await openDialog(receiver ? `Edit ${receiver.name}` : "Add receiver", (close) => form(receiver, close), { describe: "URLs of webhooks contain tokens. Store them in the router's secret, and name the entries here." });
    if (saved) await load();
  }

  async function remove(receiver) {
    if (!(await confirm(`Remove ${receiver.name}?`, "It gets no further alerts. Its entries of the secret stay.", "Remove"))) return;
    try {
      await change((receivers) => delete receivers[receiver.name]);
      announcement.textContent = `${receiver.name} removed`;
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
    await load();
  }

  await load();
}

/** Change the receivers of the current routes by `edit`, and save them. */
async function change(edit) {
  const { version, digest, providers, defaults, models, aliases, alerts } = await api.readRoutes();
  const receivers = { ...alerts.receivers };
  edit(receivers);
  await api.saveRoutes({ version, digest, providers, defaults, models, aliases, alerts: { ...alerts, receivers }, note: "receivers of alerts" });
}

function form(receiver, close) {
  const name = h("input", { value: receiver?.name ?? "", required: true, readonly: Boolean(receiver), pattern: "[A-Za-z0-9_.\\-]{1,64}", spellcheck: "false", autocapitalize: "none", autofocus: !receiver });
  const type = select(TYPES, receiver?.type ?? "slack");
  const address = h("input", { value: receiver?.url ?? "", required: true, spellcheck: "false", autocapitalize: "none", placeholder: "OPS_ALERTS_URL" });
  const secret = h("input", { value: receiver?.secret ?? "", spellcheck: "false", autocapitalize: "none", placeholder: "OPS_ALERTS_SECRET" });
  const host = h("input", { value: receiver?.host ?? "", spellcheck: "false", autocapitalize: "none" });
  const events = Object.entries(EVENTS)
    .filter(([event]) => event !== "test")
    .map(([event, label]) => ({ event, box: h("input", { type: "checkbox", checked: !receiver?.events.length || receiver.events.includes(event) }), label }));
  const failed = h("p", { class: "form-error", role: "alert" });
  const submit = button("Save", null, { kind: "primary", type: "submit" });

  async function save() {
    failed.textContent = "";
    const wanted = events.filter(({ box }) => box.checked).map(({ event }) => event);
    if (!wanted.length) return void (failed.textContent = "Choose at least one event.");
    const value = { type: type.value, url: address.value.trim() };
    if (secret.value.trim()) value.secret = secret.value.trim();
    if (host.value.trim()) value.host = host.value.trim();
    if (wanted.length < events.length) value.events = wanted;
    try {
      await change((receivers) => (receivers[name.value.trim()] = value));
      close(true);
    } catch (error) {
      failed.textContent = error.message;
    }
  }

  return h(
    "form",
    { class: "form", on: { submit: (event) => (event.preventDefault(), busy(submit, save)) } },
    field("Name", name),
    field("Type", type),
    field("Entry with the URL", address, { hint: "The name of an entry of the router's secret, not the URL itself." }),
    field("Entry with the signing secret", secret, { hint: "Optional. Feishu and DingTalk show it with the robot; for JSON choose one that begins with whsec_." }),
    field("Host", host, { hint: "Optional. The only host that the URL may lead to; by default the type's own." }),
    h("fieldset", { class: "choices" }, h("legend", {}, "Events"), events.map(({ box, label }) => h("label", { class: "choice" }, box, h("span", {}, label)))),
    failed,
    h("div", { class: "actions" }, button("Cancel", () => close()), submit),
  );
}

function again(label, work) {
  const control = button("Send again", () => busy(control, work), { kind: "quiet", "aria-label": label });
  return control;
}

function text(alert) {
  const request = alert.figures.request_id;
  return [h("span", { class: "name" }, alert.text), request && " ", request && h("a", { href: `#/requests/${encodeURIComponent(request)}` }, "Request details")];
}

function secretName(name, isSet, host) {
  return [
    h("span", { class: "mono name" }, name),
    isSet === false && h("span", { class: "status bad" }, "not set"),
    host && h("span", { class: "quiet small name" }, host),
  ];
}

function deliveries(alert, resend) {
  if (!alert.deliveries.length) return h("span", { class: "quiet" }, "none yet");
  return alert.deliveries.map((each) => [
    h("span", { class: `status ${STATUS[each.status] ?? ""}` }, `${each.receiver}: ${each.status}${each.attempts > 1 ? ` after ${each.attempts} attempts` : ""}`),
    each.detail && each.status !== "delivered" && h("span", { class: "quiet small name" }, each.detail),
    each.status === "failed" && again(`Send to ${each.receiver} again`, () => resend(alert, each.receiver)),
  ]);
}

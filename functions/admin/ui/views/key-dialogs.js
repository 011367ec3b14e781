// The dialogs that make, edit and rotate keys and teams.

import { busy, button, copy, field, select } from "../controls.js";
import { openDialog, openFilled, toast } from "../dialogs.js";
import { h } from "../dom.js";
import { setMadeKey } from "../draft.js";
import { keys as api } from "../endpoints.js";
import { fullTime, keyName } from "../format.js";
import { differing, holderFields, showProblem } from "./holders.js";

const EXPIRY = [
  ["", "never"],
  ["1h", "in 1 hour"],
  ["1d", "in 1 day"],
  ["7d", "in 7 days"],
  ["30d", "in 30 days"],
  ["90d", "in 90 days"],
];

/** Make a key (`key` null) or edit one. Resolves with the API's answer. */
export function keyDialog(key, { choices, done }) {
  return openFilled(key ? `Edit ${keyName(key)}` : "Make a key", choices, (found, close) => keyForm(key, found, done, close), { wide: true });
}

function keyForm(key, { models, teams }, done, close) {
  const before = key ?? {};
  const alias = h("input", { value: before.key_alias ?? "", maxlength: "200", autocomplete: "off", autofocus: true, placeholder: "checkout-assistant" });
  const unknown = before.team_id && !teams.some((each) => each.team_id === before.team_id); // made since the list was read
  const team = select([["", "no team"], ...(unknown ? [before.team_id] : []), ...teams.map((each) => [each.team_id, each.team_alias || each.team_id])], before.team_id ?? "");
  const expiry = select(key ? [["keep", before.expires ? `as it is: ${fullTime(before.expires)}` : "as it is: never"], ...(before.expires ? [["-1", "never"]] : []), ...EXPIRY.slice(1)] : EXPIRY, key ? "keep" : "");
  const user = h("input", { value: before.user_id ?? "", maxlength: "200", autocomplete: "off" });
  const { fields: shared, read } = holderFields(before, models);
  const fields = {
    ...shared,
    key_alias: field("Alias", alias, { hint: "How you find it again: a program, a person, a purpose.", wide: true }),
    team_id: field("Team", team),
    duration: field("Expires", expiry),
    user_id: field("Owner", user),
  };
  const general = h("p", { class: "form-error", role: "alert" });
  const submit = button(key ? "Save" : "Make the key", null, { kind: "primary", type: "submit" });

  async function send() {
    general.textContent = "";
    const shared = read();
    if (!shared) return undefined;
    const values = { ...shared, key_alias: alias.value.trim() || null, team_id: team.value || null, user_id: user.value.trim() || null };
    const body = differing(values, key);
    if (expiry.value && expiry.value !== "keep") body.duration = expiry.value;
    try {
      if (key && !Object.keys(body).length) return close();
      const answer = await (key ? api.updateKey({ key: key.token, ...body }) : api.createKey(body));
      if (key) toast(`${values.key_alias || key.key_name} is saved, and live within ten seconds.`);
      close(answer);
      await done();
    } catch (error) {
      showProblem(error, fields, general);
    }
    return undefined;
  }

  return h(
    "form",
    { class: "form two", on: { submit: (event) => (event.preventDefault(), busy(submit, send)) } },
    fields.key_alias,
    fields.models,
    fields.max_budget,
    fields.budget_duration,
    fields.duration,
    fields.team_id,
    h(
      "details",
      { class: "wide more-fields", open: Boolean(key && (before.rpm_limit || before.tpm_limit || before.max_parallel_requests)) },
      h("summary", {}, "Rate limits, tags, owner, metadata"),
      h("div", { class: "form two" }, fields.rpm_limit, fields.tpm_limit, fields.max_parallel_requests, fields.patterns, fields.tags, fields.user_id, fields.metadata),
    ),
    general,
    h("div", { class: "actions" }, button("Cancel", () => close()), submit),
  );
}

export function teamDialog(team, { choices, done }) {
  return openFilled(
    team ? `Edit ${team.team_alias || team.team_id}` : "New team",
    choices,
    ({ models }, close) => teamForm(team, models, done, close),
    { wide: true, describe: "All keys of a team together stay within its budget and limits." },
  );
}

function teamForm(team, models, done, close) {
  const before = team ?? {};
  const alias = h("input", { value: before.team_alias ?? "", maxlength: "200", autocomplete: "off", required: true, autofocus: true });
  const { fields: shared, read } = holderFields(before, models);
  const fields = { ...shared, team_alias: field("Name", alias, { wide: true }) };
  const general = h("p", { class: "form-error", role: "alert" });
  const submit = button(team ? "Save" : "Make the team", null, { kind: "primary", type: "submit" });

  async function send() {
    general.textContent = "";
    const said = read();
    if (!said) return;
    const body = differing({ ...said, team_alias: alias.value.trim() }, team);
    try {
      if (!team || Object.keys(body).length) await (team ? api.updateTeam({ team_id: team.team_id, ...body }) : api.createTeam(body));
      close(true);
      await done();
    } catch (error) {
      showProblem(error, fields, general);
    }
  }

  return h(
    "form",
    { class: "form two", on: { submit: (event) => (event.preventDefault(), busy(submit, send)) } },
    fields.team_alias,
    fields.models,
    fields.patterns,
    fields.max_budget,
    fields.budget_duration,
    fields.rpm_limit,
    fields.tpm_limit,
    fields.max_parallel_requests,
    h("details", { class: "wide more-fields" }, h("summary", {}, "Tags, metadata"), h("div", { class: "form" }, fields.tags, fields.metadata)),
    general,
    h("div", { class: "actions" }, button("Cancel", () => close()), submit),
  );
}

export async function rotate(key, done) {
  const grace = select([["", "at once"], ["10m", "for 10 more minutes"], ["1h", "for 1 more hour"], ["24h", "for 24 more hours"], ["7d", "for 7 more days"]], "1h");
  const wrong = h("p", { class: "form-error", role: "alert" });
  const submit = button("Rotate", null, { kind: "primary", type: "submit" });
  const spoken = keyName(key);
  const made = await openDialog(
    `Rotate ${spoken}`,
    (close) =>
      h(
        "form",
        {
          class: "form",
          on: {
            submit: (event) => {
              event.preventDefault();
              busy(submit, async () => {
                try {
                  close(await api.rotateKey(key.token, grace.value ? { grace_period: grace.value } : {}));
                } catch (error) {
                  wrong.textContent = error.message;
                }
              });
            },
          },
        },
        field("The old key goes on working", grace),
        wrong,
        h("div", { class: "actions" }, button("Cancel", () => close()), submit),
      ),
    { describe: "A new key takes its place, with the same budget, limits and history." },
  );
  if (!made) return;
  done(); // behind the dialog: nothing may come between a key and the one time that it is shown
  await showOnce(made, `${spoken} has a new key`);
}

/** The one time that a key's text is shown. */
export async function showOnce(made, title) {
  setMadeKey({ key: made.key, name: keyName(made) });
  const copied = button("Copy", () => copy(copied, made.key), { kind: "primary", icon: "copy", autofocus: true });
  await openDialog(
    title,
    (close) => [
      h("div", { class: "copyable once" }, h("code", { "data-made-key": "" }, made.key), copied),
      h("p", { class: "hint spaced" }, "Only a hash of it is kept, so nobody can show it again. If it gets lost, rotate it."),
      h(
        "div",
        { class: "actions" },
        button("Done", () => close()),
        h("a", { class: "button", href: "#/playground", on: { click: () => close() } }, "Try it in the playground"),
      ),
    ],
    { describe: "Copy it now: this is the only time it is shown." },
  );
}

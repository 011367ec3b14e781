// The dialogs that create, edit and rotate keys, teams and users.

import { busy, button, copy, field, segmented, select } from "../controls.js";
import { openDialog, openFilled, toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { setCreatedKey } from "../draft.js";
import { keys as api } from "../endpoints.js";
import { fullTime, keyName } from "../format.js";
import { changedValues, holderFields, showError } from "./holders.js";
import { showNewKey } from "./new-key.js";
import { allowedNames, snippetsFor } from "./snippets.js";

const EXPIRY = [
  ["", "never"],
  ["1h", "in 1 hour"],
  ["1d", "in 1 day"],
  ["7d", "in 7 days"],
  ["30d", "in 30 days"],
  ["90d", "in 90 days"],
];

/** Edit a key, or create one if `key` is null. Resolves with the API's response. */
export function keyDialog(key, { choices, done }) {
  return openFilled(key ? `Edit ${keyName(key)}` : "Create key", choices, (found, close) => keyForm(key, found, done, close), { wide: true });
}

function keyForm(key, { models, teams }, done, close) {
  const before = key ?? {};
  const alias = h("input", { value: before.key_alias ?? "", maxlength: "200", autocomplete: "off", autofocus: true, placeholder: "checkout-assistant" });
  const unlisted = before.team_id && !teams.some((each) => each.team_id === before.team_id); // created since the list was read
  const team = select([["", "no team"], ...(unlisted ? [before.team_id] : []), ...teams.map((each) => [each.team_id, each.team_alias || each.team_id])], before.team_id ?? "");
  const expiry = select(key ? [["keep", before.expires ? `unchanged: ${fullTime(before.expires)}` : "unchanged: never"], ...(before.expires ? [["-1", "never"]] : []), ...EXPIRY.slice(1)] : EXPIRY, key ? "keep" : "");
  const user = h("input", { value: before.user_id ?? "", maxlength: "200", autocomplete: "off" });
  const archive = h("input", { type: "checkbox", checked: Boolean(before.archive) });
  const names = h("input", { value: Object.entries(before.aliases ?? {}).map((pair) => pair.join("=")).join(", "), spellcheck: "false", autocapitalize: "none", placeholder: "claude-*=auto-claude" });
  const { fields: shared, read } = holderFields(before, models);
  const fields = {
    ...shared,
    aliases: field("Model aliases", names, { hint: "Other names that this key may send, as NAME=MODEL, comma-separated; * matches any text. They win over the aliases of the routes.", wide: true }),
    key_alias: field("Alias", alias, { hint: "A name for the program, person or purpose.", wide: true }),
    team_id: field("Team", team),
    duration: field("Expires", expiry),
    user_id: field("Owner", user),
  };
  const archiveField = h("fieldset", {}, h("legend", { class: "label" }, "Archive"), h("label", { class: "check" }, archive, h("span", {}, "Archive requests and answers")));
  const general = h("p", { class: "form-error", role: "alert" });
  const submit = button(key ? "Save" : "Create key", null, { kind: "primary", type: "submit" });

  async function send() {
    general.textContent = "";
    const shared = read();
    if (!shared) return undefined;
    const aliases = aliasesIn(names.value);
    if (!aliases) return fields.aliases.problem("Write NAME=MODEL, separated by commas.");
    const values = { ...shared, aliases, archive: archive.checked || (key ? false : null), key_alias: alias.value.trim() || null, team_id: team.value || null, user_id: user.value.trim() || null };
    const body = changedValues(values, key);
    if (expiry.value && expiry.value !== "keep") body.duration = expiry.value;
    try {
      if (key && !Object.keys(body).length) return close();
      const answer = await (key ? api.updateKey({ key: key.token, ...body }) : api.createKey(body));
      if (key) toast(`${values.key_alias || key.key_name} saved. Takes effect within ten seconds.`);
      close(answer);
      await done();
    } catch (error) {
      showError(error, fields, general);
    }
    return undefined;
  }

  return h(
    "form",
    { class: "form two", on: { submit: (event) => (event.preventDefault(), busy(submit, send)) } },
    fields.key_alias,
    fields.models,
    fields.patterns,
    fields.max_budget,
    fields.budget_duration,
    fields.duration,
    fields.team_id,
    budgetFields(fields, key),
    h(
      "details",
      { class: "wide more-fields", open: Boolean(key && (before.rpm_limit || before.tpm_limit || before.max_parallel_requests)) },
      h("summary", {}, "Rate limits, guards, aliases, tags, owner, metadata"),
      h("div", { class: "form two" }, fields.rpm_limit, fields.tpm_limit, fields.max_parallel_requests, fields.cache_seconds, fields.guards, fields.aliases, fields.tags, fields.user_id, archiveField, fields.metadata),
    ),
    general,
    h("div", { class: "actions" }, button("Cancel", () => close()), submit),
  );
}

/** The aliases in "NAME=MODEL, …" as an object; null if a part is not of this form. */
function aliasesIn(text) {
  const pairs = text.split(",").map((part) => part.split("=").map((each) => each.trim())).filter((pair) => pair.join(""));
  return pairs.every((pair) => pair.length === 2 && pair.every(Boolean)) ? Object.fromEntries(pairs) : null;
}

/** The fields of soft budgets, budgets of single models and budget ladders; open if `holder` has one. */
function budgetFields(fields, holder) {
  const used = holder && ((holder.soft_budget ?? null) !== null || Object.keys(holder.model_max_budget ?? {}).length || Object.keys(holder.budget_ladder ?? {}).length);
  return h("details", { class: "wide more-fields", open: Boolean(used) }, h("summary", {}, "Warnings, limits per model, cheaper models"), h("div", { class: "form two" }, fields.soft_budget, fields.model_max_budget, fields.budget_ladder));
}

export function teamDialog(team, { choices, done }) {
  return openFilled(
    team ? `Edit ${team.team_alias || team.team_id}` : "Create team",
    choices,
    ({ models }, close) => teamForm(team, models, done, close),
    { wide: true, describe: "The budget and limits apply to all keys of the team together." },
  );
}

function teamForm(team, models, done, close) {
  const before = team ?? {};
  const alias = h("input", { value: before.team_alias ?? "", maxlength: "200", autocomplete: "off", required: true, autofocus: true });
  const { fields: shared, read } = holderFields(before, models);
  const fields = { ...shared, team_alias: field("Name", alias, { wide: true }) };
  return groupForm(team, fields, {
    create: "Create team",
    names: [fields.team_alias],
    more: ["Guards, tags, metadata", fields.cache_seconds, fields.guards, fields.tags, fields.metadata],
    read: () => {
      const found = read();
      return found && { ...found, team_alias: alias.value.trim() };
    },
    save: (body) => (team ? api.updateTeam({ team_id: team.team_id, ...body }) : api.createTeam(body)),
    done,
    close,
  });
}

/**
 * The form of a team or user, whose keys share its limits; `group` is null for a new one. `names` are its own fields, and
 * `more` is the summary and the fields that are folded. `read` returns its values, or nothing if one is invalid.
 */
function groupForm(group, fields, { create, names, more, read, save, done, close }) {
  const general = h("p", { class: "form-error", role: "alert" });
  const submit = button(group ? "Save" : create, null, { kind: "primary", type: "submit" });

  async function send() {
    general.textContent = "";
    const values = read();
    if (!values) return;
    const body = changedValues(values, group);
    try {
      if (!group || Object.keys(body).length) await save(body);
      close(true);
      await done();
    } catch (error) {
      showError(error, fields, general);
    }
  }

  const [summary, ...folded] = more;
  return h(
    "form",
    { class: "form two", on: { submit: (event) => (event.preventDefault(), busy(submit, send)) } },
    names,
    fields.models,
    fields.patterns,
    fields.max_budget,
    fields.budget_duration,
    fields.rpm_limit,
    fields.tpm_limit,
    fields.max_parallel_requests,
    budgetFields(fields, group),
    h("details", { class: "wide more-fields" }, h("summary", {}, summary), h("div", { class: "form" }, folded)),
    general,
    h("div", { class: "actions" }, button("Cancel", () => close()), submit),
  );
}

export function userDialog(user, { choices, done }) {
  return openFilled(
    user ? `Edit ${user.user_alias || user.user_id}` : "Create user",
    choices,
    ({ models }, close) => userForm(user, models, done, close),
    { wide: true, describe: "Models, budget and limits apply to all keys of the user together, besides those of each key." },
  );
}

function userForm(user, models, done, close) {
  const before = user ?? {};
  const text = (value) => h("input", { value: value ?? "", maxlength: "200", autocomplete: "off" });
  const id = user ? null : h("input", { maxlength: "200", autocomplete: "off", required: true, autofocus: true, placeholder: "ann@example.com" });
  const [alias, email] = [text(before.user_alias), text(before.user_email)];
  const { fields: shared, read } = holderFields(before, models);
  const { cache_seconds, guards, tags, ...own } = shared; // those of keys and teams only
  const fields = {
    ...own,
    ...(id ? { user_id: field("User", id, { hint: "The owner of keys: an e-mail address, or another id.", wide: true }) } : {}),
    user_alias: field("Name", alias),
    user_email: field("E-mail", email),
  };
  return groupForm(user, fields, {
    create: "Create user",
    names: [fields.user_id, fields.user_alias, fields.user_email],
    more: ["Metadata", fields.metadata],
    read: () => {
      const found = read();
      if (!found) return found;
      const { cache_seconds, guards, tags, ...limits } = found;
      return { ...limits, user_alias: alias.value.trim() || null, user_email: email.value.trim() || null };
    },
    save: (body) => (user ? api.updateUser({ user_id: user.user_id, ...body }) : api.createUser({ user_id: id.value.trim(), ...body })),
    done,
    close,
  });
}

export async function rotate(key, { choices, done }) {
  const grace = select([["", "immediately"], ["10m", "in 10 minutes"], ["1h", "in 1 hour"], ["24h", "in 24 hours"], ["7d", "in 7 days"]], "1h");
  const failed = h("p", { class: "form-error", role: "alert" });
  const submit = button("Rotate", null, { kind: "primary", type: "submit" });
  const name = keyName(key);
  const created = await openDialog(
    `Rotate ${name}`,
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
                  failed.textContent = error.message;
                }
              });
            },
          },
        },
        field("Old key expires", grace),
        failed,
        h("div", { class: "actions" }, button("Cancel", () => close()), submit),
      ),
    { describe: "Creates a new key with the same budget, limits and history." },
  );
  if (!created) return;
  done(); // not awaited: the key is shown at once
  await showOnce(created, `New key for ${name}`, choices);
}

/** Show a new key's text, which is possible only now, with snippets that use it. */
export async function showOnce(created, title, choices) {
  setCreatedKey({ key: created.key, name: keyName(created) });
  const usage = h("section", { class: "spaced", "aria-labelledby": "usage-title" });
  choices().then(
    ({ models, teams }) => {
      const ofTeam = teams.find((team) => team.team_id === created.team_id)?.models;
      swap(usage, drawUsage(snippetsFor(created.key, allowedNames(created.models?.length ? created.models : ofTeam, models))));
    },
    () => null, // the key is shown without snippets
  );
  const action = h("a", { class: "button", href: "#/playground" }, "Try it in the playground");
  await showNewKey(created, title, { details: usage, action, wide: true });
}

function drawUsage(snippets) {
  const names = Object.keys(snippets);
  const body = h("div", {});
  function show(name) {
    const { where, text } = snippets[name];
    const copied = button("Copy", () => copy(copied, text), { icon: "copy", "aria-label": `Copy the snippet for ${name}` });
    swap(body, h("p", { class: "hint" }, where), h("div", { class: "shell" }, h("pre", { tabindex: "0", role: "group", "aria-label": `Snippet for ${name}` }, h("code", {}, text)), copied));
  }
  show(names[0]);
  return [h("h3", { id: "usage-title" }, "Use the key"), segmented("Client", names.map((name) => [name, name]), names[0], show), body];
}

// Keys and teams: who may call which models, how much, and how much they have.

import { everyKey, get, keyName, once, post } from "../api.js";
import { meter } from "../charts.js";
import { button, busy, confirm, copy, empty, failure, field, h, icon, openDialog, openFilled, segmented, select, skeleton, swap, table, toast } from "../dom.js";
import { setMadeKey } from "../draft.js";
import { count, fromNow, fullTime, money, period, PERIODS, plural, when } from "../format.js";
import { repeat, routerNow } from "../live.js";

const PAGE = 25;

export async function show(view, { signal, head, parts, query }) {
  const tab = parts[0] === "teams" ? "teams" : "keys";
  let teams = [];
  // What the dialogs offer. They ask for it themselves: they may be opened before it is there.
  const choices = once(async () => {
    const [foundTeams, { models }] = await Promise.all([get("team/list"), get("routes")]);
    return { teams: foundTeams, models: Object.keys(models).sort() };
  });
  const list = h("div", {}, skeleton(5));
  const reload = () => (tab === "teams" ? loadTeams() : loadKeys());
  head.append(
    segmented("What is shown", [["keys", "Keys"], ["teams", "Teams"]], tab, (value) => (location.hash = value === "teams" ? "#/keys/teams" : "#/keys")),
    tab === "teams"
      ? button("New team", () => teamDialog(null, { choices, done: reload }), { kind: "primary", icon: "plus" })
      : button("Make a key", () => generate(), { kind: "primary", icon: "plus" }),
  );

  const search = h("input", { type: "search", placeholder: "Find by alias, owner or tag", "aria-label": "Find keys", maxlength: "200" });
  const teamFilter = h("div", {});
  let pages = 1;
  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => ((pages = 1), loadKeys()), 250);
  });
  if (tab === "keys") view.append(h("div", { class: "filters" }, search, teamFilter));
  view.append(list);

  // --- keys ---

  let turn = 0;
  async function loadKeys() {
    const mine = ++turn;
    const team = teamFilter.querySelector("select")?.value;
    const wanted = search.value.trim().toLowerCase();
    try {
      const [found, known] = await Promise.all([wanted ? every(team) : first(team), choices()]);
      if (signal.aborted || mine !== turn) return;
      teams = known.teams;
      drawTeamFilter();
      const keys = wanted ? found.keys.filter((key) => `${key.key_alias ?? ""} ${key.key_name} ${key.user_id ?? ""} ${(key.tags ?? []).join(" ")}`.toLowerCase().includes(wanted)) : found.keys;
      swap(list, drawKeys(keys, wanted ? keys.length : found.total, Boolean(wanted || team)));
    } catch (error) {
      if (!signal.aborted && mine === turn) swap(list, failure(error, loadKeys));
    }
  }

  function drawTeamFilter() {
    if (!teams.length || teamFilter.firstChild) return;
    teamFilter.append(select([["", "All teams"], ...teams.map((team) => [team.team_id, team.team_alias || team.team_id])], "", { "aria-label": "Team", on: { change: () => ((pages = 1), loadKeys()) } }));
  }

  const page = (number, team) => get("key/list", { return_full_object: true, team_id: team, page: number, size: PAGE });

  /** All there are: the API finds whole aliases only. */
  const every = async (team) => ({ keys: await everyKey({ team }) });

  /** As many as are shown. */
  async function first(team) {
    const answers = await Promise.all(Array.from({ length: pages }, (_, index) => page(index + 1, team)));
    return { keys: answers.flatMap((answer) => answer.keys), total: answers[0].total_count };
  }

  function drawKeys(keys, total, filtered) {
    if (!keys.length && filtered) return empty("No such key", "No key has this in its alias, owner or tags.");
    if (!keys.length) return empty("No keys yet", "A key lets a program or a person call the models, with a budget and limits of its own.", button("Make a key", () => generate(), { kind: "primary", icon: "plus" }));
    const known = new Map(teams.map((team) => [team.team_id, team]));
    return [
      h(
        "div",
        { class: "framed" },
        table(
          "Keys",
          [
            { label: "Key", head: true, cell: (key) => [h("span", { class: "name" }, key.key_alias || "without alias"), h("span", { class: "mono quiet key-name" }, key.key_name), whose(key)] },
            { label: "May use", cell: (key) => allowed(key.models, known.get(key.team_id)?.models) },
            { label: "Budget", className: "budget-cell", cell: budget },
            { label: "Limits", cell: limits },
            { label: "State", cell: (key) => [keyState(key), key.team_id ? h("span", { class: "quiet small" }, known.get(key.team_id)?.team_alias || key.team_id) : null] },
            { label: "Actions", sr: true, number: true, cell: (key) => keyActions(key) },
          ],
          keys,
        ),
      ),
      keys.length < total ? h("div", { class: "more" }, button(`Show more (${plural(total - keys.length, "key")} left)`, () => (pages++, loadKeys()), { "data-focus": "more" })) : null,
    ];
  }

  function keyActions(key) {
    if (key.replaced_by) return null; // what is done to its successor is done to it as well
    const spoken = keyName(key);
    const tool = (label, drawing, work) => button(`${label} ${spoken}`, work, { kind: "quiet", icon: drawing, only: true, "data-focus": `${drawing} ${key.token}` });
    return h(
      "div",
      { class: "row-tools" },
      requestsOf(spoken, { key: key.key_id }),
      tool("Edit", "edit", () => keyDialog(key, { choices, done: loadKeys })),
      tool("Rotate", "rotate", () => rotate(key, loadKeys)),
      tool(key.blocked ? "Unblock" : "Block", key.blocked ? "check" : "block", () => act(key.blocked ? "key/unblock" : "key/block", { key: key.token }, key.blocked ? `${spoken} may call again, everywhere within ten seconds.` : `${spoken} is blocked, everywhere within ten seconds.`, loadKeys)),
      tool("Delete", "trash", async () => {
        if (await confirm(`Delete ${spoken}?`, "Whoever uses it is refused within ten seconds. It can't be brought back; to stop it for a while, block it.", "Delete"))
          await act("key/delete", { keys: [key.token] }, `${spoken} is deleted.`, loadKeys);
      }),
    );
  }

  async function generate() {
    const made = await keyDialog(null, { choices, done: loadKeys });
    if (made) await showOnce(made, "Your new key");
  }

  // --- teams ---

  async function loadTeams() {
    try {
      const found = await get("team/list");
      if (signal.aborted) return;
      teams = found;
      swap(list, drawTeams());
    } catch (error) {
      if (!signal.aborted) swap(list, failure(error, loadTeams));
    }
  }

  function drawTeams() {
    if (!teams.length) return empty("No teams yet", "Keys of a team share its models, its budget and its limits.", button("New team", () => teamDialog(null, { choices, done: loadTeams }), { kind: "primary", icon: "plus" }));
    return h(
      "div",
      { class: "framed" },
      table(
        "Teams",
        [
          { label: "Team", head: true, cell: (team) => [h("span", { class: "name" }, team.team_alias || team.team_id), h("span", { class: "mono quiet key-name" }, team.team_id)] },
          { label: "May use", cell: (team) => allowed(team.models) },
          { label: "Budget", className: "budget-cell", cell: budget },
          { label: "Limits", cell: limits },
          { label: "State", cell: keyState },
          { label: "Actions", sr: true, number: true, cell: teamActions },
        ],
        teams,
      ),
    );
  }

  function teamActions(team) {
    const spoken = team.team_alias || team.team_id;
    const tool = (label, drawing, work) => button(`${label} ${spoken}`, work, { kind: "quiet", icon: drawing, only: true, "data-focus": `${drawing} ${team.team_id}` });
    return h(
      "div",
      { class: "row-tools" },
      requestsOf(spoken, { team: team.team_id }),
      tool("Edit", "edit", () => teamDialog(team, { choices, done: loadTeams })),
      tool(team.blocked ? "Unblock" : "Block", team.blocked ? "check" : "block", () => act(team.blocked ? "team/unblock" : "team/block", { team_id: team.team_id }, team.blocked ? `Keys of ${spoken} may call again.` : `All keys of ${spoken} are blocked, everywhere within ten seconds.`, loadTeams)),
      tool("Delete", "trash", async () => {
        if (await confirm(`Delete the team ${spoken}?`, "All its keys are deleted with it, and refused within ten seconds.", "Delete"))
          await act("team/delete", { team_ids: [team.team_id] }, `The team ${spoken} is deleted.`, loadTeams);
      }),
    );
  }

  if (tab === "keys" && query.has("new")) {
    history.replaceState(null, "", "#/keys");
    generate();
  }
  await reload();
  repeat(20, () => (document.querySelector("dialog") ? null : reload()), signal);
}

async function act(path, body, done, reload) {
  try {
    await post(path, body);
    toast(done);
  } catch (error) {
    toast(error.message, { kind: "bad" });
  }
  await reload();
}

// --- cells ---

/** What may be used; of a key without models of its own, what its team may. */
function allowed(models, ofTeam) {
  const names = models?.length ? models : ofTeam;
  if (!names?.length) return h("span", { class: "quiet" }, "every model");
  return [h("div", { class: "chips" }, names.map((model) => h("span", { class: "chip" }, model))), names === models ? null : h("span", { class: "quiet small" }, "as its team")];
}

/** Whose a key is, and what its usage is filed under. */
function whose(key) {
  const told = [key.user_id, ...(key.tags ?? [])].filter(Boolean);
  return told.length ? h("span", { class: "quiet small name" }, told.join(", ")) : null;
}

/** A link to the requests of a key or a team. */
function requestsOf(spoken, filter) {
  const label = `Requests of ${spoken}`;
  return h("a", { class: "button quiet only", href: `#/requests?${new URLSearchParams(filter)}`, "aria-label": label, title: label }, icon("requests"));
}

function budget(holder) {
  const spent = holder.spend ?? 0;
  if (holder.max_budget === null || holder.max_budget === undefined) return h("span", {}, money(spent), h("span", { class: "quiet" }, " spent, no budget"));
  return [
    h("span", {}, money(spent), h("span", { class: "quiet" }, ` of ${money(holder.max_budget)}`)),
    meter(spent, holder.max_budget, { label: `Budget used: ${money(spent)} of ${money(holder.max_budget)}` }),
    h("span", { class: "quiet small" }, holder.budget_reset_at && when(holder.budget_reset_at) > routerNow() ? `starts anew ${fromNow(holder.budget_reset_at, routerNow())}` : holder.budget_duration ? `starts anew ${period(holder.budget_duration)}` : "never starts anew"),
  ];
}

function limits(holder) {
  const told = [
    [holder.rpm_limit, "requests/min"],
    [holder.tpm_limit, "tokens/min"],
    [holder.max_parallel_requests, "at once"],
  ].filter(([limit]) => limit !== null && limit !== undefined);
  return told.length ? told.map(([limit, unit]) => h("span", { class: "limit" }, `${count(limit)} ${unit}`)) : h("span", { class: "quiet" }, "none");
}

function keyState(key) {
  const expires = when(key.expires);
  if (key.replaced_by) return [h("span", { class: "state off" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Replaced"), h("span", { class: "quiet small" }, expires > routerNow() ? `works until ${fullTime(expires)}` : "works no more")];
  if (key.blocked) return h("span", { class: "state blocked" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Blocked");
  if (expires && expires <= routerNow()) return h("span", { class: "state expired" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Expired");
  return [
    h("span", { class: "state healthy" }, h("i", { class: "state-dot", "aria-hidden": "true" }), "Active"),
    expires ? h("span", { class: "quiet small", title: fullTime(expires) }, `expires ${fromNow(expires, routerNow())}`) : null,
  ];
}

// --- dialogs ---

/** The fields that a key and a team have in common. `read()` gives what they say, or null with the problem shown. */
function holderFields(before, models) {
  const chosen = new Set(before.models ?? []);
  const boxes = models.map((model) => h("input", { type: "checkbox", value: model, checked: chosen.has(model) }));
  const patterns = h("input", { value: [...chosen].filter((name) => !models.includes(name)).join(", "), placeholder: "auto-*", spellcheck: "false", autocapitalize: "none" });
  const number = (value, step = "1") => h("input", { type: "number", min: "0", step, inputmode: "decimal", value: value ?? "" });
  const inputs = {
    max_budget: number(before.max_budget, "any"),
    rpm_limit: number(before.rpm_limit),
    tpm_limit: number(before.tpm_limit),
    max_parallel_requests: number(before.max_parallel_requests),
  };
  const tags = h("input", { value: (before.tags ?? []).join(", "), autocomplete: "off" });
  const metadata = h("textarea", { rows: "3", class: "mono", spellcheck: "false", value: isNothing(before.metadata) ? "" : JSON.stringify(before.metadata, null, 2), placeholder: '{"project": "x"}' });
  const known = PERIODS.some(([value]) => value === (before.budget_duration ?? ""));
  const duration = select(known ? PERIODS : [...PERIODS, [before.budget_duration, period(before.budget_duration)]], before.budget_duration ?? "");
  const fields = {
    models: h(
      "fieldset",
      { class: "wide" },
      h("legend", { class: "label" }, "Models it may use"),
      h("p", { class: "hint" }, "Choose none for every model."),
      boxes.length ? h("div", { class: "checks", tabindex: "0", role: "group", "aria-label": "Models" }, boxes.map((box) => h("label", { class: "check" }, box, h("span", {}, box.value)))) : null,
    ),
    patterns: field("Other names and patterns", patterns, { hint: "Separated by commas; * stands for anything." }),
    max_budget: field("Budget in dollars", inputs.max_budget, { hint: "Empty: without a budget." }),
    budget_duration: field("Starts anew", duration),
    rpm_limit: field("Requests per minute", inputs.rpm_limit),
    tpm_limit: field("Tokens per minute", inputs.tpm_limit),
    max_parallel_requests: field("Requests at once", inputs.max_parallel_requests),
    tags: field("Tags", tags, { hint: "Separated by commas." }),
    metadata: field("Metadata", metadata, { hint: "Whatever else should be known, as a JSON object.", wide: true }),
  };
  function read() {
    const about = objectOf(metadata.value);
    if (about === undefined) {
      fields.metadata.problem("This is not a JSON object.");
      fields.metadata.closest("details")?.setAttribute("open", "");
      metadata.focus();
      return null;
    }
    const values = {
      tags: words(tags.value),
      metadata: about,
      models: [...boxes.filter((box) => box.checked).map((box) => box.value), ...words(patterns.value)],
      budget_duration: duration.value || null,
    };
    for (const [name, input] of Object.entries(inputs)) values[name] = input.value === "" ? null : Number(input.value);
    return values;
  }
  return { fields, read };
}

/** The JSON object in a text; null for none, undefined for what is something else. */
function objectOf(text) {
  if (!text.trim()) return null;
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isNothing = (value) => value === null || value === undefined || value === "" || (typeof value === "object" && !Object.keys(value).length);

const words = (text) => text.split(",").map((word) => word.trim()).filter(Boolean);

/** What of `values` differs from what there was; for something new, what is not empty. */
function differing(values, before) {
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => (isNothing(value) && isNothing(before?.[name]) ? false : JSON.stringify(value) !== JSON.stringify(before?.[name]))));
}

/** Show an API error at the field that it names, else above the buttons. */
function showProblem(error, fields, general) {
  const named = fields[(error.param ?? "").split(/[.[]/)[0]];
  if (named?.problem) {
    named.problem(error.message);
    named.closest("details")?.setAttribute("open", "");
    named.querySelector("input, select, textarea")?.focus();
  } else general.textContent = error.message;
}

const EXPIRY = [
  ["", "never"],
  ["1h", "in 1 hour"],
  ["1d", "in 1 day"],
  ["7d", "in 7 days"],
  ["30d", "in 30 days"],
  ["90d", "in 90 days"],
];

/** Make a key (`key` null) or edit one. Resolves with the API's answer. */
function keyDialog(key, { choices, done }) {
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
      const answer = await post(key ? "key/update" : "key/generate", key ? { key: key.token, ...body } : body);
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

function teamDialog(team, { choices, done }) {
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
      if (!team || Object.keys(body).length) await post(team ? "team/update" : "team/new", team ? { team_id: team.team_id, ...body } : body);
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

async function rotate(key, done) {
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
                  close(await post(`key/${encodeURIComponent(key.token)}/regenerate`, grace.value ? { grace_period: grace.value } : {}));
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
async function showOnce(made, title) {
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


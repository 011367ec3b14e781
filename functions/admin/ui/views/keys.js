// Keys, teams and users: their lists, and the actions on each.

import { addressOf } from "../address.js";
import { button, empty, failure, segmented, select, skeleton, table } from "../controls.js";
import { confirm, toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { keys as api } from "../endpoints.js";
import { keyName, plural } from "../format.js";
import { repeat } from "../live.js";
import { once } from "../session.js";
import { allowedModels, budget, keyState, limits, requestsLink, ownerAndTags } from "./holders.js";
import { keyDialog, rotate, showOnce, teamDialog, userDialog } from "./key-dialogs.js";

const PAGE = 25;
const USERS = 100; // per call

export async function show(view, { signal, head, parts, query, setAddress }) {
  const tab = ["teams", "users"].includes(parts[0]) ? parts[0] : "keys";
  let teams = [];
  // The menus of the dialogs. Each dialog awaits them: it may be opened before they are loaded.
  const choices = once(async () => {
    const [foundTeams, { models }] = await Promise.all([api.readTeams(), api.readRoutes()]);
    return { teams: foundTeams, models: Object.keys(models).sort() };
  });
  const list = h("div", {}, skeleton(5));
  const reload = () => ({ keys: loadKeys, teams: loadTeams, users: loadUsers })[tab]();
  head.append(
    segmented("List", [["keys", "Keys"], ["teams", "Teams"], ["users", "Users"]], tab, (value) => (location.hash = value === "keys" ? "#/keys" : `#/keys/${value}`)),
    {
      keys: () => button("Create key", () => createKey(), { kind: "primary", icon: "plus" }),
      teams: () => button("Create team", () => teamDialog(null, { choices, done: reload }), { kind: "primary", icon: "plus" }),
      users: () => button("Create user", () => userDialog(null, { choices, done: reload }), { kind: "primary", icon: "plus" }),
    }[tab](),
  );

  const search = h("input", { type: "search", placeholder: "Find by alias, owner or tag", "aria-label": "Find keys", maxlength: "200", value: query.get("find") ?? "" });
  let team = query.get("team") ?? "";
  const teamFilter = h("div", {});
  let pages = 1;
  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(choose, 250);
  });
  function choose() {
    pages = 1;
    setAddress(addressOf("keys", { find: search.value.trim(), team }));
    loadKeys();
  }
  if (tab === "keys") view.append(h("div", { class: "filters" }, search, teamFilter));
  view.append(list);

  // --- keys ---

  let turn = 0;
  async function loadKeys() {
    const mine = ++turn;
    const words = search.value.trim().toLowerCase();
    try {
      const [found, loaded] = await Promise.all([words ? every() : first(), choices()]);
      if (signal.aborted || mine !== turn) return;
      teams = loaded.teams;
      drawTeamFilter();
      const keys = words ? found.keys.filter((key) => `${key.key_alias ?? ""} ${key.key_name} ${key.user_id ?? ""} ${(key.tags ?? []).join(" ")}`.toLowerCase().includes(words)) : found.keys;
      swap(list, drawKeys(keys, words ? keys.length : found.total, Boolean(words || team)));
    } catch (error) {
      if (!signal.aborted && mine === turn) swap(list, failure(error, loadKeys));
    }
  }

  function drawTeamFilter() {
    if (!teams.length || teamFilter.firstChild) return;
    teamFilter.append(select([["", "All teams"], ...teams.map((team) => [team.team_id, team.team_alias || team.team_id])], team, { "aria-label": "Team", on: { change: (event) => ((team = event.target.value), choose()) } }));
  }

  const page = (number) => api.readKeyPage(number, PAGE, team);

  /** All keys: the API finds complete aliases only. */
  const every = async () => ({ keys: await api.readAllKeys({ team }) });

  /** The pages that are shown. */
  async function first() {
    const answers = await Promise.all(Array.from({ length: pages }, (_, index) => page(index + 1)));
    return { keys: answers.flatMap((answer) => answer.keys), total: answers[0].total_count };
  }

  function drawKeys(keys, total, filtered) {
    if (!keys.length && filtered) return empty("No matching keys", "No alias, owner or tag contains this text.");
    if (!keys.length) return empty("No keys yet", "Programs and people call the models with a key, which has its own budget and limits.", button("Create key", () => createKey(), { kind: "primary", icon: "plus" }));
    const teamsById = new Map(teams.map((team) => [team.team_id, team]));
    return [
      h(
        "div",
        { class: "framed" },
        table(
          "Keys",
          [
            { label: "Key", head: true, cell: (key) => [h("span", { class: "name" }, key.key_alias || "no alias"), h("span", { class: "mono quiet key-name" }, key.key_name), ownerAndTags(key)] },
            { label: "Allowed models", cell: (key) => allowedModels(key.models, teamsById.get(key.team_id)?.models) },
            { label: "Budget", className: "budget-cell", cell: budget },
            { label: "Limits", cell: limits },
            { label: "State", cell: (key) => [keyState(key), key.team_id ? h("span", { class: "quiet small" }, teamsById.get(key.team_id)?.team_alias || key.team_id) : null] },
            { label: "Actions", sr: true, number: true, cell: (key) => keyActions(key) },
          ],
          keys,
        ),
      ),
      keys.length < total ? h("div", { class: "more" }, button(`Show more (${plural(total - keys.length, "key")} left)`, () => (pages++, loadKeys()), { "data-focus": "more" })) : null,
    ];
  }

  function keyActions(key) {
    if (key.replaced_by) return null; // follows its successor
    const name = keyName(key);
    const tool = (label, drawing, work) => button(`${label} ${name}`, work, { kind: "quiet", icon: drawing, only: true, "data-focus": `${drawing} ${key.token}` });
    return h(
      "div",
      { class: "row-tools" },
      requestsLink(name, { key: key.key_id }),
      tool("Edit", "edit", () => keyDialog(key, { choices, done: loadKeys })),
      tool("Rotate", "rotate", () => rotate(key, { choices, done: loadKeys })),
      blockTool(tool, key.blocked, name, "Requests with this key are rejected within ten seconds, until you unblock it.", { block: () => api.blockKey(key.token), unblock: () => api.unblockKey(key.token), reload: loadKeys }),
      tool("Delete", "trash", async () => {
        if (await confirm(`Delete ${name}?`, "Requests with this key are rejected within ten seconds. This cannot be undone. To disable the key temporarily, block it.", "Delete"))
          await act(() => api.deleteKey(key.token), `${name} deleted.`, loadKeys);
      }),
    );
  }

  async function createKey() {
    const created = await keyDialog(null, { choices, done: loadKeys });
    if (created) await showOnce(created, "Key created", choices);
  }

  // --- teams ---

  async function loadTeams() {
    try {
      const found = await api.readTeams();
      if (signal.aborted) return;
      teams = found;
      swap(list, drawTeams());
    } catch (error) {
      if (!signal.aborted) swap(list, failure(error, loadTeams));
    }
  }

  function drawTeams() {
    if (!teams.length) return empty("No teams yet", "The keys of a team share its models, budget and limits.", button("Create team", () => teamDialog(null, { choices, done: loadTeams }), { kind: "primary", icon: "plus" }));
    return h(
      "div",
      { class: "framed" },
      table(
        "Teams",
        [
          { label: "Team", head: true, cell: (team) => [h("span", { class: "name" }, team.team_alias || team.team_id), h("span", { class: "mono quiet key-name" }, team.team_id)] },
          { label: "Allowed models", cell: (team) => allowedModels(team.models) },
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
    const name = team.team_alias || team.team_id;
    const tool = (label, drawing, work) => button(`${label} ${name}`, work, { kind: "quiet", icon: drawing, only: true, "data-focus": `${drawing} ${team.team_id}` });
    return h(
      "div",
      { class: "row-tools" },
      requestsLink(name, { team: team.team_id }),
      tool("Edit", "edit", () => teamDialog(team, { choices, done: loadTeams })),
      blockTool(tool, team.blocked, name, "Requests with any key of this team are rejected within ten seconds, until you unblock it.", { block: () => api.blockTeam(team.team_id), unblock: () => api.unblockTeam(team.team_id), reload: loadTeams }),
      tool("Delete", "trash", async () => {
        if (await confirm(`Delete the team ${name}?`, "All its keys are deleted too and rejected within ten seconds. This cannot be undone.", "Delete"))
          await act(() => api.deleteTeam(team.team_id), `Team ${name} deleted.`, loadTeams);
      }),
    );
  }

  // --- users ---

  async function loadUsers() {
    try {
      const answers = await Promise.all(Array.from({ length: pages }, (_, index) => api.readUserPage(index + 1, USERS)));
      if (!signal.aborted) swap(list, drawUsers(answers.flatMap((answer) => answer.users), answers[0].total));
    } catch (error) {
      if (!signal.aborted) swap(list, failure(error, loadUsers));
    }
  }

  function drawUsers(users, total) {
    if (!users.length) return empty("No users yet", "The owner of a key is a user. A user's models, budget and limits apply to all of the user's keys.", button("Create user", () => userDialog(null, { choices, done: loadUsers }), { kind: "primary", icon: "plus" }));
    return [
      h(
        "div",
        { class: "framed" },
        table(
          "Users",
          [
            { label: "User", head: true, cell: (user) => [h("span", { class: "name" }, user.user_alias || user.user_id), h("span", { class: "quiet key-name" }, user.user_alias ? user.user_id : user.user_email)] },
            { label: "Keys", number: true, cell: (user) => user.key_count },
            { label: "Allowed models", cell: (user) => allowedModels(user.models) },
            { label: "Budget", className: "budget-cell", cell: budget },
            { label: "Limits", cell: limits },
            { label: "Actions", sr: true, number: true, cell: userActions },
          ],
          users,
        ),
      ),
      users.length < total ? h("div", { class: "more" }, button(`Show more (${plural(total - users.length, "user")} left)`, () => (pages++, loadUsers()), { "data-focus": "more" })) : null,
    ];
  }

  function userActions(user) {
    const name = user.user_alias || user.user_id;
    const tool = (label, drawing, work) => button(`${label} ${name}`, work, { kind: "quiet", icon: drawing, only: true, "data-focus": `${drawing} ${user.user_id}` });
    return h(
      "div",
      { class: "row-tools" },
      tool("Edit", "edit", () => userDialog(user, { choices, done: loadUsers })),
      tool("Delete", "trash", async () => {
        if (await confirm(`Delete the user ${name}?`, "All keys of the user are deleted too and rejected within ten seconds. This cannot be undone.", "Delete"))
          await act(() => api.deleteUser(user.user_id), `User ${name} deleted.`, loadUsers);
      }),
    );
  }

  if (tab === "keys" && query.has("new")) {
    setAddress("#/keys");
    createKey();
  }
  await reload();
  repeat(20, () => (document.querySelector("dialog") ? null : reload()), signal);
}

/** The button that blocks, after a confirmation and with an undo, or unblocks a key or team. */
function blockTool(tool, blocked, name, consequence, { block, unblock, reload }) {
  const undo = () => act(unblock, `${name} unblocked. Takes effect within ten seconds.`, reload);
  if (blocked) return tool("Unblock", "check", undo);
  return tool("Block", "block", async () => {
    if (await confirm(`Block ${name}?`, consequence, "Block")) await act(block, `${name} blocked. Takes effect within ten seconds.`, reload, ["Undo", undo]);
  });
}

async function act(send, done, reload, action) {
  try {
    await send();
    toast(done, { action });
  } catch (error) {
    toast(error.message, { kind: "bad" });
  }
  await reload();
}

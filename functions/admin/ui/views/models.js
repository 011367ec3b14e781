// Models: the chain of each model, its editor, and the unsaved edit.

import { button, empty, failure, field, skeleton, table } from "../controls.js";
import { confirm, openFilled } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { changedRows, currentDraft, setDraft, unsaved } from "../draft.js";
import { models as api } from "../endpoints.js";
import { NONE, plural } from "../format.js";
import { repeat } from "../live.js";
import { aliasDialog, aliasesSection } from "./aliases.js";
import { defaultsDialog } from "./behavior.js";
import { diagram } from "./chain.js";
import { editor } from "./editor.js";
import { explainDialog } from "./explain.js";
import { guardDialog, guardsSection } from "./guards.js";
import { historyDialog } from "./history.js";
import { baseUrlOf, formatsOf, providerDialog, secretOf } from "./provider.js";
import { testDialog } from "./provider-test.js";
import { reviewDialog } from "./review.js";
import { stepsOf, rowsOf } from "./rows.js";
import { secretDialog } from "./secret.js";
import { settingsText } from "./settings.js";

const editing = new Set(); // names of models whose editor is open

export async function show(view, { signal, head }) {
  let routes = null;
  const list = h("div", { class: "models-list" }, skeleton(5));
  const aliases = h("div", {});
  const guards = h("div", {});
  const providers = h("div", {});
  const bar = h("div", { class: "draft-bar", role: "region", "aria-label": "Unsaved changes", hidden: true });
  const announcement = h("p", { class: "sr", role: "status" });
  head.append(
    button("Explain a request", () => explainDialog(), { icon: "explain" }),
    button("History", () => historyDialog(load), { icon: "history" }),
    button("Add model", addModel, { icon: "plus" }),
  );
  view.append(list, aliases, guards, providers, bar, announcement);

  /** The rows to show: edited if there is a draft, else saved. */
  const shown = () => currentDraft()?.edited ?? rowsOf(routes);

  /** The rows being edited; starts a draft if there is none. */
  function draft() {
    if (!currentDraft()) setDraft({ version: routes.version, digest: routes.digest, base: rowsOf(routes), edited: structuredClone(rowsOf(routes)) });
    return currentDraft().edited;
  }

  async function read() {
    routes = await api.readRoutes();
    if (!signal.aborted) draw();
  }

  async function load() {
    try {
      await read();
    } catch (error) {
      if (!signal.aborted) swap(list, failure(error, load));
    }
  }

  function draw() {
    const { models } = shown();
    const names = Object.keys(models).sort();
    swap(
      list,
      routes.problems?.length ? problemsNotice(routes.problems) : null,
      names.length ? names.map((name) => card(name, models[name])) : empty("No models yet", "A model is a name that callers use. Its chain of deployments serves the requests.", button("Add model", addModel, { kind: "primary", icon: "plus" })),
    );
    swap(aliases, names.length ? aliasesSection(shown().aliases, editAlias) : null);
    swap(guards, names.length ? guardsSection(shown().guards, editGuard) : null);
    drawProviders();
    drawBar();
  }

  async function editAlias(name) {
    const done = await aliasDialog(name, shown().aliases, Object.keys(shown().models).sort());
    if (!done) return;
    if (done.row) draft().aliases[done.name] = done.row;
    else delete draft().aliases[done.name];
    draw();
  }

  async function editGuard(name) {
    const done = await guardDialog(name, shown().guards);
    if (!done) return;
    if (done.row) draft().guards[done.name] = done.row;
    else delete draft().guards[done.name];
    draw();
  }

  function card(name, row) {
    const open = editing.has(name);
    const changed = currentDraft() && changedRows(currentDraft()).some((each) => each.kind === "model" && each.name === name);
    const body = h("div", {});
    const saved = routes.chains?.[name];
    const toggleEdit = () => {
      if (open) editing.delete(name);
      else {
        draft();
        editing.add(name);
      }
      draw();
    };
    if (open) {
      const mine = draft().models[name];
      const description = h("input", { value: mine.description ?? "", maxlength: "1000", on: { input: (event) => ((mine.description = event.target.value), drawBar()) } });
      body.append(
        field("Description", description),
        editor(name, mine, draft().providers, (text) => {
          if (text) announcement.textContent = text;
          drawBar();
        }),
      );
    } else body.append(diagram(name, row, saved, load));
    return h(
      "section",
      { class: "card model", "aria-labelledby": `model-${name}` },
      h(
        "div",
        { class: "model-head" },
        h("div", {}, h("h2", { id: `model-${name}`, class: "mono" }, name), open ? null : h("p", { class: "quiet" }, row.description || NONE)),
        changed && h("span", { class: "chip changed" }, saved ? "changed, not saved" : "added, not saved"),
        h(
          "div",
          { class: "actions" },
          open && button("Delete model", () => deleteModel(name), { kind: "quiet danger" }),
          button(open ? "Done" : "Edit", toggleEdit, { icon: open ? "check" : "edit", "data-focus": `edit ${name}`, "aria-label": `${open ? "Close editor of" : "Edit"} ${name}` }),
        ),
      ),
      body,
      open ? null : settingsLine(row),
    );
  }

  // --- providers ---

  function drawProviders() {
    const { providers: rows, models, defaults = {} } = shown();
    const used = (name) => Object.values(models).filter((row) => stepsOf(row).flat().some((member) => member.provider === name)).length;
    swap(
      providers,
      h(
        "section",
        { "aria-labelledby": "providers-title" },
        h("div", { class: "section-head" }, h("h2", { id: "providers-title" }, "Providers"), button("Add provider", () => editProvider(), { icon: "plus" })),
        h(
          "div",
          {},
          table(
            "Providers",
            [
              { label: "Provider", head: true, cell: (name) => name },
              { label: "Base URL", cell: (name) => h("span", { class: "mono" }, baseUrlOf(rows[name])) },
              { label: "Secret", cell: (name) => secretCell(rows[name]) },
              { label: "Formats", cell: (name) => [formatsOf(rows[name]).join(", "), providerSettings(rows[name])] },
              { label: "Models", number: true, cell: used },
              {
                label: "Tools",
                sr: true,
                number: true,
                cell: (name) =>
                  h("div", { class: "row-tools" }, button(`Test ${name}`, () => testDialog(name, rowsOf(routes), formatsOf), { kind: "quiet", icon: "send", only: true, "data-focus": `test ${name}` }), button(`Edit ${name}`, () => editProvider(name), { kind: "quiet", icon: "edit", only: true, "data-focus": `provider ${name}` })),
              },
            ],
            Object.keys(rows).sort(),
          ),
        ),
        h("div", { class: "section-head" }, h("h2", { id: "defaults-title" }, "Defaults"), button("Edit defaults", editDefaults, { icon: "edit", "data-focus": "defaults" })),
        h("p", { class: "quiet settings" }, settingsText(defaults) || "The built-in ones apply."),
      ),
    );
  }

  function secretCell(row) {
    if (!row.secret) return secretOf(row);
    const known = routes.secrets_set; // null for a secret from before the list
    const isSet = known?.includes(row.secret);
    const edit = async () => (await secretDialog(row.secret, isSet)) && load();
    return [
      h("span", { class: "mono" }, row.secret),
      known && (isSet ? h("span", { class: "chip" }, "set") : h("span", { class: "chip changed" }, "not set")),
      button(isSet ? `Replace ${row.secret}` : `Set ${row.secret}`, edit, { kind: "quiet", icon: "key", only: true, "data-focus": `secret ${row.secret}` }),
    ];
  }

  async function editProvider(name) {
    const done = await providerDialog(name, shown().providers);
    if (!done) return;
    if (done.row) draft().providers[done.name] = done.row;
    else delete draft().providers[done.name];
    draw();
  }

  async function editDefaults() {
    const edited = await defaultsDialog(shown().defaults);
    if (!edited) return;
    draft().defaults = edited;
    draw();
  }

  // --- adding and deleting models ---

  async function addModel() {
    const name = h("input", { required: true, spellcheck: "false", autocapitalize: "none", placeholder: "auto-example", autofocus: true });
    const description = h("input", { maxlength: "1000" });
    const provider = h("select", { required: true });
    const model = h("input", { required: true, spellcheck: "false", autocapitalize: "none" });
    const nameField = field("Name", name, { hint: "The name that callers send as model." });
    const form = (_routes, close) => {
      provider.append(...Object.keys(shown().providers).map((each) => h("option", { value: each }, each)));
      return h(
        "form",
        {
          class: "form",
          on: {
            submit: (event) => {
              event.preventDefault();
              if (shown().models[name.value.trim()]) nameField.problem("A model with this name already exists.");
              else close(true);
            },
          },
        },
        nameField,
        field("Description", description),
        field("Provider", provider, { hint: "Of the first deployment. Add more in the editor." }),
        field("Model at that provider", model),
        h("div", { class: "actions" }, button("Cancel", () => close()), button("Add", null, { kind: "primary", type: "submit" })),
      );
    };
    const done = await openFilled("Add model", async () => routes ?? read(), form);
    if (!done) return;
    draft().models[name.value.trim()] = { description: description.value.trim(), chain: [{ provider: provider.value, model: model.value.trim() }] };
    editing.add(name.value.trim());
    draw();
  }

  async function deleteModel(name) {
    if (!(await confirm(`Delete ${name}?`, "Takes effect when you save. Requests for this model then get a 404.", "Delete"))) return;
    delete draft().models[name];
    editing.delete(name);
    draw();
  }

  // --- the unsaved edit ---

  function drawBar() {
    const rows = currentDraft() ? changedRows(currentDraft()) : [];
    bar.hidden = !rows.length;
    if (!rows.length) {
      if (currentDraft() && !editing.size) setDraft(null);
      return;
    }
    const names = rows.map((row) => row.name).join(", ");
    swap(
      bar,
      h("p", {}, h("strong", {}, plural(rows.length, "change")), h("span", { class: "quiet" }, ` not saved: ${names}`)),
      button("Discard", discard, { kind: "quiet", "data-focus": "discard" }),
      button("Review and save", review, { kind: "primary", "data-focus": "review" }),
    );
  }

  async function discard() {
    if (!(await confirm("Discard changes?", "All unsaved changes are lost. The saved routes are not affected.", "Discard"))) return;
    setDraft(null);
    editing.clear();
    draw();
  }

  async function review() {
    const saved = await reviewDialog(load);
    if (saved) {
      editing.clear();
      await load();
      head.querySelector("h1")?.focus();
    } else draw();
  }

  await load();
  // No refresh during an edit.
  repeat(10, () => (unsaved() || editing.size || document.querySelector("dialog") ? null : load()), signal);
}

function problemsNotice(problems) {
  return h(
    "div",
    { class: "notice" },
    h("div", {}, h("p", {}, h("strong", {}, "Some rows of the routes are invalid."), " Their last valid version is served."), h("ul", {}, problems.map((each) => h("li", {}, h("code", {}, each.path), `: ${each.reason}`)))),
  );
}

function providerSettings(row) {
  const text = settingsText(row, ["type", "base_url", "secret", "region", "formats"]);
  return text ? h("span", { class: "quiet small" }, text) : null;
}

/** A line with the settings of a model, besides its description and chain. */
function settingsLine(row) {
  const text = settingsText(row, ["description", "chain"]);
  return text ? h("p", { class: "quiet settings" }, text) : null;
}

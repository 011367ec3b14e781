// Models: every chain as a picture, its editor, and what becomes of an edit.

import { button, empty, failure, field, skeleton, table } from "../controls.js";
import { confirm, openFilled } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { changedRows, currentDraft, setDraft, unsaved } from "../draft.js";
import { models as api } from "../endpoints.js";
import { NONE, plural } from "../format.js";
import { repeat } from "../live.js";
import { picture } from "./chain.js";
import { editor } from "./editor.js";
import { explainDialog } from "./explain.js";
import { historyDialog } from "./history.js";
import { addressOf, formatsOf, providerDialog, secretOf } from "./provider.js";
import { reviewDialog } from "./review.js";
import { layersOf, rowsOf } from "./rows.js";

const editing = new Set(); // models whose editor is open

export async function show(view, { signal, head }) {
  let routes = null;
  const list = h("div", { class: "models-list" }, skeleton(5));
  const providers = h("div", {});
  const bar = h("div", { class: "draft-bar", role: "region", "aria-label": "Changes that are not saved", hidden: true });
  const spoken = h("p", { class: "sr", role: "status" });
  head.append(
    button("Explain a request", () => explainDialog(), { icon: "explain" }),
    button("History", () => historyDialog(load), { icon: "history" }),
    button("New model", newModel, { icon: "plus" }),
  );
  view.append(list, providers, bar, spoken);

  /** What is to be shown: the edit where there is one, else what is saved. */
  const shown = () => currentDraft()?.edited ?? routes;

  /** The edit under way, begun now if there was none. */
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
      names.length ? names.map((name) => card(name, models[name])) : empty("No models yet", "A model is a name that callers use, with a chain of deployments behind it.", button("New model", newModel, { kind: "primary", icon: "plus" })),
    );
    drawProviders();
    drawBar();
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
        field("What it is good for", description),
        editor(name, mine, draft().providers, (words) => {
          if (words) spoken.textContent = words;
          drawBar();
        }),
      );
    } else body.append(picture(name, row, saved, load));
    return h(
      "section",
      { class: "card model", "aria-labelledby": `model-${name}` },
      h(
        "div",
        { class: "model-head" },
        h("div", {}, h("h2", { id: `model-${name}`, class: "mono" }, name), open ? null : h("p", { class: "quiet" }, row.description || NONE)),
        changed && h("span", { class: "chip changed" }, saved ? "changed, not saved" : "new, not saved"),
        h(
          "div",
          { class: "actions" },
          open && button("Remove model", () => removeModel(name), { kind: "quiet danger" }),
          button(open ? "Done" : "Edit", toggleEdit, { icon: open ? "check" : "edit", "data-focus": `edit ${name}`, "aria-label": `${open ? "Done with" : "Edit"} ${name}` }),
        ),
      ),
      body,
      open ? null : settingsLine(row),
    );
  }

  // --- providers ---

  function drawProviders() {
    const { providers: rows, models } = shown();
    const used = (name) => Object.values(models).filter((row) => layersOf(row).flat().some((member) => member.provider === name)).length;
    swap(
      providers,
      h(
        "section",
        { "aria-labelledby": "providers-title" },
        h("div", { class: "section-head" }, h("h2", { id: "providers-title" }, "Providers"), button("New provider", () => editProvider(), { icon: "plus" })),
        h(
          "div",
          {},
          table(
            "Providers",
            [
              { label: "Provider", head: true, cell: (name) => name },
              { label: "Address", cell: (name) => h("span", { class: "mono" }, addressOf(rows[name])) },
              { label: "Secret", cell: (name) => h("span", { class: "mono" }, secretOf(rows[name])) },
              { label: "Formats", cell: (name) => formatsOf(rows[name]).join(", ") },
              { label: "Models", number: true, cell: used },
              { label: "Edit", sr: true, number: true, cell: (name) => button(`Edit ${name}`, () => editProvider(name), { kind: "quiet", icon: "edit", only: true, "data-focus": `provider ${name}` }) },
            ],
            Object.keys(rows).sort(),
          ),
        ),
      ),
    );
  }

  async function editProvider(name) {
    const done = await providerDialog(name, shown().providers);
    if (!done) return;
    if (done.row) draft().providers[done.name] = done.row;
    else delete draft().providers[done.name];
    draw();
  }

  // --- models come and go ---

  async function newModel() {
    const name = h("input", { required: true, spellcheck: "false", autocapitalize: "none", placeholder: "auto-example", autofocus: true });
    const description = h("input", { maxlength: "1000" });
    const provider = h("select", { required: true });
    const model = h("input", { required: true, spellcheck: "false", autocapitalize: "none" });
    const called = field("Name", name, { hint: "What callers ask for." });
    const form = (_routes, close) => {
      provider.append(...Object.keys(shown().providers).map((each) => h("option", { value: each }, each)));
      return h(
        "form",
        {
          class: "form",
          on: {
            submit: (event) => {
              event.preventDefault();
              if (shown().models[name.value.trim()]) called.problem("There is a model of this name already.");
              else close(true);
            },
          },
        },
        called,
        field("What it is good for", description),
        field("Provider of its first deployment", provider),
        field("Model at that provider", model),
        h("div", { class: "actions" }, button("Cancel", () => close()), button("Add", null, { kind: "primary", type: "submit" })),
      );
    };
    const done = await openFilled("New model", async () => routes ?? read(), form);
    if (!done) return;
    draft().models[name.value.trim()] = { description: description.value.trim(), chain: [{ provider: provider.value, model: model.value.trim() }] };
    editing.add(name.value.trim());
    draw();
  }

  async function removeModel(name) {
    if (!(await confirm(`Remove ${name}?`, "Nothing happens until you save. After that, requests for it are answered with 404.", "Remove"))) return;
    delete draft().models[name];
    editing.delete(name);
    draw();
  }

  // --- what is not saved ---

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
    if (!(await confirm("Discard the changes?", "What is saved stays as it is.", "Discard"))) return;
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
  // While somebody edits, only a save or a discard redraws what is under their hands.
  repeat(10, () => (unsaved() || editing.size || document.querySelector("dialog") ? null : load()), signal);
}

function problemsNotice(problems) {
  return h(
    "div",
    { class: "notice" },
    h("div", {}, h("p", {}, h("strong", {}, "Rows of the table are wrong."), " What they said before goes on being served."), h("ul", {}, problems.map((each) => h("li", {}, h("code", {}, each.path), `: ${each.reason}`)))),
  );
}

/** Settings that are not part of the picture, such as timeouts: shown, and kept by an edit. */
function settingsLine(row) {
  const told = Object.entries(row).filter(([name]) => !["description", "chain"].includes(name));
  if (!told.length) return null;
  const words = told.map(([name, value]) => (typeof value === "object" ? Object.entries(value).map(([part, each]) => `${part} ${each}`).join(", ") : `${name} ${value}`));
  return h("p", { class: "quiet settings" }, `Own settings: ${words.join("; ").replaceAll("_", " ")}`);
}

// Aliases: other names of the models, and the dialog that adds or edits one.

import { button, field, select, table } from "../controls.js";
import { openDialog } from "../dialogs.js";
import { h } from "../dom.js";

/** The section with the aliases of `rows`; `edit(name)` edits one, or adds one without a name. */
export function aliasesSection(rows, edit) {
  const names = byPrecedence(Object.keys(rows));
  return h(
    "section",
    { "aria-labelledby": "aliases-title" },
    h("div", { class: "section-head" }, h("h2", { id: "aliases-title" }, "Aliases"), button("Add alias", () => edit(), { icon: "plus" })),
    h("p", { class: "quiet" }, "Other names that callers may send for a model. A model's own name wins, then an exact alias, then the longest pattern."),
    names.length
      ? table(
          "Aliases",
          [
            { label: "Name or pattern", head: true, cell: (name) => h("span", { class: "mono" }, name) },
            { label: "Model", cell: (name) => h("span", { class: "mono" }, modelOf(rows[name])) },
            { label: "Edit", sr: true, number: true, cell: (name) => button(`Edit ${name}`, () => edit(name), { kind: "quiet", icon: "edit", only: true, "data-focus": `alias ${name}` }) },
          ],
          names,
        )
      : null,
  );
}

/** Edit alias `name` of `rows`, or add one. Resolves with {name, row}, without `row` to delete it; undefined if cancelled. */
export function aliasDialog(name, rows, models) {
  const before = name ? modelOf(rows[name]) : models[0];
  const nameInput = h("input", { value: name ?? "", required: true, disabled: Boolean(name), spellcheck: "false", autocapitalize: "none", placeholder: "claude-opus-*", autofocus: true });
  const model = select(models.includes(before) ? models : [before, ...models], before);
  const nameField = field("Name or pattern", nameInput, { hint: "* stands for any text." });
  return openDialog(name ? `Alias ${name}` : "Add alias", (close) => {
    function apply(event) {
      event.preventDefault();
      const chosen = nameInput.value.trim();
      if (!name && rows[chosen]) nameField.problem("An alias with this name already exists.");
      else if (models.includes(chosen)) nameField.problem("A model has this name.");
      else close({ name: chosen, row: model.value });
    }
    return h(
      "form",
      { class: "form", on: { submit: apply } },
      nameField,
      field("Model", model, { hint: "Keys need permission for this model, not for the alias." }),
      h("div", { class: "actions" }, name && button("Delete", () => close({ name }), { kind: "quiet danger" }), button("Cancel", () => close()), button(name ? "Apply" : "Add", null, { kind: "primary", type: "submit" })),
    );
  });
}

const modelOf = (row) => (typeof row === "string" ? row : (row?.model ?? ""));

/** Exact names by the alphabet, then patterns in the order in which they are tried. */
function byPrecedence(names) {
  const isPattern = (name) => name.includes("*");
  return names.sort((a, b) => isPattern(a) - isPattern(b) || (isPattern(a) ? b.length - a.length : 0) || (a < b ? -1 : 1));
}

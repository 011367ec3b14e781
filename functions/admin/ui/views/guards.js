// Guards: what is looked for in the texts of requests, and the dialog that adds or edits one.

import { button, field, select, table } from "../controls.js";
import { openDialog } from "../dialogs.js";
import { h } from "../dom.js";

const KINDS = [["secrets", "Secrets"], ["emails", "E-mail addresses"], ["phones", "Phone numbers"], ["cards", "Payment card numbers"]];
const PLACES = [["prompts", "Prompts and answers"], ["tool_results", "Tool results"], ["tool_arguments", "Tool arguments"]];
const ACTIONS = [["block", "block the request"], ["mask", "mask, and restore in the answer"], ["report", "report only"]];
const ON_ERROR = [["reject", "reject the request"], ["continue", "let it pass"]];

/** The section with the guards of `rows`; `edit(name)` edits one, or adds one without a name. */
export function guardsSection(rows, edit) {
  const names = Object.keys(rows).sort();
  return h(
    "section",
    { "aria-labelledby": "guards-title" },
    h("div", { class: "section-head" }, h("h2", { id: "guards-title" }, "Guards"), button("Add guard", () => edit(), { icon: "plus" })),
    h("p", { class: "quiet" }, "What is looked for in requests before a provider gets them. Models, keys and teams name the guards that they use."),
    names.length
      ? table(
          "Guards",
          [
            { label: "Name", head: true, cell: (name) => h("span", { class: "mono" }, name) },
            { label: "Finds", cell: (name) => findsText(rows[name]) },
            { label: "Action", cell: (name) => rows[name].action ?? "block" },
            { label: "Edit", sr: true, number: true, cell: (name) => button(`Edit ${name}`, () => edit(name), { kind: "quiet", icon: "edit", only: true, "data-focus": `guard ${name}` }) },
          ],
          names,
        )
      : null,
  );
}

/** Edit guard `name` of `rows`, or add one. Resolves with {name, row}, without `row` to delete it; undefined if cancelled. */
export function guardDialog(name, rows) {
  const before = rows[name] ?? { find: ["secrets"], action: "block" };
  const found = before.find ?? [];
  const input = (value, placeholder) => h("input", { value: value ?? "", placeholder, spellcheck: "false", autocapitalize: "none", autocomplete: "off" });
  const nameInput = h("input", { value: name ?? "", required: true, disabled: Boolean(name), pattern: "[a-z][a-z0-9_\\-]{0,39}", spellcheck: "false", autocapitalize: "none", placeholder: "secrets", autofocus: true });
  const kinds = boxes(KINDS, found);
  const patterns = h("textarea", { rows: "3", class: "mono", spellcheck: "false", value: found.filter((each) => typeof each === "object").map((each) => `${each.name}: ${each.pattern}`).join("\n"), placeholder: "tickets: ACME-[0-9]{6}" });
  const guardrail = input(before.bedrock?.id, "abcdef123456");
  const version = input(before.bedrock?.version, "DRAFT");
  const region = input(before.bedrock?.region, "us-east-1");
  const places = boxes(PLACES, before.places ?? PLACES.map(([place]) => place));
  const action = select(ACTIONS, before.action ?? "block");
  const onError = select(ON_ERROR, before.on_error ?? "reject");
  const nameField = field("Name", nameInput, { hint: "Small letters, digits, - and _." });
  const patternField = field("Own patterns", patterns, { hint: "One a line, as NAME: PATTERN, in Python's regular expressions. One that could take long on some text is rejected when you save.", wide: true });
  const guardrailField = field("Bedrock guardrail", guardrail, { hint: "Its id or ARN, instead of the above. The stack parameter Guardrails permits its use." });

  /** The guard in the form; null after showing a problem. */
  function read() {
    const own = patternsIn(patterns.value);
    if (!own) return patternField.problem("Write NAME: PATTERN, one a line."), null;
    const find = [...checked(kinds), ...own];
    const bedrock = guardrail.value.trim();
    if (Boolean(find.length) === Boolean(bedrock)) return guardrailField.problem(bedrock ? "Leave it empty, or uncheck what the guard finds itself." : "Choose what the guard finds, or name a guardrail."), null;
    const where = checked(places);
    if (!where.length) return nameField.problem("Choose at least one place."), null;
    return {
      ...(find.length ? { find } : { bedrock: { id: bedrock, ...(version.value.trim() && { version: version.value.trim() }), ...(region.value.trim() && { region: region.value.trim() }) } }),
      ...(where.length < PLACES.length && { places: where }),
      action: action.value,
      ...(bedrock && onError.value !== "reject" && { on_error: onError.value }),
    };
  }

  return openDialog(
    name ? `Guard ${name}` : "Add guard",
    (close) => {
      function apply(event) {
        event.preventDefault();
        const chosen = nameInput.value.trim();
        if (!name && rows[chosen]) return nameField.problem("A guard with this name already exists.");
        const row = read();
        if (row) close({ name: chosen, row });
        return undefined;
      }
      return h(
        "form",
        { class: "form two", on: { submit: apply } },
        nameField,
        field("Action", action),
        group("Finds", kinds),
        patternField,
        group("Looks in", places),
        h(
          "details",
          { class: "wide more-fields", open: Boolean(before.bedrock) },
          h("summary", {}, "Guardrail of Amazon Bedrock"),
          h("div", { class: "form two" }, guardrailField, field("Version", version), field("Region", region), field("If it cannot be called", onError)),
        ),
        h("div", { class: "actions" }, name && button("Delete", () => close({ name }), { kind: "quiet danger" }), button("Cancel", () => close()), button(name ? "Apply" : "Add", null, { kind: "primary", type: "submit" })),
      );
    },
    { wide: true },
  );
}

const boxes = (options, chosen) => options.map(([value, label]) => [h("input", { type: "checkbox", value, checked: chosen.includes(value) }), label]);

const checked = (options) => options.filter(([box]) => box.checked).map(([box]) => box.value);

const group = (label, options) => h("fieldset", { class: "wide" }, h("legend", { class: "label" }, label), h("div", { class: "checks" }, options.map(([box, text]) => h("label", { class: "check" }, box, h("span", {}, text)))));

function findsText(row) {
  if (row.bedrock) return h("span", {}, "Bedrock guardrail ", h("span", { class: "mono" }, row.bedrock.id));
  return (row.find ?? []).map((each) => (typeof each === "string" ? each : each.name)).join(", ");
}

/** The patterns in "NAME: PATTERN" lines; null if a line is not of this form. */
function patternsIn(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  const found = lines.map((line) => /^([^:]+):\s*(.+)$/.exec(line));
  return found.every(Boolean) ? found.map(([, name, pattern]) => ({ name: name.trim(), pattern })) : null;
}

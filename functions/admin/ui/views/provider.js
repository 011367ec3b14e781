// Providers: their table cells, and the dialog that adds or edits one.

import { button, field, segmented } from "../controls.js";
import { openDialog } from "../dialogs.js";
import { h } from "../dom.js";
import { behaviorEditor } from "./behavior.js";

const FORMATS = ["chat", "responses", "messages", "completions", "embeddings", "moderations", "images", "image_edits", "speech", "transcriptions", "rerank"];
const isBedrock = (row) => row.type === "bedrock";

export const baseUrlOf = (row) => (isBedrock(row) ? `Amazon Bedrock, ${row.region ?? "the function's region"}${row.base_url ? `, at ${row.base_url}` : ""}` : row.base_url);
export const secretOf = (row) => row.secret || "the function's role";
export const formatsOf = (row) => row.formats ?? (isBedrock(row) ? ["converse"] : ["chat"]);

/** Edit provider `name` of `rows`, or add one. Resolves with {name, row}, without `row` to delete it; undefined if cancelled. */
export function providerDialog(name, rows) {
  const before = structuredClone(rows[name] ?? {});
  let bedrock = isBedrock(before);
  const nameInput = h("input", { value: name ?? "", required: true, disabled: Boolean(name), spellcheck: "false", autocapitalize: "none", autofocus: true });
  const baseUrl = h("input", { value: bedrock ? "" : (before.base_url ?? ""), type: "url", placeholder: "https://api.example.com/v1" });
  const secret = h("input", { value: before.secret ?? "", spellcheck: "false", autocapitalize: "none", placeholder: "EXAMPLE_API_KEY" });
  const region = h("input", { value: before.region ?? "", spellcheck: "false", autocapitalize: "none", placeholder: "us-east-1" });
  const formats = FORMATS.map((format) => h("input", { type: "checkbox", value: format, checked: formatsOf(bedrock ? {} : before).includes(format) }));
  const nameField = field("Name", nameInput);
  const baseUrlField = field("Base URL", baseUrl, { hint: "The part before /chat/completions." });
  const endpoint = h("input", { value: bedrock ? (before.base_url ?? "") : "", type: "url", placeholder: "https://api.example.com" });
  const endpointField = field("Endpoint", endpoint, { hint: "Leave empty for the region's endpoint. A VPC endpoint or proxy may be given; calls are signed for the region." });
  const secretField = field("Secret name", secret, { hint: "An entry of the router's secret, not the key itself." });
  const regionField = field("Region", region, { hint: "Leave empty for the function's region. The function's role signs the calls; no key is needed." });
  const formatBoxes = h("fieldset", {}, h("legend", { class: "label" }, "Formats"), h("div", { class: "checks" }, formats.map((input) => h("label", { class: "check" }, input, input.value))));

  function showFields(kind) {
    bedrock = kind === "bedrock";
    for (const element of [regionField, endpointField]) element.hidden = !bedrock;
    for (const element of [baseUrlField, secretField, formatBoxes]) element.hidden = bedrock;
    baseUrl.required = secret.required = !bedrock;
    baseUrl.disabled = bedrock; // an invalid hidden field would block the form
    endpoint.disabled = !bedrock;
  }
  showFields(before.type);

  function edited() {
    if (bedrock) {
      const { secret: _, ...rest } = before; // native formats stay
      return without({ ...rest, type: "bedrock", region: region.value.trim(), base_url: endpoint.value.trim() });
    }
    const { type: _, region: __, ...rest } = before;
    const chosen = formats.filter((input) => input.checked).map((input) => input.value);
    const row = { ...rest, base_url: baseUrl.value.trim(), secret: secret.value.trim(), formats: chosen };
    if (chosen.join() === "chat" && !before.formats) delete row.formats;
    return row;
  }

  return openDialog(name ? `Provider ${name}` : "Add provider", (close) => {
    function apply(event) {
      event.preventDefault();
      const chosen = nameInput.value.trim();
      if (!name && rows[chosen]) nameField.problem("A provider with this name already exists.");
      else close({ name: chosen, row: edited() });
    }
    return h(
      "form",
      { class: "form", on: { submit: apply } },
      nameField,
      name ? null : segmented("Type", [["openai", "API with a key"], ["bedrock", "Amazon Bedrock"]], "openai", showFields),
      baseUrlField,
      secretField,
      regionField,
      endpointField,
      formatBoxes,
      behaviorEditor(name ?? "the new provider", before, () => {}),
      h("div", { class: "actions" }, name && button("Delete", () => close({ name }), { kind: "quiet danger" }), button("Cancel", () => close()), button(name ? "Apply" : "Add", null, { kind: "primary", type: "submit" })),
    );
  });
}

/** The row without its empty fields. */
const without = (row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== ""));

// Providers: their table cells, and the dialog that adds or edits one.

import { button, field, segmented, select } from "../controls.js";
import { openDialog } from "../dialogs.js";
import { h } from "../dom.js";
import { behaviorEditor } from "./behavior.js";
import { FORMATS } from "./rows.js";

const NATIVE = ["responses", "chat", "messages"]; // Bedrock's own endpoints besides Converse
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
  const native = NATIVE.map((format) => h("input", { type: "checkbox", value: format, checked: bedrock && formatsOf(before).includes(format) }));
  const service = select([["", "bedrock-runtime"], ["mantle", "bedrock-mantle"]], before.endpoint === "mantle" ? "mantle" : "");
  const nameField = field("Name", nameInput);
  const baseUrlField = field("Base URL", baseUrl, { hint: "The part before /chat/completions." });
  const endpoint = h("input", { value: bedrock ? (before.base_url ?? "") : "", type: "url", placeholder: "https://api.example.com" });
  const endpointField = field("Endpoint", endpoint, { hint: "Leave empty for the region's endpoint. A VPC endpoint or proxy may be given; calls are signed for the region." });
  const secretField = field("Secret name", secret, { hint: "An entry of the router's secret, not the key itself." });
  const regionField = field("Region", region, { hint: "Leave empty for the function's region. The function's role signs the calls; no key is needed." });
  const serviceField = field("Service", service, { hint: "bedrock-mantle serves OpenAI's and Anthropic's formats; the stack parameter BedrockProjects grants it." });
  const boxes = (title, inputs, hint) => h("fieldset", {}, h("legend", { class: "label" }, title), h("div", { class: "checks" }, inputs.map((input) => h("label", { class: "check" }, input, input.value))), hint && h("p", { class: "hint" }, hint));
  const formatBoxes = boxes("Formats", formats);
  const nativeBoxes = boxes("Native formats", native, "Without any, models are called through Converse.");

  function showFields(kind) {
    bedrock = kind === "bedrock";
    for (const element of [regionField, endpointField, serviceField, nativeBoxes]) element.hidden = !bedrock;
    for (const element of [baseUrlField, secretField, formatBoxes]) element.hidden = bedrock;
    baseUrl.required = secret.required = !bedrock;
    baseUrl.disabled = bedrock; // an invalid hidden field would block the form
    endpoint.disabled = !bedrock;
  }
  showFields(before.type);

  function edited() {
    if (bedrock) {
      const { secret: _, formats: __, ...rest } = before;
      const row = without({ ...rest, type: "bedrock", region: region.value.trim(), base_url: endpoint.value.trim(), endpoint: service.value });
      const chosen = checkedOf(native);
      return chosen.length ? { ...row, formats: chosen } : row;
    }
    const { type: _, region: __, endpoint: ___, ...rest } = before;
    const chosen = checkedOf(formats);
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
      serviceField,
      endpointField,
      nativeBoxes,
      formatBoxes,
      behaviorEditor(name ?? "the new provider", before, () => {}),
      h("div", { class: "actions" }, name && button("Delete", () => close({ name }), { kind: "quiet danger" }), button("Cancel", () => close()), button(name ? "Apply" : "Add", null, { kind: "primary", type: "submit" })),
    );
  });
}

const checkedOf = (inputs) => inputs.filter((input) => input.checked).map((input) => input.value);

/** The row without its empty fields. */
const without = (row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== ""));

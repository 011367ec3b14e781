// A provider: what the list tells of it, and the dialog that makes or edits one.

import { button, field, segmented } from "../controls.js";
import { openDialog } from "../dialogs.js";
import { h } from "../dom.js";

const FORMATS = ["chat", "responses", "messages", "completions", "embeddings", "moderations", "images", "speech", "transcriptions", "rerank"];
const isBedrock = (row) => row.type === "bedrock";

/** Where it is, which of the router's secrets opens it, and what it speaks. */
export const addressOf = (row) => (isBedrock(row) ? `Amazon Bedrock, ${row.region ?? "the function's own region"}${row.base_url ? `, at ${row.base_url}` : ""}` : row.base_url);
export const secretOf = (row) => row.secret || "the function's role";
export const formatsOf = (row) => (isBedrock(row) ? ["converse"] : (row.formats ?? ["chat"]));

/** Edit provider `name` of `rows`, or make one. Resolves with {name, row}, where no row takes it away, or nothing. */
export function providerDialog(name, rows) {
  const before = rows[name] ?? {};
  let bedrock = isBedrock(before);
  const called = h("input", { value: name ?? "", required: true, disabled: Boolean(name), spellcheck: "false", autocapitalize: "none", autofocus: true });
  const address = h("input", { value: bedrock ? "" : (before.base_url ?? ""), type: "url", placeholder: "https://api.example.com/v1" });
  const secret = h("input", { value: before.secret ?? "", spellcheck: "false", autocapitalize: "none", placeholder: "EXAMPLE_API_KEY" });
  const region = h("input", { value: before.region ?? "", spellcheck: "false", autocapitalize: "none", placeholder: "us-east-1" });
  const formats = FORMATS.map((format) => h("input", { type: "checkbox", value: format, checked: formatsOf(bedrock ? {} : before).includes(format) }));
  const nameField = field("Name", called);
  const addressField = field("Address", address, { hint: "Ends where /chat/completions begins." });
  const endpoint = h("input", { value: bedrock ? (before.base_url ?? "") : "", type: "url", placeholder: "https://api.example.com" });
  const endpointField = field("Endpoint", endpoint, { hint: "Empty: the region's own. Another may be that of a VPC or a proxy; calls are signed for the region all the same." });
  const secretField = field("Name of its secret", secret, { hint: "An entry of the router's secret, never the key itself." });
  const regionField = field("Region", region, { hint: "Empty: the function's own. Its role signs the calls, so there is no key." });
  const speaks = h("fieldset", {}, h("legend", { class: "label" }, "Speaks"), h("div", { class: "checks" }, formats.map((input) => h("label", { class: "check" }, input, input.value))));

  function follow(kind) {
    bedrock = kind === "bedrock";
    for (const element of [regionField, endpointField]) element.hidden = !bedrock;
    for (const element of [addressField, secretField, speaks]) element.hidden = bedrock;
    address.required = secret.required = !bedrock;
    address.disabled = bedrock; // what is hidden and no URL would keep the form from being sent
    endpoint.disabled = !bedrock;
  }
  follow(before.type);

  function edited() {
    if (bedrock) {
      const { secret: _, formats: __, ...rest } = before;
      return without({ ...rest, type: "bedrock", region: region.value.trim(), base_url: endpoint.value.trim() });
    }
    const { type: _, region: __, ...rest } = before;
    const chosen = formats.filter((input) => input.checked).map((input) => input.value);
    const row = { ...rest, base_url: address.value.trim(), secret: secret.value.trim(), formats: chosen };
    if (chosen.join() === "chat" && !before.formats) delete row.formats;
    return row;
  }

  return openDialog(name ? `Provider ${name}` : "New provider", (close) => {
    function keep(event) {
      event.preventDefault();
      const chosen = called.value.trim();
      if (!name && rows[chosen]) nameField.problem("There is a provider of this name already.");
      else close({ name: chosen, row: edited() });
    }
    return h(
      "form",
      { class: "form", on: { submit: keep } },
      nameField,
      name ? null : segmented("What it is", [["openai", "An API with a key"], ["bedrock", "Amazon Bedrock"]], "openai", follow),
      addressField,
      secretField,
      regionField,
      endpointField,
      speaks,
      h("div", { class: "actions" }, name && button("Remove", () => close({ name }), { kind: "quiet danger" }), button("Cancel", () => close()), button("Keep", null, { kind: "primary", type: "submit" })),
    );
  });
}

/** A row without what is empty. */
const without = (row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== ""));

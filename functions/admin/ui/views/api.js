// API: the operations of the admin API and the model API from their OpenAPI documents, each with a curl command.

import { addressOf } from "../address.js";
import { button, copy, empty, failure, segmented, skeleton } from "../controls.js";
import { h, swap } from "../dom.js";
import { api } from "../endpoints.js";
import { plural } from "../format.js";
import { icon } from "../icons.js";
import { once, root, url } from "../session.js";
import { limitsOf, operationsOf, typeOf } from "./openapi.js";
import { curlOf } from "./shell.js";

let searched = ""; // the last search, across changes of view

/** The two OpenAPI documents. `prefix` begins the address of an operation; `key` is the variable that holds the API key. */
const DOCUMENTS = {
  admin: { title: "Admin API", path: "ui/openapi.json", prefix: "#/api", key: "$MASTER_KEY", read: once(api.readAdminDocument), start: adminStart },
  models: { title: "Model API", path: "openapi.json", prefix: "#/api/models", key: "$KEY", read: once(api.readModelDocument), start: modelStart },
};

export async function show(view, { head, parts, query, signal, setAddress }) {
  if (query.has("find")) searched = query.get("find");
  const shown = DOCUMENTS[parts[0] === "models" ? "models" : "admin"];
  const search = h("input", { type: "search", placeholder: "Find by path, word or field", "aria-label": "Find operations", value: searched, maxlength: "100" });
  const found = h("p", { class: "quiet small", role: "status" });
  const list = h("div", { class: "operations" }, skeleton(8));
  head.append(
    segmented("Document", Object.values(DOCUMENTS).map(({ prefix, title }) => [prefix, title]), shown.prefix, (prefix) => (location.hash = prefix)),
    h("a", { class: "button", href: url(shown.path).href, target: "_blank", rel: "noopener" }, "openapi.json"),
  );
  view.append(shown.start(), h("div", { class: "filters" }, search, found), list);

  let operations = null; // a search may be typed before they are loaded
  search.addEventListener("input", () => {
    searched = search.value;
    setAddress(addressOf(shown.prefix.slice(2), { find: searched.trim() }));
    if (operations) draw();
  });
  async function load() {
    try {
      const document = await shown.read();
      if (signal.aborted) return;
      operations = operationsOf(document).map((each) => ({ ...each, key: shown.key, address: `${shown.prefix}/${each.method}${each.path}`, setAddress }));
      draw();
      openLinked(list, `#/api/${parts.join("/")}`);
    } catch (error) {
      if (!signal.aborted) swap(list, failure(error, load));
    }
  }

  function draw() {
    const words = searched.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = operations.filter((each) => words.every((word) => each.text.includes(word)));
    found.textContent = words.length ? `${matching.length} of ${plural(operations.length, "operation")}` : plural(operations.length, "operation");
    swap(list, matching.length ? grouped(matching) : empty("No matching operation", "No path, summary or field contains all of these words.", button("Clear search", clear)));
    function clear() {
      searched = search.value = "";
      setAddress(shown.prefix);
      draw();
      search.focus();
    }
  }

  await load();
}

/** The base URL and how to authenticate. */
function start(address, about, variables) {
  const copied = button("Copy", () => copy(copied, address), { icon: "copy" });
  return h(
    "section",
    { class: "card api-start", "aria-label": "Base URL" },
    h("p", {}, about),
    h("div", { class: "copyable" }, h("code", {}, address), copied),
    h("p", { class: "quiet" }, "Set the variables in the curl commands first: ", variables.map((name, index) => [index ? ", " : "", h("code", {}, name)]), "."),
  );
}

function adminStart() {
  const about = ["Programs can do everything this page does, at this address and with the master key as ", h("code", {}, "Authorization: Bearer"), ". Paths and fields under Keys, Teams, Models and Spend are compatible with LiteLLM."];
  return start(root, about, ["$MASTER_KEY", "$KEY", "$TEAM_ID"]);
}

function modelStart() {
  const about = ["Clients of OpenAI and Anthropic call models at this address with a virtual key. Anthropic's SDKs take it without ", h("code", {}, "/v1"), ". To try a model, use ", h("a", { href: "#/playground" }, "the playground"), "."];
  return start(`${root}/v1`, about, ["$KEY"]);
}

/** Text with words in backticks as code. */
const prose = (text) => (text ?? "").split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));

// --- operations ---

function grouped(operations) {
  const groups = Map.groupBy(operations, (each) => each.tag);
  return [...groups].map(([tag, members]) =>
    h(
      "section",
      { "aria-label": tag },
      h("h2", {}, tag),
      members[0].about && h("p", { class: "quiet group-about" }, prose(members[0].about)),
      h("div", { class: "card operation-list" }, members.map(drawOperation)),
    ),
  );
}

function drawOperation(each) {
  const { method, path, operation, address, setAddress } = each;
  const body = h("div", { class: "operation-body" });
  const element = lazyDetails(
    [h("span", { class: `method ${method}` }, method.toUpperCase()), h("code", {}, path), h("span", { class: "operation-about" }, prose(operation.summary)), icon("down")],
    () => swap(body, details(each)),
    { class: "operation", "data-operation": address },
  );
  element.addEventListener("toggle", () => element.open && element.isConnected && setAddress(address));
  element.append(body);
  return element;
}

/** A <details> whose content is built when it is first opened. */
function lazyDetails(summary, build, props) {
  const element = h("details", props, h("summary", {}, summary));
  element.addEventListener("toggle", () => element.open && build(), { once: true });
  return element;
}

/** Open the operation with this address. */
function openLinked(list, address) {
  const element = [...list.querySelectorAll(".operation")].find((each) => each.dataset.operation === address);
  if (!element) return;
  element.open = true;
  element.scrollIntoView({ block: "start" });
}

const PLACES = { path: "in the path", header: "in a header" };

function details(each) {
  const { operation, parameters, body, reader } = each;
  const line = curlOf(each);
  const copied = button("Copy", () => copy(copied, line), { icon: "copy" });
  const answers = Object.entries(operation.responses ?? {}).map(([status, answer]) => [status, reader.resolved(answer)]);
  return [
    operation.description && h("p", {}, prose(operation.description)),
    h("div", { class: "shell" }, h("pre", { tabindex: "0", role: "group", "aria-label": "curl command" }, h("code", {}, line)), copied),
    parameters.length ? part("Parameters", fieldList(parameters.map((given) => ({ ...given, where: PLACES[given.in] })), reader)) : null,
    body.properties ? part("Body", body.description && h("p", { class: "quiet" }, prose(body.description)), bodyFields(body, reader), body.additionalProperties === true ? h("p", { class: "quiet small" }, "Other fields are accepted too.") : null) : null,
    part("Responses", h("dl", { class: "answers" }, answers.map(([status, answer]) => h("div", {}, h("dt", { class: status < 300 ? "good" : "" }, status), h("dd", {}, kindOf(answer, status), prose(answer.description))))), errorShape(answers, reader)),
  ];
}

const part = (title, ...content) => h("section", {}, h("h3", {}, title), content);

/** The type of a successful response. */
function kindOf(answer, status) {
  const type = answer.content?.["application/json"]?.schema?.type;
  return status < 300 && type ? h("span", { class: "quiet" }, type === "array" ? "A list. " : "An object. ") : null;
}

function errorShape(answers, reader) {
  const failed = answers.find(([status, answer]) => status >= 400 && answer.content);
  return failed ? nested("Error format", reader.resolved(failed[1].content["application/json"].schema), reader) : null;
}

function bodyFields(schema, reader) {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties).map(([name, given]) => ({ name, schema: given, required: required.has(name), description: reader.resolved(given).description, deprecated: reader.resolved(given).deprecated }));
  const own = fields.filter((field) => !field.deprecated).toSorted((a, b) => b.required - a.required);
  const others = fields.filter((field) => field.deprecated);
  return [
    fieldList(own, reader),
    others.length
      ? h("details", { class: "nested" }, h("summary", {}, `${plural(others.length, "LiteLLM field")} without effect`), h("p", { class: "quiet small" }, others[0].description, ":"), h("div", { class: "chips" }, others.map((field) => h("code", { class: "chip" }, field.name))))
      : null,
  ];
}

function fieldList(fields, reader) {
  return h("ul", { class: "api-fields" }, fields.map((field) => drawField(field, reader)));
}

function drawField({ name, schema, required, description, where }, reader) {
  const limits = limitsOf(schema, reader);
  const below = reader.inner(schema);
  return h(
    "li",
    {},
    h("p", {}, h("code", { class: "field-name" }, name), " ", h("span", { class: "quiet" }, typeOf(schema, reader)), where && h("span", { class: "quiet" }, ` ${where}`), required && h("strong", { class: "required" }, " required")),
    description && h("p", { class: "small" }, prose(description)),
    limits && h("p", { class: "quiet small" }, limits),
    below && nested(`Fields${reader.variants(schema).some((each) => each.properties) ? "" : " of each entry"}`, below, reader),
  );
}

function nested(title, schema, reader) {
  const body = h("div", {});
  const element = lazyDetails([title], () => swap(body, schema.description && h("p", { class: "quiet small" }, prose(schema.description)), bodyFields(schema, reader)), { class: "nested" });
  element.append(body);
  return element;
}

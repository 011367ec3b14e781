// API: what programs can do with the router, as /ui/openapi.json describes it, with a line for the shell for each.

import { button, copy, empty, failure, skeleton } from "../controls.js";
import { h, swap } from "../dom.js";
import { api } from "../endpoints.js";
import { plural } from "../format.js";
import { icon } from "../icons.js";
import { once, root, url } from "../session.js";
import { limitsOf, operationsOf, typeOf } from "./openapi.js";
import { curlOf } from "./shell.js";

let wanted = ""; // what was looked for last, kept over a change of view
const described = once(() => api.readDescription());

export async function show(view, { head, parts }) {
  const search = h("input", { type: "search", placeholder: "Find by path, word or field", "aria-label": "Find operations", value: wanted, maxlength: "100" });
  const found = h("p", { class: "quiet small", role: "status" });
  const list = h("div", { class: "operations" }, skeleton(8));
  head.append(h("a", { class: "button", href: url("ui/openapi.json").href, target: "_blank", rel: "noopener" }, "openapi.json"));
  view.append(start(), h("div", { class: "filters" }, search, found), list);

  let operations = null; // once they are read; one need not wait for them to say what one looks for
  search.addEventListener("input", () => {
    wanted = search.value;
    if (operations) draw();
  });
  async function load() {
    try {
      operations = operationsOf(await described());
      draw();
      linked(list, parts);
    } catch (error) {
      swap(list, failure(error, load));
    }
  }

  function draw() {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    const fitting = operations.filter((each) => words.every((word) => each.text.includes(word)));
    found.textContent = words.length ? `${fitting.length} of ${plural(operations.length, "operation")}` : plural(operations.length, "operation");
    swap(list, fitting.length ? grouped(fitting) : empty("No such operation", "No path, summary or field has all of these words.", button("Show all", clear)));
    function clear() {
      wanted = search.value = "";
      draw();
      search.focus();
    }
  }

  await load();
}

/** Where calls go and what they carry. */
function start() {
  const copied = button("Copy", () => copy(copied, root), { icon: "copy" });
  return h(
    "section",
    { class: "card api-start", "aria-label": "Where calls go" },
    h("p", {}, "All that this page does, programs can do too, at this address and with the master key as ", h("code", {}, "Authorization: Bearer"), ". The paths and fields under Keys, Teams, Models and Spend are LiteLLM's."),
    h("div", { class: "copyable" }, h("code", {}, root), copied),
    h("p", { class: "quiet" }, "In the lines for your shell ", h("code", {}, "$MASTER_KEY"), ", ", h("code", {}, "$KEY"), " and the like are variables to be set before. Models are not called here but under ", h("code", {}, "/v1"), ", with a virtual key and in OpenAI's or Anthropic's formats: ", h("code", {}, "/v1/chat/completions"), ", ", h("code", {}, "/v1/responses"), ", ", h("code", {}, "/v1/messages"), ", ", h("code", {}, "/v1/embeddings"), " and others; ", h("a", { href: "#/playground" }, "the playground"), " does so."),
  );
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

const addressOf = ({ method, path }) => `#/api/${method}${path}`;

function drawOperation(each) {
  const { method, path, operation } = each;
  const body = h("div", { class: "operation-body" });
  const element = unfolding(
    [h("span", { class: `method ${method}` }, method.toUpperCase()), h("code", {}, path), h("span", { class: "operation-about" }, prose(operation.summary)), icon("down")],
    () => swap(body, details(each)),
    { class: "operation", "data-operation": addressOf(each) },
  );
  element.addEventListener("toggle", () => element.open && element.isConnected && history.replaceState(null, "", addressOf(each)));
  element.append(body);
  return element;
}

/** A <details> whose inside is made when it is first opened. */
function unfolding(summary, make, props) {
  const element = h("details", props, h("summary", {}, summary));
  element.addEventListener("toggle", () => element.open && make(), { once: true });
  return element;
}

/** Open the operation that the address names. */
function linked(list, parts) {
  const address = `#/api/${parts.join("/")}`;
  const element = parts.length ? [...list.querySelectorAll(".operation")].find((each) => each.dataset.operation === address) : null;
  if (!element) return;
  element.open = true;
  element.scrollIntoView({ block: "start" });
}

function details(each) {
  const { operation, body, reader } = each;
  const line = curlOf(each);
  const copied = button("Copy", () => copy(copied, line), { icon: "copy" });
  const answers = Object.entries(operation.responses ?? {});
  return [
    operation.description && h("p", {}, prose(operation.description)),
    h("div", { class: "shell" }, h("pre", { tabindex: "0", role: "group", "aria-label": "For your shell" }, h("code", {}, line)), copied),
    operation.parameters?.length ? part("Parameters", fieldList(operation.parameters.map((given) => ({ ...given, where: given.in === "path" ? "in the path" : "" })), reader)) : null,
    body.properties ? part("Body", body.description && h("p", { class: "quiet" }, prose(body.description)), bodyFields(body, reader), body.additionalProperties === true ? h("p", { class: "quiet small" }, "Other fields are taken too.") : null) : null,
    part("Answers", h("dl", { class: "answers" }, answers.map(([status, answer]) => h("div", {}, h("dt", { class: status < 300 ? "good" : "" }, status), h("dd", {}, kindOf(answer, status), prose(answer.description))))), errorShape(answers, reader)),
  ];
}

const part = (title, ...content) => h("section", {}, h("h3", {}, title), content);

/** What comes back: an object or a list; of errors that is said once. */
function kindOf(answer, status) {
  const type = answer.content?.["application/json"]?.schema?.type;
  return status < 300 && type ? h("span", { class: "quiet" }, type === "array" ? "A list. " : "An object. ") : null;
}

function errorShape(answers, reader) {
  const failed = answers.find(([status, answer]) => status >= 400 && answer.content);
  return failed ? nested("What an error looks like", reader.resolved(failed[1].content["application/json"].schema), reader) : null;
}

function bodyFields(schema, reader) {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties).map(([name, given]) => ({ name, schema: given, required: required.has(name), description: reader.resolved(given).description, deprecated: reader.resolved(given).deprecated }));
  const own = fields.filter((field) => !field.deprecated).toSorted((a, b) => b.required - a.required);
  const others = fields.filter((field) => field.deprecated);
  return [
    fieldList(own, reader),
    others.length
      ? h("details", { class: "nested" }, h("summary", {}, `${plural(others.length, "field")} of LiteLLM's that must say nothing`), h("p", { class: "quiet small" }, others[0].description, ":"), h("div", { class: "chips" }, others.map((field) => h("code", { class: "chip" }, field.name))))
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
    below && nested(`What ${reader.variants(schema).some((each) => each.properties) ? "it" : "each"} holds`, below, reader),
  );
}

function nested(title, schema, reader) {
  const body = h("div", {});
  const element = unfolding([title], () => swap(body, schema.description && h("p", { class: "quiet small" }, prose(schema.description)), bodyFields(schema, reader)), { class: "nested" });
  element.append(body);
  return element;
}

// API: what programs can do with the router, as /ui/openapi.json describes it, with a line for the shell for each.

import { get, once, url } from "../api.js";
import { button, copy, empty, failure, h, icon, skeleton, swap } from "../dom.js";
import { count, plural } from "../format.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
let wanted = ""; // what was looked for last, kept over a change of view
const described = once(() => get("ui/openapi.json"));
const root = url("").href.replace(/\/$/, "");

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

// --- what is described ---

/** Every operation with its tag, its path and a text to be found by. */
function operationsOf(document) {
  const reader = readerOf(document);
  const about = new Map((document.tags ?? []).map((tag) => [tag.name, tag.description]));
  const order = [...about.keys()];
  return Object.entries(document.paths)
    .flatMap(([path, methods]) => METHODS.filter((method) => method in methods).map((method) => [path, method, methods[method]]))
    .map(([path, method, operation]) => {
      const tag = operation.tags?.[0] ?? "Others";
      const body = reader.resolved(operation.requestBody?.content?.["application/json"]?.schema);
      const fields = [...(operation.parameters ?? []).map((each) => each.name), ...Object.keys(body.properties ?? {})];
      const text = [method, path, tag, operation.summary, operation.description, ...fields].join(" ").toLowerCase();
      return { tag, about: about.get(tag), path, method, operation, body, reader, text };
    })
    .toSorted((a, b) => order.indexOf(a.tag) - order.indexOf(b.tag));
}

/** What follows a description's references. */
function readerOf(document) {
  function resolved(schema) {
    if (!schema?.$ref) return schema ?? {};
    const { $ref, ...beside } = schema;
    const target = $ref.slice(2).split("/").reduce((place, name) => place?.[name], document);
    return { ...resolved(target), ...beside };
  }

  /** What a value may be besides null. */
  function variants(schema) {
    const { anyOf, ...beside } = resolved(schema);
    return anyOf ? anyOf.map(resolved).filter((each) => each.type !== "null").map((each) => ({ ...each, ...beside })) : [beside];
  }

  /** The object that is in a value: itself, what a list has of, or what stands behind an object's names. */
  function inner(schema) {
    for (const each of variants(schema)) {
      if (each.properties) return each;
      const below = each.items ?? (typeof each.additionalProperties === "object" ? each.additionalProperties : null);
      const found = below && inner(below);
      if (found) return found;
    }
    return null;
  }

  return { resolved, variants, inner };
}

// --- types in words ---

/** A schema's type: "text or null", "list of text", "one of asc, desc". */
function typeOf(schema, reader) {
  const { anyOf, ...given } = reader.resolved(schema);
  if (anyOf) return [...new Set(anyOf.map((each) => typeOf(each, reader)))].join(" or ");
  if (given.enum) return `one of ${given.enum.join(", ")}`;
  if (given.const !== undefined) return JSON.stringify(given.const);
  if (Array.isArray(given.type)) return given.type.map((type) => WORDS[type] ?? type).join(" or ");
  if (given.type === "array") return `list of ${typeOf(given.items, reader)}`;
  if (given.type === "object" && typeof given.additionalProperties === "object") return `${typeOf(given.additionalProperties, reader)}s by name`;
  return WORDS[given.type] ?? given.type ?? "anything";
}

const WORDS = { string: "text", integer: "whole number", number: "number", boolean: "true or false", object: "object", null: "null" };

/** What a value has to keep to, in words. */
function limitsOf(schema, reader) {
  const told = [];
  for (const each of reader.variants(schema)) {
    told.push(...boundsOf(each));
    const items = each.items && boundsOf(reader.resolved(each.items));
    if (items?.length) told.push(`each ${items.join(", ")}`);
  }
  const { default: standard } = reader.resolved(schema);
  if (standard !== undefined && standard !== null && standard !== "") told.push(`${JSON.stringify(standard)} if left out`);
  return told.join("; ");
}

function boundsOf(schema) {
  const told = [between(schema.minLength, schema.maxLength, "character"), between(schema.minItems, schema.maxItems, "entry", "entries")];
  if (schema.exclusiveMinimum !== undefined) told.push(`more than ${count(schema.exclusiveMinimum)}`);
  const range = between(schema.minimum, schema.maximum);
  told.push(range, schema.pattern && `fits ${schema.pattern}`);
  return told.filter(Boolean);
}

function between(least, most, unit, units) {
  if (least === undefined && most === undefined) return null;
  const words = (number) => (unit ? plural(number, unit, units) : count(number));
  if (most === undefined) return `${words(least)} or more`;
  if (!least) return least === 0 && !unit ? `0 to ${words(most)}` : `up to ${words(most)}`;
  return least === most ? words(most) : `${count(least)} to ${words(most)}`;
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

// --- for the shell ---

/** A curl line that works as it stands, once its variables are set. */
function curlOf({ method, path, operation, body, reader }) {
  const address = root + path.replace(/\{(\w+)\}/g, (_, name) => variable(name));
  const queries = (operation.parameters ?? []).filter((each) => each.in === "query" && each.required);
  const words = [["curl", queries.length ? "-G" : method === "get" || body.properties ? null : `-X ${method.toUpperCase()}`, method === "put" ? "-X PUT" : null, shell(address)].filter(Boolean).join(" ")];
  if (!operation.security) words.push('-H "Authorization: Bearer $MASTER_KEY"');
  else words.push(operation.security.some((each) => Object.keys(each).length) ? "-b cookies.txt" : "-c cookies.txt");
  for (const each of queries) words.push(`--data-urlencode ${shell(`${each.name}=${variable(each.name)}`)}`);
  if (body.properties) words.push("-H 'Content-Type: application/json'", `-d ${shell(written(exampleOf(operation, body, reader)))}`);
  return words.join(" \\\n  ");
}

const variable = (name) => `$${name.toUpperCase()}`;

/** A body to begin from: the description's own example, else what is required. What the path names is not said again. */
function exampleOf(operation, body, reader) {
  const inPath = new Set((operation.parameters ?? []).filter((each) => each.in === "path").map((each) => each.name));
  const required = Object.fromEntries((body.required ?? []).map((name) => [name, reader.resolved(body.properties[name]).default ?? variable(name)]));
  return Object.fromEntries(Object.entries(body.examples?.[0] ?? required).filter(([name]) => !inPath.has(name)));
}

/** JSON in one line, or with a line for each of its names where it is long. */
function written(value) {
  const inline = (each) => JSON.stringify(each, null, 1).replace(/\n */g, " ").replace(/([{[]) | ([}\]])/g, "$1$2");
  const line = inline(value);
  if (line.length <= 80) return line;
  return `{\n${Object.entries(value).map(([name, each]) => `    ${JSON.stringify(name)}: ${inline(each)}`).join(",\n")}\n  }`;
}

/** Text as one word of a shell, in which variables such as $KEY are filled in. */
function shell(text) {
  return text
    .split(/(\$[A-Z][A-Z_]*)/)
    .map((part, index) => (index % 2 ? `"${part}"` : /^[\w/:.,@%+=-]*$/.test(part) ? part : `'${part.replaceAll("'", String.raw`'\''`)}'`))
    .join("");
}

// An OpenAPI document: its operations, its references, and its types in words.

import { count, plural } from "../format.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Every operation with its tag, path, and searchable text. */
export function operationsOf(document) {
  const reader = readerOf(document);
  const about = new Map((document.tags ?? []).map((tag) => [tag.name, tag.description]));
  const order = [...about.keys()];
  return Object.entries(document.paths)
    .flatMap(([path, methods]) => METHODS.filter((method) => method in methods).map((method) => [path, method, methods[method]]))
    .map(([path, method, operation]) => {
      const tag = operation.tags?.[0] ?? "Others";
      const parameters = [...(document.paths[path].parameters ?? []), ...(operation.parameters ?? [])].map(reader.resolved);
      const content = reader.resolved(operation.requestBody).content ?? {};
      const type = ["application/json", "multipart/form-data"].find((each) => each in content);
      const body = reader.resolved(content[type]?.schema);
      const example = content[type]?.example ?? Object.values(content[type]?.examples ?? {})[0]?.value ?? body.examples?.[0];
      const security = securityOf(operation.security ?? document.security ?? [], document);
      const fields = [...parameters.map((each) => each.name), ...Object.keys(body.properties ?? {})];
      const text = [method, path, tag, operation.summary, operation.description, ...fields].join(" ").toLowerCase();
      return { tag, about: about.get(tag), path, method, operation, parameters, body, type, example, security, reader, text };
    })
    .toSorted((a, b) => order.indexOf(a.tag) - order.indexOf(b.tag));
}

/** How an operation is authorised: "key", "cookie", or "none". */
function securityOf(alternatives, document) {
  const schemes = alternatives.flatMap(Object.keys).map((name) => document.components.securitySchemes[name]);
  return !schemes.length ? "none" : schemes.every((scheme) => scheme.in === "cookie") ? "cookie" : "key";
}

/** A reader that resolves the document's references. */
function readerOf(document) {
  function resolved(schema) {
    const { $ref, allOf = [], ...beside } = schema ?? {};
    const target = $ref?.slice(2).split("/").reduce((place, name) => place?.[name], document);
    const parts = [...($ref ? [target] : []), ...allOf].map(resolved);
    const properties = Object.assign({}, ...parts.map((each) => each.properties), beside.properties);
    return Object.assign({}, ...parts, beside, Object.keys(properties).length ? { properties } : null);
  }

  /** The alternatives of a value, without null. */
  function variants(schema) {
    const { anyOf: any, oneOf: anyOf = any, ...beside } = resolved(schema);
    return anyOf ? anyOf.map(resolved).filter((each) => each.type !== "null").map((each) => ({ ...each, ...beside })) : [beside];
  }

  /** The object schema inside a value: the value, the items of a list, or the values of a map. */
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

/** A schema's type: "text or null", "list of text", "one of asc, desc". */
export function typeOf(schema, reader) {
  const { anyOf: any, oneOf: anyOf = any, ...given } = reader.resolved(schema);
  if (anyOf) return [...new Set(anyOf.map((each) => typeOf(each, reader)))].join(" or ");
  if (given.enum) return `one of ${given.enum.join(", ")}`;
  if (given.const !== undefined) return JSON.stringify(given.const);
  if (Array.isArray(given.type)) return given.type.map((type) => WORDS[type] ?? type).join(" or ");
  if (given.type === "array") return `list of ${typeOf(given.items, reader)}`;
  if (given.type === "object" && typeof given.additionalProperties === "object") return `${typeOf(given.additionalProperties, reader)}s by name`;
  return WORDS[given.type] ?? given.type ?? "anything";
}

const WORDS = { string: "text", integer: "whole number", number: "number", boolean: "true or false", object: "object", null: "null" };

/** The bounds and the default of a value, in words. */
export function limitsOf(schema, reader) {
  const parts = [];
  for (const each of reader.variants(schema)) {
    parts.push(...boundsOf(each));
    const items = each.items && boundsOf(reader.resolved(each.items));
    if (items?.length) parts.push(`each ${items.join(", ")}`);
  }
  const { default: standard } = reader.resolved(schema);
  if (standard !== undefined && standard !== null && standard !== "") parts.push(`default ${JSON.stringify(standard)}`);
  return parts.join("; ");
}

function boundsOf(schema) {
  const parts = [between(schema.minLength, schema.maxLength, "character"), between(schema.minItems, schema.maxItems, "entry", "entries")];
  if (schema.exclusiveMinimum !== undefined) parts.push(`more than ${count(schema.exclusiveMinimum)}`);
  const range = between(schema.minimum, schema.maximum);
  parts.push(range, schema.pattern && `matches ${schema.pattern}`);
  return parts.filter(Boolean);
}

function between(least, most, unit, units) {
  if (least === undefined && most === undefined) return null;
  const words = (number) => (unit ? plural(number, unit, units) : count(number));
  if (most === undefined) return `${words(least)} or more`;
  if (!least) return least === 0 && !unit ? `0 to ${words(most)}` : `up to ${words(most)}`;
  return least === most ? words(most) : `${count(least)} to ${words(most)}`;
}


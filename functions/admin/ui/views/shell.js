// A curl command for an operation of an OpenAPI document.

import { root } from "../session.js";

/** A curl command that works as shown once its variables are set. */
export function curlOf({ method, path, operation, body, reader }) {
  const address = root + path.replace(/\{(\w+)\}/g, (_, name) => variable(name));
  const queries = (operation.parameters ?? []).filter((each) => each.in === "query" && each.required);
  const words = [["curl", queries.length ? "-G" : method === "get" || body.properties ? null : `-X ${method.toUpperCase()}`, method === "put" ? "-X PUT" : null, shell(address)].filter(Boolean).join(" ")];
  if (!operation.security) words.push('-H "Authorization: Bearer $MASTER_KEY"');
  else words.push(operation.security.some((each) => Object.keys(each).length) ? "-b cookies.txt" : "-c cookies.txt");
  for (const each of queries) words.push(`--data-urlencode ${shell(`${each.name}=${variable(each.name)}`)}`);
  if (body.properties) words.push("-H 'Content-Type: application/json'", `-d ${shell(formatted(exampleOf(operation, body, reader)))}`);
  return words.join(" \\\n  ");
}

const variable = (name) => `$${name.toUpperCase()}`;

/** An example body: the document's own, else the required fields; without the path's parameters. */
function exampleOf(operation, body, reader) {
  const inPath = new Set((operation.parameters ?? []).filter((each) => each.in === "path").map((each) => each.name));
  const required = Object.fromEntries((body.required ?? []).map((name) => [name, reader.resolved(body.properties[name]).default ?? variable(name)]));
  return Object.fromEntries(Object.entries(body.examples?.[0] ?? required).filter(([name]) => !inPath.has(name)));
}

/** JSON on one line, or one line per name if it is long. */
function formatted(value) {
  const inline = (each) => JSON.stringify(each, null, 1).replace(/\n */g, " ").replace(/([{[]) | ([}\]])/g, "$1$2");
  const line = inline(value);
  if (line.length <= 80) return line;
  return `{\n${Object.entries(value).map(([name, each]) => `    ${JSON.stringify(name)}: ${inline(each)}`).join(",\n")}\n  }`;
}

/** Quote text as one shell word, in which variables such as $KEY are expanded. */
function shell(text) {
  return text
    .split(/(\$[A-Z][A-Z_]*)/)
    .map((part, index) => (index % 2 ? `"${part}"` : /^[\w/:.,@%+=-]*$/.test(part) ? part : `'${part.replaceAll("'", String.raw`'\''`)}'`))
    .join("");
}

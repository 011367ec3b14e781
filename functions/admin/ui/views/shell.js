// A curl command for an operation of an OpenAPI document.

import { root } from "../session.js";

/** A curl command that works as shown once its variables are set. */
export function curlOf({ method, path, parameters, body, type, example, security, key, reader }) {
  const address = root + path.replace(/\{(\w+)\}/g, (_, name) => variable(name));
  const queries = parameters.filter((each) => each.in === "query" && (each.required || exampleOf(each)));
  const implied = queries.length || method === "get" ? "get" : type ? "post" : null; // by curl
  const words = [["curl", queries.length && "-G", method !== implied && `-X ${method.toUpperCase()}`, shell(address)].filter(Boolean).join(" ")];
  if (security === "key") words.push(`-H "Authorization: Bearer ${key}"`);
  else if (security === "cookie") words.push("-b cookies.txt");
  else if (path.endsWith("/sign-in")) words.push("-c cookies.txt");
  for (const each of queries) words.push(`--data-urlencode ${shell(`${each.name}=${exampleOf(each) ?? variable(each.name)}`)}`);
  const sent = bodyOf(parameters, body, example, reader);
  if (type === "application/json") words.push("-H 'Content-Type: application/json'", `-d ${shell(formatted(sent))}`);
  else for (const [name, value] of Object.entries(type ? sent : {})) words.push(`-F ${shell(`${name}=${value}`)}`);
  return words.join(" \\\n  ");
}

const exampleOf = ({ example, schema }) => example ?? schema?.examples?.[0];

const variable = (name) => `$${name.toUpperCase()}`;

/** An example body: the document's own, else the required fields; without the path's parameters. */
function bodyOf(parameters, body, example, reader) {
  const inPath = new Set(parameters.filter((each) => each.in === "path").map((each) => each.name));
  const required = (body.required ?? []).map((name) => [name, valueOf(name, reader.resolved(body.properties?.[name]))]);
  return Object.fromEntries((example ? Object.entries(example) : required).filter(([name]) => !inPath.has(name)));
}

/** The value of a required field: its default, or a variable; a file's content in a form is written as @. */
const valueOf = (name, schema) => schema.default ?? `${schema.format === "binary" ? "@" : ""}${variable(name)}`;

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

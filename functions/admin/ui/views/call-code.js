// A request of the playground as code.

import { button, copy, segmented } from "../controls.js";
import { openDialog } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { root } from "../session.js";

/** Show the code that sends `body`. The key is read from the environment; pictures are shortened. */
export function callDialog(body) {
  const shown = JSON.parse(JSON.stringify(body, (name, value) => (name === "url" && typeof value === "string" && value.startsWith("data:") ? `${value.slice(0, 30)}…` : value)));
  const written = { curl: curl(shown), Python: python(shown), JavaScript: javascript(shown) };
  const place = h("div", {});
  const show = (name) => {
    const control = button("Copy", () => copy(control, written[name]), { icon: "copy" });
    swap(place, h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": name }, h("code", {}, written[name])), h("div", { class: "actions" }, control));
  };
  show("curl");
  return openDialog("This call as code", () => [segmented("Language", Object.keys(written).map((name) => [name, name]), "curl", show), place], { wide: true, describe: "Set VIBE_KEY to a key. A picture is shortened." });
}

const curl = (body) => `curl ${root}/v1/chat/completions \\
  -H "Authorization: Bearer $VIBE_KEY" \\
  -H "Content-Type: application/json" \\
  -d '${JSON.stringify(body, null, 2).replaceAll("'", "'\\''")}'`;

const PARAMETERS = ["model", "messages", "temperature", "top_p", "max_tokens", "seed", "reasoning_effort", "stop", "n", "tools", "tool_choice", "response_format", "presence_penalty", "frequency_penalty", "user", "metadata"];

/** The fields as arguments of the SDK: those it does not know are its `extra_body`. */
function argumentsOf(body) {
  const known = Object.entries(body).filter(([name]) => PARAMETERS.includes(name));
  const others = Object.entries(body).filter(([name]) => !PARAMETERS.includes(name));
  return others.length ? [...known, ["extra_body", Object.fromEntries(others)]] : known;
}

const python = (body) => `import os
from openai import OpenAI

client = OpenAI(base_url="${root}/v1", api_key=os.environ["VIBE_KEY"])
answer = client.chat.completions.create(
${argumentsOf(body).map(([name, value]) => `    ${name}=${literal(value, 1)},\n`).join("")})
print(answer.choices[0].message.content)`;

const javascript = (body) => `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${root}/v1", apiKey: process.env.VIBE_KEY });
const answer = await client.chat.completions.create(${JSON.stringify(body, null, 2)});
console.log(answer.choices[0].message.content);`;

/** A JSON value in Python. */
function literal(value, depth) {
  const indent = "    ".repeat(depth + 1);
  const end = "    ".repeat(depth);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return value.length ? `[\n${value.map((each) => `${indent}${literal(each, depth + 1)},\n`).join("")}${end}]` : "[]";
  if (typeof value === "object") return Object.keys(value).length ? `{\n${Object.entries(value).map(([name, each]) => `${indent}${JSON.stringify(name)}: ${literal(each, depth + 1)},\n`).join("")}${end}}` : "{}";
  return JSON.stringify(value);
}

// Snippets for clients that use a new key: shell, SDKs and coding agents.

import { root } from "../session.js";

/** The models among `names` that a key's models and patterns allow; all of them for a key without any. */
export function allowedNames(allowed, names) {
  if (!allowed?.length) return names;
  const patterns = allowed.map((each) => new RegExp(`^${each.split("*").map(escaped).join(".*")}$`));
  return names.filter((name) => patterns.some((pattern) => pattern.test(name)));
}

const escaped = (text) => text.replace(/[^\w]/g, "\\$&");

/** Snippets by client: {text, where}; `where` says where the text belongs. */
export function snippetsFor(key, models) {
  const pick = (...parts) => parts.map((part) => models.find((name) => name.endsWith(part))).find(Boolean) ?? models[0] ?? "MODEL";
  const chat = pick("chat");
  const claude = pick("claude", "chat");
  const codex = pick("codex", "chat");
  return {
    curl: {
      where: "In a shell",
      text: `curl ${root}/v1/chat/completions \\
  -H "Authorization: Bearer ${key}" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "${chat}", "messages": [{"role": "user", "content": "Hello"}]}'`,
    },
    "OpenAI SDK": {
      where: "Python, with the package openai",
      text: `from openai import OpenAI

client = OpenAI(base_url="${root}/v1", api_key="${key}")
answer = client.chat.completions.create(
    model="${chat}",
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)`,
    },
    "Anthropic SDK": {
      where: "Python, with the package anthropic",
      text: `from anthropic import Anthropic

client = Anthropic(base_url="${root}", api_key="${key}")
answer = client.messages.create(
    model="${claude}",
    max_tokens=1024,
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.content[0].text)`,
    },
    "Claude Code": {
      where: "In a shell",
      text: `export ANTHROPIC_BASE_URL=${root}
export ANTHROPIC_AUTH_TOKEN=${key}
export ANTHROPIC_MODEL=${claude}
export ANTHROPIC_DEFAULT_HAIKU_MODEL=${pick("claude-mini", "claude", "chat-mini", "chat")}
claude`,
    },
    Codex: {
      where: "In ~/.codex/config.toml",
      text: `# In the shell: export VIBE_KEY=${key}
model = "${codex}"
model_provider = "vibe"

[model_providers.vibe]
name = "Vibe Router"
base_url = "${root}/v1"
env_key = "VIBE_KEY"
wire_api = "responses"`,
    },
  };
}

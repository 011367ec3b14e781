// A test of a provider: one small, real call through the router to a deployment of it, with a key for that alone.

import { busy, button, empty, field, select } from "../controls.js";
import { openDialog } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { providerTest as api } from "../endpoints.js";
import { ms, verdict } from "../format.js";
import { icon } from "../icons.js";
import { FORMATS, idOf, stepsOf } from "./rows.js";

const MINUTES = 10; // that the key of a test is valid for
const FRESH = 1200; // milliseconds after which the router has read that a cooldown was cleared
const TALKING = ["chat", "responses", "messages", "completions", "converse"];
const CALLS = [
  [(format) => TALKING.includes(format), "v1/chat/completions", { messages: [{ role: "user", content: "Reply with the word ready." }], max_tokens: 64 }],
  [(format) => format === "embeddings", "v1/embeddings", { input: "ready" }],
  [(format) => format === "moderations", "v1/moderations", { input: "ready" }],
  [(format) => format === "rerank", "v1/rerank", { query: "ready", documents: ["ready", "not ready"] }],
  [(format) => format === "speech", "v1/audio/speech", { input: "Ready.", voice: "alloy" }],
  [(format) => format === "images", "v1/images/generations", { prompt: "A dot", n: 1 }],
];

/** Offer a test of provider `name` of the saved routes. */
export function testDialog(name, { providers, models }, formatsOf) {
  const members = new Map();
  for (const row of Object.values(models)) for (const member of stepsOf(row).flat()) if (member.provider === name && member.enabled !== false) members.set(idOf(member), member);
  const formats = (id) => members.get(id).formats ?? formatsOf(providers[name]);
  const callOf = (id) => CALLS.find(([fits]) => formats(id).some(fits));
  const ids = [...members.keys()].filter(callOf).sort();
  if (!ids.length) {
    const reason = members.size ? `Deployments of ${name} take files (${FORMATS.filter((format) => [...members.keys()].some((id) => formats(id).includes(format))).join(", ")}), which cannot be tested here.` : "Add a model of this provider to a chain and save the routes first.";
    return openDialog(`Test ${name}`, () => empty("Nothing to test yet", reason));
  }
  const created = { key: null };
  const deployment = select(ids, ids[0], {});
  const result = h("div", { role: "status" });

  async function run() {
    swap(result, h("p", { class: "quiet" }, "Waiting for the answer…"));
    const id = deployment.value;
    const [, path, body] = callOf(id);
    const started = performance.now();
    try {
      created.key ??= (await api.createKey({ key_alias: `test of ${name} ${new Date().toISOString().slice(0, 19).replace("T", " ")}`, duration: `${MINUTES}m`, models: ids, tags: ["test"] })).key;
      const response = await api.send(created.key, path, { model: id, ...body });
      const isJson = response.headers.get("content-type")?.startsWith("application/json");
      const answer = isJson ? await response.json().catch(() => null) : await response.blob().then(({ size }) => ({ size }));
      swap(result, response.ok ? success(id, answer, performance.now() - started, response) : failed(id, answer, response));
    } catch (error) {
      swap(result, notice("bad", error.message));
    }
  }

  async function clearAndRun(id) {
    try {
      await api.clearCooldown(id);
    } catch (error) {
      return swap(result, notice("bad", error.message));
    }
    await new Promise((resolve) => setTimeout(resolve, FRESH));
    return run();
  }

  function failed(id, answer, response) {
    const error = answer?.error ?? {};
    const attempt = error.attempts?.at(-1);
    const control = button("Clear the cooldown and test again", () => busy(control, () => clearAndRun(id)));
    return notice(
      "bad",
      h("p", {}, h("strong", {}, attempt?.status ? `The provider answered with ${attempt.status}. ` : `The router answered with ${response.status}. `), attempt ? `${verdict(attempt.verdict)}. ` : null, error.message ?? ""),
      control,
      details(response),
    );
  }

  const start = button("Test", () => busy(start, run), { kind: "primary", icon: "send" });
  return openDialog(
    `Test ${name}`,
    (close) =>
      h(
        "div",
        { class: "form" },
        field("Deployment", deployment, { hint: "As saved: an edit is tested after it is saved." }),
        result,
        h("div", { class: "actions" }, button("Close", () => close()), start),
      ),
    { describe: `One small, real call through the router, with a key for this alone that is valid for ${MINUTES} minutes. It is booked like any other.` },
  );
}

function success(id, answer, total, response) {
  const text = answer?.choices?.[0]?.message?.content;
  return notice(
    "good",
    h("p", {}, h("strong", {}, `${id} answered in ${ms(total)}.`)),
    typeof text === "string" && text ? h("p", { class: "quiet" }, `“${text.slice(0, 200)}”`) : null,
    details(response),
  );
}

const notice = (kind, ...children) => h("div", { class: `notice ${kind}` }, icon(kind === "good" ? "check" : "warn"), h("div", {}, children));

function details(response) {
  const id = response.headers.get("x-vibe-request-id");
  return id && h("p", {}, h("a", { href: `#/requests/${encodeURIComponent(id)}` }, "Request details"));
}

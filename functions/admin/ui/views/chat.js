// A streamed chat completion, as any client would read it.

import { playground as api } from "../endpoints.js";

/** Send `body`, and read the stream into `answer`, calling `redraw` as it grows. Throws AbortError. */
export async function readAnswer(key, body, answer, signal, redraw) {
  const { facts } = answer;
  const started = performance.now();
  let response;
  try {
    response = await api.complete(key, { ...body, stream: true, stream_options: { include_usage: true } }, signal);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The router can't be reached. Check the connection, then try again.");
  }
  facts.deployment = response.headers.get("x-vibe-deployment");
  facts.attempts = response.headers.get("x-vibe-attempts");
  facts.fallbacks = response.headers.get("x-vibe-fallbacks");
  facts.request = response.headers.get("x-vibe-request-id");
  facts.routing = response.headers.get("x-vibe-routing")?.split(";")[0];
  facts.key = key;
  if (!response.ok || !response.body) {
    const reported = await response.json().catch(() => null);
    answer.error = { message: reported?.error?.message ?? `The router answered with ${response.status}.`, attempts: reported?.error?.attempts, retryAfter: response.headers.get("retry-after") };
    facts.total = performance.now() - started;
    return;
  }
  let scheduled = false;
  const scheduleRedraw = () => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => ((scheduled = false), answer.open && redraw()));
  };
  let ended = false;
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") {
        ended = true;
        continue;
      }
      const chunk = parsed(data);
      if (chunk?.error) {
        answer.error = { message: chunk.error.message ?? "The stream ended with an error.", attempts: chunk.error.attempts };
        ended = true;
      }
      if (chunk?.usage) facts.usage = chunk.usage;
      const delta = chunk?.choices?.[0]?.delta ?? {};
      const thought = delta.reasoning_content ?? delta.reasoning;
      if ((delta.content || thought) && facts.ttft === undefined) facts.ttft = performance.now() - started;
      if (typeof thought === "string") answer.reasoning = (answer.reasoning ?? "") + thought;
      if (typeof delta.content === "string") answer.content += delta.content;
      scheduleRedraw();
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    answer.error = { message: "The connection to the router was lost." };
    ended = true;
  } finally {
    facts.total = performance.now() - started;
  }
  if (!ended) answer.error = { message: "The stream ended without [DONE]: the answer may be incomplete." };
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

/** The data of each server-sent event; comments are skipped. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const found = rest.split(/\r?\n\r?\n/);
    rest = found.pop();
    for (const event of found) {
      const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length) yield data.join("\n");
    }
  }
}

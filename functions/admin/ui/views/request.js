// The details of one request: its attempts, and why it was routed that way.

import { h } from "../dom.js";
import { archiveUrl } from "../endpoints.js";
import { count, fullTime, money, ms, NONE, plural, timeOf, verdict } from "../format.js";

export const names = new Map(); // key id → name; filled by the list
export const teams = new Map(); // team id → name

export const keyOf = (row) => (row.key === "master" ? "master key" : (row.key_alias ?? names.get(row.key) ?? row.key?.slice(0, 8) ?? NONE));

export const succeeded = (attempt) => !attempt.verdict || attempt.verdict === "ok" || attempt.verdict === "success";

export function drawRequest(row) {
  const attempts = row.attempts ?? [];
  return [
    h("p", { class: "request-lead" }, summary(row)),
    row.error && h("p", { class: "evidence" }, row.error),
    h(
      "ol",
      { class: "attempts" },
      (row.cooling ?? []).map((deployment) => h("li", { class: "skipped" }, h("h3", { class: "mono" }, deployment), h("p", {}, "Skipped: it was cooling down."))),
      attempts.map((attempt, index) => h("li", { class: succeeded(attempt) ? "ok" : "bad" }, h("h3", { class: "mono" }, attempt.deployment), attemptSentences(attempt, attempts[index + 1], row).map((sentence) => h("p", {}, sentence)))),
      attempts.length ? null : noCall(row),
    ),
    h(
      "dl",
      { class: "facts" },
      fact("Time", fullTime(row.at)),
      fact("Model", row.requested_model ? `${row.model}, requested as ${row.requested_model}` : row.model),
      fact("Served by", row.provider_model ?? row.deployment),
      fact("Key", keyOf(row)),
      fact("Team", row.team && (teams.get(row.team) ?? row.team)),
      fact("Owner", row.user),
      fact("Tags", row.tags?.length ? row.tags.join(", ") : null),
      fact("Format", row.format && `${row.format}${row.stream ? ", streamed" : ""}`),
      fact("Tokens in", row.prompt_tokens !== null ? count(row.prompt_tokens) : null),
      fact("Cached tokens", row.cached_tokens ? count(row.cached_tokens) : null),
      fact("Tokens out", row.completion_tokens !== null ? count(row.completion_tokens) : null),
      fact("Reasoning tokens", row.reasoning_tokens ? count(row.reasoning_tokens) : null),
      fact("Budget ladder", row.ladder_model ? `${row.model} served instead of ${row.ladder_model}, as the budget of the ${row.ladder_budget} was used beyond ${Math.round(row.ladder_from * 100)} %` : null),
      fact("Soft budget", row.soft_budgets?.length ? `exceeded by ${row.soft_budgets.join(" and ")}` : null),
      fact("Found by guards", findings(row.guard_findings)),
      fact("Cost", row.cache_hit ? "none: from the cache" : row.deployment ? (row.cost === null || row.cost === undefined ? "unknown: the deployment has no price" : money(row.cost)) : null),
      fact("Written by", row.parts?.length ? row.parts.filter((part) => part.characters !== 0 || part.cost).map((part) => `${part.deployment}${part.characters ? `: ${plural(part.characters, "character")}` : ""}${part.cost === null || part.cost === undefined ? "" : `, ${money(part.cost)}`}`).join("; ") : null),
      fact("Not sent", row.dropped_params?.length ? row.dropped_params.join(", ") : null),
      fact("First token", row.ttft_ms ? ms(row.ttft_ms) : null),
      fact("Duration", ms(row.total_ms)),
      fact("Request id", row.request_id),
      fact("Archive", row.archived ? h("a", { href: archiveUrl(row.request_id).href, download: "" }, "Download request and answer") : null),
    ),
  ];
}

function noCall(row) {
  if (row.cache_hit) return h("li", { class: "ok" }, h("h3", {}, "Replayed from the cache"), h("p", {}, "The same was asked before. The tokens are those of the first answer, and cost nothing again."));
  return h("li", { class: "bad" }, h("h3", {}, "No call was made"), h("p", {}, row.error ? "The request was rejected before any deployment was called." : "No deployment was available."));
}

const fact = (name, value) => (value === null || value === undefined || value === "" ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value)));

/** "emails: 2, secrets: 1": what guards found, by kind. */
const findings = (counts) => (counts ? Object.entries(counts).map(([kind, number]) => `${kind}: ${count(number)}`).join(", ") : null);

function summary(row) {
  const attempts = row.attempts?.length ?? 0;
  if (row.status >= 400 && !attempts) return `The router rejected the request with ${row.status} before calling any deployment.`;
  if (row.cache_hit) return "A stored answer was replayed. No deployment was called.";
  if (row.status >= 400) return `${attempts === 1 ? "The only attempt" : `All ${attempts} attempts`} failed. The caller received ${row.status}.`;
  if (row.error) return `${row.deployment} was interrupted while streaming. The caller received an error event.`;
  if (row.parts?.length && row.attempts?.[0]?.verdict !== "cancelled" && row.parts[0].characters) return `${row.parts[0].deployment} broke off; ${row.parts.at(-1).deployment} continued its answer. The caller saw no error.`;
  if (row.failover) return `${row.deployment} served the request${failover(row)}. The caller saw no error.`;
  return `${row.deployment} served the request on the first attempt.`;
}

/** Which failures and cooldowns preceded the deployment that served. */
function failover(row) {
  const failed = (row.attempts?.length ?? 0) - 1;
  const skipped = row.cooling?.length ?? 0;
  const parts = [failed > 0 && plural(failed, "failed attempt"), skipped && plural(skipped, "skipped deployment")].filter(Boolean);
  return parts.length ? ` after ${parts.join(" and ")}` : "";
}

function attemptSentences(attempt, following, row) {
  const took = ms(attempt.ms);
  if (succeeded(attempt)) {
    const sentences = [`Served the request; first content after ${took}.`];
    if (row.completion_tokens) sentences.push(`${plural(row.completion_tokens, "token")}${row.total_ms ? ` in ${ms(row.total_ms)}` : ""}.`);
    return sentences;
  }
  if (attempt.verdict === "cancelled") return [`Cancelled after ${took}: another deployment answered first.`];
  const failed = attempt.status ? `Failed with ${attempt.status} after ${took}` : `No response within ${took}`;
  const sentences = [`${failed}: ${verdict(attempt.verdict)}.`];
  if (attempt.cooldown_until) sentences.push(`Cooling down until ${timeOf(attempt.cooldown_until)}.`);
  if (following) sentences.push(following.deployment === attempt.deployment ? "Retried once." : "Failed over to the next deployment.");
  return sentences;
}

// One request: every attempt, and why it was routed that way.

import { h } from "../dom.js";
import { count, fullTime, money, ms, NONE, plural, timeOf, verdict } from "../format.js";

export const names = new Map(); // key id → name, filled by the list
export const teams = new Map(); // team id → name

export const keyOf = (row) => (row.key === "master" ? "master key" : (row.key_alias ?? names.get(row.key) ?? row.key?.slice(0, 8) ?? NONE));

export const succeeded = (attempt) => !attempt.verdict || attempt.verdict === "ok" || attempt.verdict === "success";

export function story(row) {
  const attempts = row.attempts ?? [];
  return [
    h("p", { class: "story-lead" }, lead(row)),
    row.error && h("p", { class: "evidence" }, row.error),
    h(
      "ol",
      { class: "story" },
      (row.cooling ?? []).map((deployment) => h("li", { class: "skipped" }, h("h3", { class: "mono" }, deployment), h("p", {}, "Left alone, because it was cooling."))),
      attempts.map((attempt, index) => h("li", { class: succeeded(attempt) ? "ok" : "bad" }, h("h3", { class: "mono" }, attempt.deployment), attemptSentences(attempt, attempts[index + 1], row).map((sentence) => h("p", {}, sentence)))),
      attempts.length ? null : h("li", { class: "bad" }, h("h3", {}, "No call was made"), h("p", {}, row.error ? "It was refused before any deployment was tried." : "Nothing was free to try.")),
    ),
    h(
      "dl",
      { class: "facts" },
      fact("Time", fullTime(row.at)),
      fact("Model", row.model),
      fact("Answered by", row.provider_model ?? row.deployment),
      fact("Key", keyOf(row)),
      fact("Team", row.team && (teams.get(row.team) ?? row.team)),
      fact("Owner", row.user),
      fact("Tags", row.tags?.length ? row.tags.join(", ") : null),
      fact("Format", row.format && `${row.format}${row.stream ? ", streamed" : ""}`),
      fact("Tokens in", row.prompt_tokens !== null ? count(row.prompt_tokens) : null),
      fact("of them cached", row.cached_tokens ? count(row.cached_tokens) : null),
      fact("Tokens out", row.completion_tokens !== null ? count(row.completion_tokens) : null),
      fact("of them reasoning", row.reasoning_tokens ? count(row.reasoning_tokens) : null),
      fact("Cost", row.deployment ? (row.cost === null || row.cost === undefined ? "unknown: its deployment has no price" : money(row.cost)) : null),
      fact("First token", row.ttft_ms ? ms(row.ttft_ms) : null),
      fact("Total", ms(row.total_ms)),
      fact("Request id", row.request_id),
    ),
  ];
}

const fact = (name, value) => (value === null || value === undefined || value === "" ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value)));

function lead(row) {
  const attempts = row.attempts?.length ?? 0;
  if (row.status >= 400 && !attempts) return `The router refused it with ${row.status} before any deployment was tried.`;
  if (row.status >= 400) return `${attempts === 1 ? "The one deployment that was tried" : `All ${attempts} calls`} failed, and the caller got ${row.status}.`;
  if (row.error) return `${row.deployment} answered, but the answer broke off, and the caller was told so.`;
  if (row.failover) return `${row.deployment} answered, after ${plural(attempts - 1, "failed call")}${row.cooling?.length ? ` and with ${plural(row.cooling.length, "deployment")} left alone` : ""}. The caller saw nothing of it.`.replace("after 0 failed calls and with", "with");
  return `${row.deployment} answered at once.`;
}

function attemptSentences(attempt, following, row) {
  const took = ms(attempt.ms);
  if (succeeded(attempt)) {
    const sentences = [`It answered: the first content was there after ${took}.`];
    if (row.completion_tokens) sentences.push(`It wrote ${plural(row.completion_tokens, "token")}${row.total_ms ? `; all was done after ${ms(row.total_ms)}` : ""}.`);
    return sentences;
  }
  const answered = attempt.status ? `It answered ${attempt.status} after ${took}` : `No answer came within ${took}`;
  const sentences = [`${answered}: ${verdict(attempt.verdict)}.`];
  if (attempt.cooldown_until) sentences.push(`The whole fleet left it alone until ${timeOf(attempt.cooldown_until)}.`);
  if (following) sentences.push(following.deployment === attempt.deployment ? "It was tried once more." : "The request went on to the next.");
  return sentences;
}

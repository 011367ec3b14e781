// An answer of the playground: its text, what went wrong, and the routing of its request.

import { busy, button } from "../controls.js";
import { toast } from "../dialogs.js";
import { h } from "../dom.js";
import { playground as api } from "../endpoints.js";
import { count, ms, plural, verdict } from "../format.js";
import { icon } from "../icons.js";
import { markdown } from "./markdown.js";

/** A new answer that waits for `model`. */
export const newAnswer = (model) => ({ content: "", facts: { model }, error: null, open: true });

/** Draw an answer; with `formatted`, its Markdown is drawn as such once it is complete. */
export function drawAnswer(answer, { formatted, titled }) {
  const { facts } = answer;
  return h(
    "li",
    { class: "turn answer", "aria-busy": answer.open ? "true" : undefined },
    h("h2", { class: titled ? "mono" : "sr" }, titled ? facts.model : `Answer of ${facts.model}`),
    answer.reasoning && h("details", { class: "reasoning" }, h("summary", {}, "Reasoning"), h("p", { class: "message" }, answer.reasoning)),
    textOf(answer, formatted),
    answer.error && problem(answer),
    answer.stopped && h("p", { class: "quiet" }, "Stopped. The provider may continue to generate and charge for it."),
    h(
      "dl",
      { class: "served" },
      part("Served by", facts.deployment && h("span", { class: "mono" }, facts.deployment)),
      part("Routed to", facts.routing),
      part("Attempts", facts.attempts),
      part("Fallbacks", facts.fallbacks),
      part("First token", facts.ttft === undefined ? null : ms(facts.ttft)),
      part("Total", facts.total === undefined ? null : ms(facts.total)),
      part("Tokens", facts.usage && `${count(facts.usage.prompt_tokens)} in, ${count(facts.usage.completion_tokens)} out`),
      facts.request && !answer.open && !answer.error ? votes(answer) : null,
      facts.request && !answer.open ? h("div", {}, h("dt", { class: "sr" }, "Details"), h("dd", {}, h("a", { href: `#/requests/${encodeURIComponent(facts.request)}` }, "Request details"))) : null,
    ),
  );
}

function textOf({ content, open }, formatted) {
  if (content) return formatted && !open ? h("div", { class: "message formatted" }, markdown(content)) : h("p", { class: "message" }, content);
  return open ? h("p", { class: "message waiting" }, h("span", { class: "sr" }, "Waiting"), h("i", {}), h("i", {}), h("i", {})) : null;
}

/** Buttons to say whether an answer was good; the vote is evidence for complexity routing. */
function votes(answer) {
  const vote = async (value, control) => {
    const response = await busy(control, () => api.giveFeedback(answer.facts.key, { request_id: answer.facts.request, value })).catch(() => null);
    if (!response?.ok) return toast("The feedback could not be stored. Try again in a few seconds.", { kind: "bad" });
    answer.vote = value;
    return element.replaceWith(votes(answer));
  };
  const choice = (value, label, drawing) => {
    const control = button(label, () => vote(value, control), { kind: "quiet", icon: drawing, only: true, "aria-pressed": String(answer.vote === value) });
    return control;
  };
  const element = h("div", {}, h("dt", { class: "sr" }, "Feedback"), h("dd", { class: "actions" }, choice(1, "Good answer", "good"), choice(-1, "Bad answer", "bad")));
  return element;
}

const part = (name, value) => (value === null || value === undefined || value === "" ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value)));

function problem({ error, content }) {
  return h(
    "div",
    { class: "notice bad" },
    icon("warn"),
    h(
      "div",
      {},
      h("p", {}, content ? h("strong", {}, `Interrupted after ${plural(content.length, "character")}. `) : null, error.message),
      error.attempts?.length ? h("ul", {}, error.attempts.map((each) => h("li", {}, h("span", { class: "mono" }, each.deployment), `: ${each.status ? `${each.status}, ` : ""}${verdict(each.verdict)}`))) : null,
      error.retryAfter ? h("p", { class: "quiet" }, `Retry in ${error.retryAfter} s.`) : null,
    ),
  );
}

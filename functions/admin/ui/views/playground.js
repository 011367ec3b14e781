// Playground: a chat through the public endpoint, with the routing headers of each answer.

import { busy, button, failure, field, select } from "../controls.js";
import { toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { createdKey, setCreatedKey } from "../draft.js";
import { playground as api } from "../endpoints.js";
import { count, ms, plural, verdict } from "../format.js";
import { icon } from "../icons.js";
import { once } from "../session.js";
import { readAnswer } from "./chat.js";

// Survives a change of view, until the page is closed.
const state = { model: null, source: "", pasted: "", system: "", turns: [] }; // turns: {role, content, facts?, error?}
let running = null; // the AbortController of the stream being read
let screen = null; // the view as shown now: a stream is read on while another view is open

export async function show(view, { head, query, signal }) {
  if (query.has("model")) state.model = query.get("model");
  const models = select([], null, { on: { change: (event) => (state.model = event.target.value) } });
  const pasted = h("input", { type: "password", value: state.pasted, autocomplete: "off", spellcheck: "false", placeholder: "sk-…", on: { input: (event) => (state.pasted = event.target.value.trim()) } });
  const pastedField = field("The key", pasted, { hint: "Held in this page only, and sent to the router only." });
  const temporary = h("p", { class: "hint" }, "Created with the first message. Valid for one hour, and listed under Keys.");
  const sources = h("div", { class: "half" });
  const modelField = field("Model", models);
  modelField.classList.add("half");
  const listFailure = h("div", { hidden: true }); // why there are no models to choose from
  modelField.append(listFailure);
  const system = h("textarea", { rows: "3", "aria-label": "System message", value: state.system, on: { input: (event) => (state.system = event.target.value) } });
  const log = h("ol", { class: "log", "aria-label": "Conversation" });
  const announcement = h("p", { class: "sr", role: "status" });
  const prompt = h("textarea", { rows: "2", placeholder: "Message", on: { keydown: (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && (event.preventDefault(), send()) } });
  const submit = button("Send", null, { kind: "primary", icon: "send", type: "submit" });
  const stop = button("Stop", () => running?.abort(), { icon: "stop" });
  head.append(button("New conversation", restart, { icon: "plus" }));
  view.append(
    h(
      "div",
      { class: "play" },
      h(
        "div",
        { class: "conversation" },
        log,
        h(
          "form",
          { class: "ask", on: { submit: (event) => (event.preventDefault(), send()) } },
          h("label", { class: "sr", for: "prompt" }, "Your message"),
          prompt,
          h("div", { class: "actions" }, h("span", { class: "quiet small" }, "Enter to send, Shift+Enter for a new line"), stop, submit),
        ),
        announcement,
      ),
      h("form", { class: "card settings-card form", "aria-label": "Settings", on: { submit: (event) => event.preventDefault() } }, modelField, sources, pastedField, temporary, h("details", { open: Boolean(state.system) }, h("summary", {}, "System message"), system, h("p", { class: "hint" }, "Sent before the conversation."))),
    ),
  );
  prompt.id = "prompt";

  function drawSources() {
    const created = createdKey();
    const options = [...(created ? [["created", `New key: ${created.name}`]] : []), ["temporary", "Temporary key (1 hour)"], ["pasted", "Paste a key"]];
    if (!options.some(([value]) => value === state.source)) state.source = options[0][0];
    const follow = () => {
      pastedField.hidden = state.source !== "pasted";
      temporary.hidden = state.source !== "temporary";
    };
    swap(sources, field("Key", select(options, state.source, { on: { change: (event) => ((state.source = event.target.value), follow()) } })));
    follow();
  }
  drawSources();

  function showRunning(on) {
    stop.hidden = !on;
    submit.hidden = on;
  }
  showRunning(Boolean(running));
  screen = { redraw, done };

  function restart() {
    running?.abort();
    state.turns = [];
    draw();
    prompt.focus();
  }

  function draw() {
    swap(
      log,
      state.turns.length
        ? state.turns.map((turn) => (turn.element = drawTurn(turn)))
        : h("li", { class: "hello" }, h("h2", {}, "Send a message"), h("p", { class: "quiet" }, "It is sent like any other request, with a key, budget and chain. Details of the routing follow each answer.")),
    );
    log.lastChild?.scrollIntoView({ block: "nearest" });
  }

  async function send() {
    const text = prompt.value.trim();
    if (!text || running) return;
    if (state.source === "pasted" && !state.pasted) {
      pastedField.problem("Paste a key, or choose a temporary one.");
      pasted.focus();
      return;
    }
    running = new AbortController();
    showRunning(true);
    try {
      await listModels(); // the list may still be loading
      if (!state.model) throw new Error("There is no model yet. Add one under Models.");
    } catch (error) {
      running = null;
      showRunning(false);
      toast(error.message, { kind: "bad" });
      return;
    }
    prompt.value = "";
    const answer = { role: "assistant", content: "", facts: { model: state.model }, error: null, open: true };
    state.turns.push({ role: "user", content: text }, answer);
    draw();
    announcement.textContent = "Waiting for the answer.";
    try {
      const key = await chooseKey();
      await readAnswer(key, messagesBefore(answer), answer, running.signal, () => screen.redraw(answer));
    } catch (error) {
      if (error.name === "AbortError") answer.stopped = true;
      else answer.error = { message: error.message };
    }
    answer.open = false;
    running = null;
    screen.done(answer);
  }

  function done(answer) {
    redraw(answer);
    showRunning(false);
    announcement.textContent = answer.error ? `Failed: ${answer.error.message}` : answer.stopped ? "Stopped." : `Answered by ${answer.facts.deployment ?? answer.facts.model}: ${answer.content.slice(0, 300)}`;
    if (!signal.aborted) prompt.focus();
  }

  async function chooseKey() {
    if (state.source === "pasted") return state.pasted;
    if (state.source === "created" && createdKey()) return createdKey().key;
    const name = `playground ${new Date().toISOString().slice(0, 19).replace("T", " ")}`;
    const created = await api.createKey({ key_alias: name, duration: "1h", tags: ["playground"] });
    setCreatedKey({ key: created.key, name: "temporary, 1 hour", expires: created.expires });
    state.source = "created";
    if (!signal.aborted) drawSources();
    return created.key;
  }

  /** Redraw an answer in place; scroll along if the log is at its end. */
  function redraw(turn) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    const element = drawTurn(turn);
    turn.element?.replaceWith(element);
    turn.element = element;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  const listModels = once(async () => {
    const { models: rows } = await api.readRoutes();
    const names = Object.keys(rows).sort();
    if (!names.includes(state.model)) state.model = names[0] ?? null;
    models.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    models.value = state.model;
  });

  async function list() {
    try {
      await listModels();
      listFailure.hidden = true;
    } catch (error) {
      listFailure.hidden = false;
      swap(listFailure, failure(error, list));
    }
  }

  draw();
  prompt.focus({ preventScroll: true });
  await list();
}

function drawTurn(turn) {
  if (turn.role === "user") return h("li", { class: "turn user" }, h("p", { class: "message" }, turn.content));
  const { facts } = turn;
  return h(
    "li",
    { class: "turn answer", "aria-busy": turn.open ? "true" : undefined },
    turn.reasoning && h("details", { class: "reasoning" }, h("summary", {}, "Reasoning"), h("p", { class: "message" }, turn.reasoning)),
    turn.content ? h("p", { class: "message" }, turn.content) : turn.open ? h("p", { class: "message waiting" }, h("span", { class: "sr" }, "Waiting"), h("i", {}), h("i", {}), h("i", {})) : null,
    turn.error && problem(turn),
    turn.stopped && h("p", { class: "quiet" }, "Stopped. The provider may continue to generate and charge for it."),
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
      facts.request && !turn.open && !turn.error ? votes(turn) : null,
      facts.request && !turn.open ? h("div", {}, h("dt", { class: "sr" }, "Details"), h("dd", {}, h("a", { href: `#/requests/${encodeURIComponent(facts.request)}` }, "Request details"))) : null,
    ),
  );
}

/** Buttons to say whether an answer was good; the vote is evidence for complexity routing. */
function votes(turn) {
  const vote = async (value, control) => {
    const response = await busy(control, () => api.giveFeedback(turn.facts.key, { request_id: turn.facts.request, value })).catch(() => null);
    if (!response?.ok) return toast("The feedback could not be stored. Try again in a few seconds.", { kind: "bad" });
    turn.vote = value;
    return element.replaceWith(votes(turn));
  };
  const choice = (value, label, drawing) => {
    const control = button(label, () => vote(value, control), { kind: "quiet", icon: drawing, only: true, "aria-pressed": String(turn.vote === value) });
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

/** The conversation up to `answer`, with the system message first. */
function messagesBefore(answer) {
  const messages = state.turns.filter((turn) => turn !== answer && turn.content && !turn.error).map(({ role, content }) => ({ role, content }));
  return state.system.trim() ? [{ role: "system", content: state.system.trim() }, ...messages] : messages;
}

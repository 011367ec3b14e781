// Playground: a chat through the real endpoint, with what an answer's headers tell about its way.

import { button, failure, field, select } from "../controls.js";
import { toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { madeKey, setMadeKey } from "../draft.js";
import { playground as api } from "../endpoints.js";
import { count, ms, plural, verdict } from "../format.js";
import { icon } from "../icons.js";
import { once } from "../session.js";
import { readAnswer } from "./chat.js";

// All of it is kept over a change of view, until the page is closed.
const state = { model: null, source: "", pasted: "", system: "", turns: [] }; // turns: {role, content, facts?, error?}
let running = null; // the AbortController of the answer that is being read
let screen = null; // what is shown now: an answer goes on being read while one looks at another view

export async function show(view, { head, query, signal }) {
  if (query.has("model")) state.model = query.get("model");
  const models = select([], null, { on: { change: (event) => (state.model = event.target.value) } });
  const pasted = h("input", { type: "password", value: state.pasted, autocomplete: "off", spellcheck: "false", placeholder: "sk-…", on: { input: (event) => (state.pasted = event.target.value.trim()) } });
  const pastedField = field("The key", pasted, { hint: "It stays in this page, and is sent to the router only." });
  const temporary = h("p", { class: "hint" }, "Made with the first message. It works for one hour and shows up under Keys.");
  const sources = h("div", { class: "half" });
  const modelField = field("Model", models);
  modelField.classList.add("half");
  const unlisted = h("div", { hidden: true }); // why there are no models to choose from
  modelField.append(unlisted);
  const system = h("textarea", { rows: "3", "aria-label": "Instructions for the model", value: state.system, on: { input: (event) => (state.system = event.target.value) } });
  const log = h("ol", { class: "log", "aria-label": "Conversation" });
  const spoken = h("p", { class: "sr", role: "status" });
  const prompt = h("textarea", { rows: "2", placeholder: "Ask something", on: { keydown: (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && (event.preventDefault(), send()) } });
  const submit = button("Send", null, { kind: "primary", icon: "send", type: "submit" });
  const stop = button("Stop", () => running?.abort(), { icon: "stop" });
  head.append(button("New conversation", restart, { icon: "plus" }));
  view.append(
    h(
      "div",
      { class: "play" },
      h(
        "div",
        { class: "talk" },
        log,
        h(
          "form",
          { class: "ask", on: { submit: (event) => (event.preventDefault(), send()) } },
          h("label", { class: "sr", for: "prompt" }, "Your message"),
          prompt,
          h("div", { class: "actions" }, h("span", { class: "quiet small" }, "Enter sends, Shift+Enter starts a new line"), stop, submit),
        ),
        spoken,
      ),
      h("form", { class: "card settings-card form", "aria-label": "Settings", on: { submit: (event) => event.preventDefault() } }, modelField, sources, pastedField, temporary, h("details", { open: Boolean(state.system) }, h("summary", {}, "Instructions for the model"), system, h("p", { class: "hint" }, "Sent first, as the system message."))),
    ),
  );
  prompt.id = "prompt";

  function drawSources() {
    const made = madeKey();
    const options = [...(made ? [["made", `The one just made: ${made.name}`]] : []), ["temporary", "A temporary key (1 hour)"], ["pasted", "A key that I paste"]];
    if (!options.some(([value]) => value === state.source)) state.source = options[0][0];
    const follow = () => {
      pastedField.hidden = state.source !== "pasted";
      temporary.hidden = state.source !== "temporary";
    };
    swap(sources, field("Key", select(options, state.source, { on: { change: (event) => ((state.source = event.target.value), follow()) } })));
    follow();
  }
  drawSources();

  function working(on) {
    stop.hidden = !on;
    submit.hidden = on;
  }
  working(Boolean(running));
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
        : h("li", { class: "hello" }, h("h2", {}, "Ask a model something"), h("p", { class: "quiet" }, "It goes the way of every request: key, budget, chain. Below the answer stands what served it.")),
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
    working(true);
    try {
      await listed(); // somebody may be quicker than the list of models
      if (!state.model) throw new Error("There is no model to ask yet. Add one under Models.");
    } catch (error) {
      running = null;
      working(false);
      toast(error.message, { kind: "bad" });
      return;
    }
    prompt.value = "";
    const answer = { role: "assistant", content: "", facts: { model: state.model }, error: null, open: true };
    state.turns.push({ role: "user", content: text }, answer);
    draw();
    spoken.textContent = "Waiting for the answer.";
    try {
      const key = await theKey();
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
    working(false);
    spoken.textContent = answer.error ? `It failed: ${answer.error.message}` : answer.stopped ? "Stopped." : `Answered by ${answer.facts.deployment ?? answer.facts.model}: ${answer.content.slice(0, 300)}`;
    if (!signal.aborted) prompt.focus();
  }

  async function theKey() {
    if (state.source === "pasted") return state.pasted;
    if (state.source === "made" && madeKey()) return madeKey().key;
    const name = `playground ${new Date().toISOString().slice(0, 19).replace("T", " ")}`;
    const made = await api.createKey({ key_alias: name, duration: "1h", tags: ["playground"] });
    setMadeKey({ key: made.key, name: "temporary, 1 hour", expires: made.expires });
    state.source = "made";
    if (!signal.aborted) drawSources();
    return made.key;
  }

  /** Draw an answer anew where it stands; follow it when the reader is at the end anyway. */
  function redraw(turn) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    const element = drawTurn(turn);
    turn.element?.replaceWith(element);
    turn.element = element;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  const listed = once(async () => {
    const { models: rows } = await api.readRoutes();
    const names = Object.keys(rows).sort();
    if (!names.includes(state.model)) state.model = names[0] ?? null;
    models.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    models.value = state.model;
  });

  async function list() {
    try {
      await listed();
      unlisted.hidden = true;
    } catch (error) {
      unlisted.hidden = false;
      swap(unlisted, failure(error, list));
    }
  }

  draw();
  prompt.focus({ preventScroll: true });
  await list();
}

function drawTurn(turn) {
  if (turn.role === "user") return h("li", { class: "turn user" }, h("p", { class: "said" }, turn.content));
  const { facts } = turn;
  return h(
    "li",
    { class: "turn answer", "aria-busy": turn.open ? "true" : undefined },
    turn.reasoning && h("details", { class: "reasoning" }, h("summary", {}, "Reasoning"), h("p", { class: "said" }, turn.reasoning)),
    turn.content ? h("p", { class: "said" }, turn.content) : turn.open ? h("p", { class: "said waiting" }, h("span", { class: "sr" }, "Waiting"), h("i", {}), h("i", {}), h("i", {})) : null,
    turn.error && problem(turn),
    turn.stopped && h("p", { class: "quiet" }, "Stopped by you. The provider may have written on, and what it wrote is billed."),
    h(
      "dl",
      { class: "served" },
      part("Served by", facts.deployment && h("span", { class: "mono" }, facts.deployment)),
      part("Attempts", facts.attempts),
      part("Fallbacks", facts.fallbacks),
      part("First token", facts.ttft === undefined ? null : ms(facts.ttft)),
      part("Total", facts.total === undefined ? null : ms(facts.total)),
      part("Tokens", facts.usage && `${count(facts.usage.prompt_tokens)} in, ${count(facts.usage.completion_tokens)} out`),
      facts.request && !turn.open ? h("div", {}, h("dt", { class: "sr" }, "Story"), h("dd", {}, h("a", { href: `#/requests/${encodeURIComponent(facts.request)}` }, "Its story"))) : null,
    ),
  );
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
      h("p", {}, content ? h("strong", {}, `The answer broke off after ${plural(content.length, "character")}. `) : null, error.message),
      error.attempts?.length ? h("ul", {}, error.attempts.map((each) => h("li", {}, h("span", { class: "mono" }, each.deployment), `: ${each.status ? `answered ${each.status}, ` : ""}${verdict(each.verdict)}`))) : null,
      error.retryAfter ? h("p", { class: "quiet" }, `It may be tried again in ${error.retryAfter} s.`) : null,
    ),
  );
}

/** The conversation up to `answer`, with the system message first. */
function messagesBefore(answer) {
  const messages = state.turns.filter((turn) => turn !== answer && turn.content && !turn.error).map(({ role, content }) => ({ role, content }));
  return state.system.trim() ? [{ role: "system", content: state.system.trim() }, ...messages] : messages;
}

// Playground: a chat through the public endpoint, with one model or two side by side, and the routing of each answer.

import { button, failure, field, select, toggle } from "../controls.js";
import { toast } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { createdKey, setCreatedKey } from "../draft.js";
import { playground as api } from "../endpoints.js";
import { once } from "../session.js";
import { drawAnswer, newAnswer } from "./answer.js";
import { callDialog } from "./call-code.js";
import { readAnswer } from "./chat.js";
import { fieldsOf, parameterEditor } from "./parameters.js";
import { contentOf, picturePicker } from "./pictures.js";

// Survives a change of view, until the page is closed. turns: {text, pictures, answers}, an answer for each model.
const state = { models: [null, ""], source: "", pasted: "", system: "", parameters: {}, formatted: true, turns: [] };
let running = null; // the AbortController of the streams being read
let screen = null; // the view as shown now: streams are read on while another view is open

export async function show(view, { head, query, signal }) {
  if (query.has("model")) state.models[0] = query.get("model");
  const choices = [0, 1].map((column) => select([], null, { on: { change: (event) => (state.models[column] = event.target.value) } }));
  const pasted = h("input", { type: "password", value: state.pasted, autocomplete: "off", spellcheck: "false", placeholder: "sk-…", on: { input: (event) => (state.pasted = event.target.value.trim()) } });
  const pastedField = field("The key", pasted, { hint: "Held in this page only, and sent to the router only." });
  const temporary = h("p", { class: "hint" }, "Created with the first message. Valid for one hour, and listed under Keys.");
  const sources = h("div", { class: "half" });
  const modelField = field("Model", choices[0]);
  modelField.classList.add("half");
  const listFailure = h("div", { hidden: true }); // why there are no models to choose from
  modelField.append(listFailure);
  const system = h("textarea", { rows: "3", "aria-label": "System message", value: state.system, on: { input: (event) => (state.system = event.target.value) } });
  const log = h("ol", { class: "log", "aria-label": "Conversation" });
  const announcement = h("p", { class: "sr", role: "status" });
  const prompt = h("textarea", { rows: "2", id: "prompt", placeholder: "Message", on: { keydown: (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && (event.preventDefault(), send()) } });
  const pictures = [];
  const picker = picturePicker(pictures);
  const submit = button("Send", null, { kind: "primary", icon: "send", type: "submit" });
  const stop = button("Stop", () => running?.abort(), { icon: "stop" });
  const ask = h(
    "form",
    { class: "ask", on: { submit: (event) => (event.preventDefault(), send()) } },
    h("label", { class: "sr", for: "prompt" }, "Your message"),
    picker.list,
    prompt,
    h("div", { class: "actions" }, picker.controls, h("span", { class: "quiet small" }, "Enter to send, Shift+Enter for a new line"), stop, submit),
  );
  picker.accept(ask);
  head.append(button("Code", showCode, { icon: "api" }), button("New conversation", restart, { icon: "plus" }));
  view.append(
    h(
      "div",
      { class: "play" },
      h("div", { class: "conversation" }, log, ask, announcement),
      h(
        "form",
        { class: "card settings-card form", "aria-label": "Settings", on: { submit: (event) => event.preventDefault() } },
        modelField,
        sources,
        pastedField,
        temporary,
        field("Compare with", choices[1]),
        toggle("Formatted answers", state.formatted, (on) => ((state.formatted = on), draw())),
        h("details", { open: Boolean(state.system) }, h("summary", {}, "System message"), system, h("p", { class: "hint" }, "Sent before the conversation.")),
        h("details", { open: Boolean(Object.keys(state.parameters).length) }, h("summary", {}, "Parameters"), parameterEditor(state.parameters)),
      ),
    ),
  );

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
        ? state.turns.map(drawTurn)
        : h("li", { class: "hello" }, h("h2", {}, "Send a message"), h("p", { class: "quiet" }, "It is sent like any other request, with a key, budget and chain. Details of the routing follow each answer.")),
    );
    log.lastChild?.scrollIntoView({ block: "nearest" });
  }

  const draft = () => ({ text: prompt.value.trim(), pictures: [...pictures] });

  async function showCode() {
    const written = draft();
    const turn = written.text || written.pictures.length || !state.turns.length ? { ...written, text: written.text || "Hello" } : state.turns.at(-1);
    try {
      await listModels();
      await callDialog(bodyFor(turn, 0, state.models[0]));
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
  }

  async function send() {
    const turn = draft();
    if (!(turn.text || turn.pictures.length) || running) return;
    if (state.source === "pasted" && !state.pasted) {
      pastedField.problem("Paste a key, or choose a temporary one.");
      pasted.focus();
      return;
    }
    running = new AbortController();
    showRunning(true);
    let bodies;
    try {
      await listModels(); // the list may still be loading
      if (!state.models[0]) throw new Error("There is no model yet. Add one under Models.");
      turn.answers = state.models.filter(Boolean).map(newAnswer);
      bodies = turn.answers.map(({ facts }, column) => bodyFor(turn, column, facts.model));
    } catch (error) {
      running = null;
      showRunning(false);
      toast(error.message, { kind: "bad" });
      return;
    }
    prompt.value = "";
    pictures.length = 0;
    picker.draw();
    state.turns.push(turn);
    draw();
    announcement.textContent = "Waiting for the answer.";
    const { signal: stopped } = running;
    const chosen = chooseKey();
    await Promise.all(turn.answers.map((answer, column) => fill(answer, chosen, bodies[column], stopped)));
    running = null;
    screen.done(turn);
  }

  async function fill(answer, chosen, body, stopped) {
    try {
      await readAnswer(await chosen, body, answer, stopped, () => screen.redraw(answer));
    } catch (error) {
      if (error.name === "AbortError") answer.stopped = true;
      else answer.error = { message: error.message };
    }
    answer.open = false;
    screen.redraw(answer);
  }

  function done({ answers }) {
    showRunning(false);
    announcement.textContent = answers.map((answer) => (answer.error ? `Failed: ${answer.error.message}` : answer.stopped ? "Stopped." : `Answered by ${answer.facts.deployment ?? answer.facts.model}: ${answer.content.slice(0, 300)}`)).join(" ");
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
  function redraw(answer) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    const element = drawAnswer(answer, answer.drawing);
    answer.element?.replaceWith(element);
    answer.element = element;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  const listModels = once(async () => {
    const { models: rows } = await api.readRoutes();
    const names = Object.keys(rows).sort();
    if (!names.includes(state.models[0])) state.models[0] = names[0] ?? null;
    if (!names.includes(state.models[1])) state.models[1] = "";
    choices[0].replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    choices[1].replaceChildren(h("option", { value: "" }, "no other model"), ...names.map((name) => h("option", { value: name }, name)));
    for (const column of [0, 1]) choices[column].value = state.models[column];
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

function drawTurn({ text, pictures, answers }) {
  const drawing = { formatted: state.formatted, titled: answers.length > 1 };
  const drawn = answers.map((answer) => (answer.element = drawAnswer(answer, (answer.drawing = drawing))));
  return [
    h("li", { class: "turn user" }, text && h("p", { class: "message" }, text), pictures.map((picture) => h("img", { src: picture.url, alt: picture.name }))),
    drawn.length > 1 ? h("li", { class: "compared" }, h("ul", {}, drawn)) : drawn,
  ];
}

/** The body that asks `model` for the answer in a column: the conversation up to `turn`, as that column had it. */
function bodyFor(turn, column, model) {
  const before = state.turns.includes(turn) ? state.turns.slice(0, state.turns.indexOf(turn)) : state.turns;
  const messages = before.flatMap((each) => {
    const answer = each.answers[column] ?? each.answers[0];
    if (!answer.content || answer.error) return [];
    return [{ role: "user", content: contentOf(each) }, { role: "assistant", content: answer.content }];
  });
  const system = state.system.trim() ? [{ role: "system", content: state.system.trim() }] : [];
  return { model, messages: [...system, ...messages, { role: "user", content: contentOf(turn) }], ...fieldsOf(state.parameters) };
}

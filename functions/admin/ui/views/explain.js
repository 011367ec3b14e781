// Explain: where a request would go now, in which order and why, without calling anything.

import { busy, button, empty, failure, field, select } from "../controls.js";
import { openFilled } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { models as api } from "../endpoints.js";
import { keyName } from "../format.js";
import { countdown } from "./state.js";

const MOST_KEYS = 1000; // that are offered

export function explainDialog() {
  return openFilled("Explain a request", read, form, { wide: true, describe: "Where a request would go right now, in which order and why." });
}

/** The models and keys that there are now. */
async function read() {
  const [{ models }, keys] = await Promise.all([api.readRoutes(), api.readAllKeys({ most: MOST_KEYS })]);
  return { models: Object.keys(models).sort(), keys };
}

function form({ models, keys }) {
  if (!models.length) return empty("No models yet", "A request goes somewhere once there is a model with a chain of deployments.");
  const model = select(models, models[0], { autofocus: true });
  const key = select([["", "the master key"], ...keys.map((each) => [each.token, keyName(each)])], "");
  const prompt = h("textarea", { rows: "2", placeholder: "Hello" });
  const result = h("div", { "aria-live": "polite" });
  const submit = button("Explain", null, { kind: "primary", type: "submit" });

  async function ask() {
    try {
      const body = { model: model.value, messages: [{ role: "user", content: prompt.value || "Hello" }] };
      if (key.value) body.key = key.value;
      swap(result, told(await api.explain(body)));
    } catch (error) {
      swap(result, failure(error));
    }
  }

  return [
    h(
      "form",
      { class: "form two", on: { submit: (event) => (event.preventDefault(), busy(submit, ask)) } },
      field("Model", model),
      field("Key", key),
      field("Message", prompt, { wide: true, hint: "It decides between deployments that share a layer. Nothing is called." }),
      h("div", { class: "actions" }, submit),
    ),
    result,
  ];
}

function told(answer) {
  const { tried = [], skipped = [], admission } = answer;
  return [
    admission && h("p", { class: `notice ${admission.admitted ? "plain" : "bad"}` }, admission.admitted ? "The caller would be let in. " : "The caller would be refused. ", admission.why),
    h("h3", { class: "spaced" }, tried.length ? "It would be tried on" : "It would be tried nowhere"),
    h("ol", { class: "tried" }, tried.map((each) => h("li", {}, h("span", { class: "mono" }, each.deployment), h("p", { class: "quiet" }, each.why)))),
    skipped.length ? h("h3", { class: "spaced" }, "And left alone") : null,
    h(
      "ul",
      { class: "left-alone" },
      skipped.map((each) => h("li", {}, h("span", { class: "mono" }, each.deployment), h("p", { class: "quiet" }, each.why, each.free_at ? [" ", countdown(each.free_at, { before: "Free in ", after: "Free now" }), "."] : null))),
    ),
  ];
}

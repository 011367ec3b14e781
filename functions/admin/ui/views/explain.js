// Explain: which deployments a request would use now, in which order and why, without calling any.

import { busy, button, empty, failure, field, select } from "../controls.js";
import { openFilled } from "../dialogs.js";
import { h, swap } from "../dom.js";
import { models as api } from "../endpoints.js";
import { keyName } from "../format.js";
import { countdown } from "./state.js";

const MOST_KEYS = 1000; // in the menu

export function explainDialog() {
  return openFilled("Explain a request", read, form, { wide: true, describe: "Shows which deployments a request would use now, in which order and why. Nothing is called." });
}

async function read() {
  const [{ models, aliases }, keys] = await Promise.all([api.readRoutes(), api.readAllKeys({ most: MOST_KEYS })]);
  const exact = Object.keys(aliases ?? {}).filter((name) => !name.includes("*"));
  return { models: [...Object.keys(models).sort(), ...exact.sort()], keys };
}

function form({ models, keys }) {
  if (!models.length) return empty("No models yet", "Add a model with a chain of deployments first.");
  const model = select(models, models[0], { autofocus: true });
  const key = select([["", "master key"], ...keys.map((each) => [each.token, keyName(each)])], "");
  const other = h("input", { spellcheck: "false", autocapitalize: "none", placeholder: "claude-opus-4-6" });
  const prompt = h("textarea", { rows: "2", placeholder: "Hello" });
  const result = h("div", { "aria-live": "polite" });
  const submit = button("Explain", null, { kind: "primary", type: "submit" });

  async function ask() {
    try {
      const body = { model: other.value.trim() || model.value, messages: [{ role: "user", content: prompt.value || "Hello" }], stream: true };
      if (key.value) body.key = key.value;
      swap(result, drawResult(await api.explain(body)));
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
      field("Other name", other, { wide: true, hint: "A name that a client sends, to see which alias it matches. Leave empty for the model above." }),
      field("Message", prompt, { wide: true, hint: "Selects the deployment within a load-balanced step." }),
      h("div", { class: "actions" }, submit),
    ),
    result,
  ];
}

function drawResult(answer) {
  const { tried = [], skipped = [], admission } = answer;
  const asked = answer.budget_ladder?.model ?? answer.model;
  return [
    answer.requested && answer.requested !== asked ? h("p", { class: "spaced" }, h("span", { class: "mono" }, answer.requested), " is an alias of ", h("span", { class: "mono" }, asked), ".") : null,
    admission && h("p", { class: `notice ${admission.admitted ? "plain" : "bad"}` }, admission.admitted ? "The request would be admitted. " : "The request would be rejected. ", admission.why),
    answer.budget_ladder && h("p", { class: "notice plain" }, answer.budget_ladder.why),
    (answer.soft_budgets ?? []).map((each) => h("p", { class: "notice" }, each.why)),
    answer.stays_at && h("p", { class: "notice plain" }, "The conversation stays at ", h("span", { class: "mono" }, answer.stays_at.deployment), ", ", countdown(answer.stays_at.until, { before: "for another ", after: "until now" }), "."),
    h("h3", { class: "spaced" }, tried.length ? "Deployments in order" : "No deployment is available"),
    h("ol", { class: "tried" }, tried.map((each) => h("li", {}, h("span", { class: "mono" }, each.deployment), h("p", { class: "quiet" }, each.why, each.dropped_params?.length ? ` Not sent: ${each.dropped_params.join(", ")}.` : null)))),
    skipped.length ? h("h3", { class: "spaced" }, "Skipped") : null,
    h(
      "ul",
      { class: "skipped-list" },
      skipped.map((each) => h("li", {}, h("span", { class: "mono" }, each.deployment), h("p", { class: "quiet" }, each.why, each.free_at ? [" ", countdown(each.free_at, { before: "Available in ", after: "Available now" }), "."] : null))),
    ),
  ];
}

// The diagram of a chain. A chain is a list of steps; a step is a list of deployments that share its load.

import { h } from "../dom.js";
import { idOf, stepsOf, priceOf, weightOf } from "./rows.js";
import { settingsText } from "./settings.js";
import { clearButton, countdown, reason, stateBadge } from "./state.js";

const STATE_RANK = ["healthy", "due", "probing", "cooling", "off"];

/** The steps in order: left to right, on a phone top to bottom. `states` are the chain's entries of GET /routes. */
export function diagram(name, row, states, reload) {
  const byName = new Map((states ?? []).flat().map((entry) => [entry.deployment, entry]));
  return h(
    "ol",
    { class: "chain", "aria-label": `Chain of ${name}` },
    stepsOf(row).map((step, index) => {
      const all = step.reduce((sum, member) => sum + (member.enabled === false ? 0 : weightOf(member)), 0);
      const entries = step.map((member) => stateOf(member, byName));
      const best = STATE_RANK.find((state) => entries.some((entry) => entry.state === state)) ?? "off";
      return h(
        "li",
        { class: `step ${best}` },
        h("p", { class: "step-mark" }, h("span", { class: "sr" }, "Step "), index + 1),
        h("ul", { class: "deployments" }, step.map((member, at) => deploymentCard(member, entries[at], step.length > 1 ? weightOf(member) / all : null, reload))),
      );
    }),
  );
}

function stateOf(member, byName) {
  if (member.enabled === false) return { deployment: idOf(member), state: "off" };
  return byName.get(idOf(member)) ?? { deployment: idOf(member), state: "new" };
}

/** What is used of a deployment's limits: "Quota used: 95% of 5h, resets in 12 min". */
function quotaText({ windows }) {
  const tightest = windows.reduce((most, each) => (each.used > most.used ? each : most));
  const used = `Quota used: ${Math.round(tightest.used * 100)}% of ${tightest.name}`;
  return tightest.resets_at ? [used, ", ", countdown(tightest.resets_at, { before: "resets in ", after: "has reset" })] : used;
}

function deploymentCard(member, entry, share, reload) {
  const cooling = entry.state === "cooling";
  const settings = settingsText(member, ["provider", "model", "weight", "price", "enabled"]);
  return h(
    "li",
    { class: `deployment ${entry.state}` },
    h("p", { class: "deployment-provider" }, member.provider),
    h("p", { class: "deployment-model mono" }, member.model),
    h(
      "p",
      { class: "deployment-facts" },
      entry.state === "new" ? h("span", { class: "quiet" }, "Not saved yet") : stateBadge(entry),
      share !== null && member.enabled !== false ? h("span", { class: "quiet" }, `${Math.round(share * 100)}% of this step`) : null,
    ),
    h("p", { class: "deployment-price quiet" }, priceOf(member.price)),
    entry.quota && h("p", { class: "deployment-price quiet" }, quotaText(entry.quota)),
    settings && h("p", { class: "deployment-price quiet" }, settings),
    cooling && h("p", { class: "deployment-rest" }, reason(entry), " ", countdown(entry.until), "."),
    (cooling || entry.state === "due") && h("div", { class: "actions start" }, clearButton(entry, reload)),
  );
}

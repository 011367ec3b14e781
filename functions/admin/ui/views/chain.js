// The picture of a chain, and its editor. A chain is a list of layers; a layer is a list of deployments that share it.

import { h } from "../dom.js";
import { idOf, layersOf, priceOf, weightOf } from "./rows.js";
import { clearButton, countdown, reason, stateBadge } from "./state.js";

// --- the picture ---

const STATE_RANK = ["healthy", "due", "probing", "cooling", "off"];

/** Layers in order: left to right, on a phone from the top down. `states` are the chain's entries of GET /routes. */
export function picture(name, row, states, reload) {
  const known = new Map((states ?? []).flat().map((entry) => [entry.deployment, entry]));
  return h(
    "ol",
    { class: "chain", "aria-label": `The chain of ${name}, in order` },
    layersOf(row).map((layer, index) => {
      const all = layer.reduce((sum, member) => sum + (member.enabled === false ? 0 : weightOf(member)), 0);
      const entries = layer.map((member) => stateOf(member, known));
      const best = STATE_RANK.find((state) => entries.some((entry) => entry.state === state)) ?? "off";
      return h(
        "li",
        { class: `layer ${best}` },
        h("p", { class: "layer-mark" }, h("span", { class: "sr" }, "Layer "), index + 1),
        h("ul", { class: "stations" }, layer.map((member, at) => station(member, entries[at], layer.length > 1 ? weightOf(member) / all : null, reload))),
      );
    }),
  );
}

function stateOf(member, known) {
  if (member.enabled === false) return { deployment: idOf(member), state: "off" };
  return known.get(idOf(member)) ?? { deployment: idOf(member), state: "new" };
}

function station(member, entry, share, reload) {
  const cooling = entry.state === "cooling";
  return h(
    "li",
    { class: `station ${entry.state}` },
    h("p", { class: "station-provider" }, member.provider),
    h("p", { class: "station-model mono" }, member.model),
    h(
      "p",
      { class: "station-facts" },
      entry.state === "new" ? h("span", { class: "quiet" }, "Not saved yet") : stateBadge(entry),
      share !== null && member.enabled !== false ? h("span", { class: "quiet" }, `${Math.round(share * 100)}% of this layer`) : null,
    ),
    h("p", { class: "station-price quiet" }, priceOf(member.price)),
    cooling && h("p", { class: "station-rest" }, reason(entry), " ", countdown(entry.until, { before: "Tried again in ", after: "Tried again with the next request" }), "."),
    (cooling || entry.state === "due") && h("div", { class: "actions start" }, clearButton(entry, reload)),
  );
}

// The rows of the routes: providers, defaults, models, and the layers of a model's chain.

import { money } from "../format.js";

export const rowsOf = ({ providers, defaults, models }) => ({ providers, defaults: defaults ?? {}, models });

/** The layers of a row of routes, where a lone deployment stands for its layer. */
export const layersOf = (row) => (row.chain ?? []).map((step) => (Array.isArray(step) ? step : [step]));

/** The other way round: as a person would write it. */
export const chainOf = (layers) => layers.filter((layer) => layer.length).map((layer) => (layer.length === 1 ? layer[0] : layer));

export const idOf = (member) => `${member.provider}/${member.model}`;

export const weightOf = (member) => member.weight ?? 1;

/** "$3 in, $15 out": dollars per million tokens. */
export function priceOf(price) {
  return price ? `${bare(price.input)} in, ${bare(price.output)} out` : "price unknown";
}

const bare = (value) => money(value).replace(/\.00$/, "");

// The routes as rows: providers, defaults, models, aliases, guards, and the steps of a model's chain.

import { money } from "../format.js";

/** The formats that a provider or deployment may declare. */
export const FORMATS = ["chat", "responses", "messages", "completions", "embeddings", "moderations", "images", "image_edits", "speech", "transcriptions", "rerank"];

export const rowsOf = ({ providers, defaults, models, aliases, guards }) => ({ providers, defaults: defaults ?? {}, models, aliases: aliases ?? {}, guards: guards ?? {} });

/** The steps of a model's chain: a list of lists of deployments. */
export const stepsOf = (row) => (row.chain ?? []).map((step) => (Array.isArray(step) ? step : [step]));

/** The chain of a list of steps: a step with one deployment is written without a list. */
export const chainOf = (steps) => steps.filter((step) => step.length).map((step) => (step.length === 1 ? step[0] : step));

export const idOf = (member) => `${member.provider}/${member.model}`;

export const weightOf = (member) => member.weight ?? 1;

/** "$3 in, $15 out per 1M tokens". */
export function priceOf(price) {
  return price ? `${bare(price.input)} in, ${bare(price.output)} out per 1M tokens` : "price unknown";
}

const bare = (value) => money(value).replace(/\.00$/, "");

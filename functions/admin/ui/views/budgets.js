// Budget ladders and budgets of single models, as people write them: "auto-chat-mini@80%" and "auto-codex=5/1d".

const parts = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);

const percent = (share) => `${Math.round(share * 1e4) / 100}%`;

export const ladderText = (steps) => (steps ?? []).map((step) => `${step.model}@${percent(step.from)}`).join(", ");

/** The steps in "auto-chat-mini@80%, …"; null if a part is not of this form. */
export function ladderIn(text) {
  const steps = parts(text).map((part) => {
    const at = part.lastIndexOf("@");
    const share = part.slice(at + 1).trim();
    const number = Number(share.replace(/%$/, "")) / (share.endsWith("%") ? 100 : 1);
    return at > 0 && share && number > 0 && number <= 1 ? { from: Math.round(number * 1e6) / 1e6, model: part.slice(0, at).trim() } : null;
  });
  return steps.every(Boolean) ? steps : null;
}

export const laddersText = (ladders) => Object.entries(ladders ?? {}).flatMap(([model, steps]) => (steps.length ? steps.map((step) => `${model}=${ladderText([step])}`) : [`${model}=none`])).join(", ");

/** The ladders in "auto-chat=auto-chat-mini@80%, …" by model; null if a part is not of this form. */
export function laddersIn(text) {
  const ladders = {};
  for (const part of parts(text)) {
    const [model, step, ...rest] = part.split("=").map((each) => each.trim());
    const steps = step === "none" ? [] : ladderIn(step ?? "");
    if (!model || !step || rest.length || !steps) return null;
    ladders[model] = [...(ladders[model] ?? []), ...steps];
  }
  return ladders;
}

export const modelBudgetsText = (budgets) => Object.entries(budgets ?? {}).map(([model, budget]) => `${model}=${budget.budget_limit}${budget.time_period ? `/${budget.time_period}` : ""}`).join(", ");

/** The budgets in "auto-codex=5/1d, …" by model; null if a part is not of this form. */
export function modelBudgetsIn(text) {
  const budgets = {};
  for (const part of parts(text)) {
    const [model, budget, ...rest] = part.split("=").map((each) => each.trim());
    const [amount, period] = (budget ?? "").replace(/^\$/, "").split("/").map((each) => each.trim());
    if (!model || rest.length || !amount || !(Number(amount) >= 0)) return null;
    budgets[model] = { budget_limit: Number(amount), time_period: period || null };
  }
  return budgets;
}

// Settings of providers, models and deployments, with their units.

/** Units by setting or by group of settings. */
const UNITS = {
  timeouts: "s",
  cooldown: "s",
  max_inline_wait: "s",
  max_last_wait: "s",
  reserve_tokens: "tokens",
  stay: "min",
  hedge_after: "s",
  threshold: "%",
  context_window: "tokens",
  rpm_limit: "requests/min",
  tpm_limit: "tokens/min",
  max_parallel_requests: "concurrent",
  max_budget: "USD",
  price: "USD per million tokens",
};

/** The value of a setting, such as "timeouts" or "timeouts.connect", with its unit: "connect 5 s, total 840 s". */
export function settingText(name, value) {
  if (Array.isArray(value)) return value.map((each) => settingText(name, each)).join(", ");
  if (value && typeof value === "object") return Object.entries(value).map(([part, each]) => `${settingName(part)} ${settingText(`${name}.${part}`, each)}`).join(", ");
  if (typeof value === "boolean") return value ? "on" : "off";
  const unit = name.split(".").toReversed().map((part) => UNITS[part]).find(Boolean);
  return typeof value === "number" && unit ? `${value} ${unit}` : String(value);
}

export const settingName = (name) => name.replaceAll("_", " ").replaceAll(".", " ");

/** The settings of a row in one line, without the fields in `others`; empty if there are none. */
export function settingsText(row, others = []) {
  return Object.entries(row)
    .filter(([name, value]) => !others.includes(name) && value !== null && value !== undefined)
    .map(([name, value]) => `${settingName(name)}: ${settingText(name, value)}`)
    .join("; ");
}

// Formatting of numbers, money, times and states.

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });

export const NONE = "–";
const missing = (value) => value === null || value === undefined || Number.isNaN(value);

export const count = (value) => (missing(value) ? NONE : whole.format(value));
export const short = (value) => (missing(value) ? NONE : value < 10_000 ? whole.format(value) : compact.format(value));

/** Dollars, with more decimal places for smaller amounts. */
export function money(value) {
  if (missing(value)) return NONE;
  const size = Math.abs(value);
  const places = size === 0 || size >= 1 ? 2 : size >= 0.01 ? 3 : size >= 0.0001 ? 5 : 7;
  return `$${value.toLocaleString("en", { minimumFractionDigits: Math.min(places, 2), maximumFractionDigits: places })}`;
}

/** A cost, part of which may be unknown: an unknown price is never shown as $0. */
export function cost(value, unpriced = 0, requests = Infinity) {
  if (missing(value) || (unpriced && unpriced >= requests)) return "unknown";
  return unpriced ? `${money(value)} + ?` : money(value);
}

export function percent(part, of) {
  if (!of) return NONE;
  const share = (100 * part) / of;
  return `${share > 0 && share < 1 ? share.toFixed(1) : Math.round(share)}%`;
}

export function ms(value) {
  if (missing(value)) return NONE;
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 60_000) return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
  return duration(value / 1000);
}

/** Seconds in words: "4 s", "3 min 20 s", "2 h 5 min", "3 days". */
export function duration(seconds) {
  const rest = Math.max(0, Math.ceil(seconds));
  if (rest < 60) return `${rest} s`;
  if (rest < 3600) return join(Math.floor(rest / 60), "min", rest % 60, "s");
  if (rest < 86_400) return join(Math.floor(rest / 3600), "h", Math.floor((rest % 3600) / 60), "min");
  const days = Math.floor(rest / 86_400);
  return join(days, days === 1 ? "day" : "days", Math.floor((rest % 86_400) / 3600), "h");
}

const join = (major, name, minor, part) => (minor && major < 10 ? `${major} ${name} ${minor} ${part}` : `${major} ${name}`);

/** Parse a time: ISO text, epoch seconds or a Date. */
export function when(value) {
  if (missing(value) || value === "") return null;
  const time = value instanceof Date ? value : new Date(typeof value === "number" ? value * 1000 : value);
  return Number.isNaN(time.getTime()) ? null : time;
}

const formatted = (format) => (value) => {
  const time = when(value);
  return time ? format.format(time) : NONE;
};
export const timeOf = formatted(clock);
export const minuteOf = formatted(minute);
export const dayOf = formatted(date);
export const fullTime = formatted(full);

/** A time; without its date when it is today. */
export function moment(value) {
  const time = when(value);
  if (!time) return NONE;
  const today = new Date().toDateString() === time.toDateString();
  return today ? clock.format(time) : `${date.format(time)}, ${minute.format(time)}`;
}

/** A time relative to now: "in 3 days", "2 h ago". */
export function fromNow(value, now = Date.now()) {
  const time = when(value);
  if (!time) return NONE;
  const seconds = (time.getTime() - now) / 1000;
  return seconds >= 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`;
}

const VERDICTS = {
  transient: "transient failure",
  rate_limited: "rate limited",
  quota: "out of quota",
  auth: "provider key rejected",
  misconfigured: "misconfigured",
  context_length: "prompt too long for this model",
  unsupported: "not supported by this model",
  content_policy: "rejected by the provider's content policy",
  client: "request rejected as invalid",
};
export const verdict = (name) => VERDICTS[name] ?? (name || "failure").replaceAll("_", " ");

export const STATES = {
  healthy: "Healthy",
  cooling: "Cooling",
  due: "Ready to probe",
  probing: "Probing",
  off: "Disabled",
};

/** The budget periods in the forms. */
export const PERIODS = [
  ["", "never"],
  ["1h", "every hour"],
  ["1d", "every day"],
  ["7d", "every 7 days"],
  ["30d", "every 30 days"],
];
export const period = (text) => PERIODS.find(([value]) => value === (text ?? ""))?.[1] ?? `every ${text}`;

export const plural = (number, one, many = `${one}s`) => `${whole.format(number)} ${number === 1 ? one : many}`;

/** The name of a key: its alias, else its last characters. */
export const keyName = (key) => key.key_alias || key.key_name;

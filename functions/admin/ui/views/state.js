// How a deployment is: its dot, its words, and the time until it is tried again.

import { busy, button } from "../controls.js";
import { toast } from "../dialogs.js";
import { h } from "../dom.js";
import { clearCooldown } from "../endpoints.js";
import { duration, STATES, verdict, when } from "../format.js";
import { live, routerNow } from "../live.js";

/** The dot and the word. `entry` has `state`. */
export function stateBadge(entry) {
  return h("span", { class: `state ${entry.state}` }, h("i", { class: "state-dot", "aria-hidden": "true" }), STATES[entry.state] ?? entry.state);
}

/** Text that counts down to `until` and says what happens then. */
export function countdown(until, { before = "for another ", after = "being tried with the next request" } = {}) {
  const end = when(until)?.getTime();
  if (!end) return null;
  const element = h("span", { class: "countdown" });
  return live(element, () => {
    const left = (end - routerNow()) / 1000;
    element.textContent = left > 0 ? `${before}${duration(left)}` : after;
  });
}

/** Why it is left alone, as a sentence. */
export function reason(entry) {
  const why = entry.scope === "credential" ? "Its provider's key" : "It";
  const strikes = entry.strikes > 1 ? `, ${entry.strikes} times in a row` : "";
  const told = {
    transient: "failed in a way that usually passes by itself",
    rate_limited: "is rate limited",
    quota: "is out of quota",
    auth: "was refused",
    misconfigured: "does not work as configured",
  }[entry.verdict];
  if (!entry.verdict) return "";
  return `${why} ${told ?? `failed: ${verdict(entry.verdict)}`}${strikes}.`;
}

/** Forget a cooldown, so that the next request tries the deployment again. */
export function clearButton(entry, cleared) {
  const control = button("Clear cooldown", () => busy(control, clear), { "data-focus": `clear ${entry.deployment}`, "aria-label": `Clear the cooldown of ${entry.deployment}` });
  async function clear() {
    try {
      await clearCooldown(entry.deployment);
      toast(`${entry.deployment} takes part again.`);
      await cleared();
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
  }
  return control;
}

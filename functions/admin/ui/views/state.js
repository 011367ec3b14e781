// The state of a deployment: badge, reason, countdown, and the button that clears its cooldown.

import { busy, button } from "../controls.js";
import { toast } from "../dialogs.js";
import { h } from "../dom.js";
import { clearCooldown } from "../endpoints.js";
import { duration, STATES, verdict, when } from "../format.js";
import { live, routerNow } from "../live.js";

/** A dot and the state's name. `entry` has `state`. */
export function stateBadge(entry) {
  return h("span", { class: `state ${entry.state}` }, h("i", { class: "state-dot", "aria-hidden": "true" }), STATES[entry.state] ?? entry.state);
}

/** Text that counts down to `until`, then shows `after`. */
export function countdown(until, { before = "Next try in ", after = "The next request will try it" } = {}) {
  const end = when(until)?.getTime();
  if (!end) return null;
  const element = h("span", { class: "countdown" });
  return live(element, () => {
    const left = (end - routerNow()) / 1000;
    element.textContent = left > 0 ? `${before}${duration(left)}` : after;
  });
}

/** Why it is cooling, as a sentence. */
export function reason(entry) {
  if (!entry.verdict) return "";
  const text = verdict(entry.verdict);
  const scope = entry.scope === "credential" ? " (all deployments that use this key)" : "";
  const strikes = entry.strikes > 1 ? `, ${entry.strikes} failures in a row` : "";
  return `${text[0].toUpperCase()}${text.slice(1)}${scope}${strikes}.`;
}

/** A button that clears a cooldown, so that the next request may use the deployment. */
export function clearButton(entry, cleared) {
  const control = button("Clear cooldown", () => busy(control, clear), { "data-focus": `clear ${entry.deployment}`, "aria-label": `Clear the cooldown of ${entry.deployment}` });
  async function clear() {
    try {
      await clearCooldown(entry.deployment);
      toast(`Cooldown of ${entry.deployment} cleared.`);
      await cleared();
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
  }
  return control;
}

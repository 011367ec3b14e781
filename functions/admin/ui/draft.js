// What outlives a change of view: an edit of the routes that is not saved yet, and the key that was just made.

import { routerNow } from "./live.js";

let draft = null; // {version, digest, base, edited}: `base` is what was read, `edited` what it is to become
let made = null; // {key, name, expires?}: a temporary one expires; the key's text is known only to whoever made it, and only until the page is closed

export const currentDraft = () => draft;
export const setDraft = (value) => (draft = value);
export const unsaved = () => Boolean(draft && changedRows(draft).length);

/** The key that was just made; a temporary one for as long as it works. */
export const madeKey = () => (made?.expires && Date.parse(made.expires) <= routerNow() ? null : made);
export const setMadeKey = (value) => (made = value);

/** The rows that an edit changes: {kind, name, change, from, to}. */
export function changedRows({ base, edited }) {
  const rows = [];
  for (const [kind, part] of [["provider", "providers"], ["model", "models"]]) {
    for (const name of new Set([...Object.keys(base[part]), ...Object.keys(edited[part])])) {
      const from = base[part][name];
      const to = edited[part][name];
      if (same(from, to)) continue;
      rows.push({ kind, name, part, change: !from ? "added" : !to ? "removed" : "changed", from, to });
    }
  }
  if (!same(base.defaults, edited.defaults)) rows.push({ kind: "defaults", name: "defaults", part: null, change: "changed", from: base.defaults, to: edited.defaults });
  return rows;
}

/** Whether two values of JSON say the same; the order of an object's members says nothing. */
export function same(left, right) {
  return canonical(left) === canonical(right);
}

function canonical(value) {
  return JSON.stringify(value, (_, each) =>
    each && typeof each === "object" && !Array.isArray(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each,
  );
}

// State that survives a change of view: an unsaved edit of the routes, and the key that was just created.

import { routerNow } from "./live.js";

let draft = null; // {version, digest, base, edited}: the rows as read and as edited
let created = null; // {key, name, expires?}: the key's text is in this page's memory only

export const currentDraft = () => draft;
export const setDraft = (value) => (draft = value);
export const unsaved = () => Boolean(draft && changedRows(draft).length);

/** The key that was just created, unless it has expired. */
export const createdKey = () => (created?.expires && Date.parse(created.expires) <= routerNow() ? null : created);
export const setCreatedKey = (value) => (created = value);

/** The rows that an edit changes: {kind, name, part, change, from, to}. */
export function changedRows({ base, edited }) {
  const rows = [];
  for (const [kind, part] of [["provider", "providers"], ["model", "models"], ["alias", "aliases"], ["guard", "guards"]]) {
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

/** Whether two JSON values are equal, whatever the order of their members. */
export function same(left, right) {
  return canonical(left) === canonical(right);
}

function canonical(value) {
  return JSON.stringify(value, (_, each) =>
    each && typeof each === "object" && !Array.isArray(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each,
  );
}

// Concurrent edits of the routes: both side by side, and their merge.

import { button, segmented } from "../controls.js";
import { h } from "../dom.js";
import { changedRows, same } from "../draft.js";
import { rowChanges } from "./differences.js";
import { rowsOf } from "./rows.js";

/** Both edits side by side. Closes with the merged draft, or undefined. */
export function sideBySide(draft, fresh, close) {
  const theirs = changedRows({ base: draft.base, edited: rowsOf(fresh) });
  const mine = changedRows(draft);
  const keyOf = (row) => `${row.kind} ${row.name}`;
  const theirsByKey = new Map(theirs.map((row) => [keyOf(row), row]));
  const choice = new Map(mine.map((row) => [keyOf(row), "mine"]));
  const both = mine.filter((row) => theirsByKey.has(keyOf(row)) && !same(row.to, theirsByKey.get(keyOf(row)).to));
  const onlyTheirs = theirs.filter((row) => !choice.has(keyOf(row)));
  const onlyMine = mine.filter((row) => !theirsByKey.has(keyOf(row)));

  function merged() {
    const edited = structuredClone(rowsOf(fresh));
    for (const row of mine) {
      if (choice.get(keyOf(row)) === "theirs") continue;
      if (row.kind === "defaults") edited.defaults = row.to;
      else if (row.to === undefined) delete edited[row.part][row.name];
      else edited[row.part][row.name] = structuredClone(row.to);
    }
    return { version: fresh.version, digest: fresh.digest, base: rowsOf(fresh), edited };
  }

  return [
    h("p", { class: "quiet" }, fresh.version === draft.version ? "Rows were changed in the table while you edited." : `Version ${fresh.version} was saved while you edited version ${draft.version}.`),
    both.length ? h("h3", { class: "spaced" }, "Changed by both") : null,
    both.map((row) => {
      const other = theirsByKey.get(keyOf(row));
      return h(
        "section",
        { class: "conflict" },
        h("h4", { class: "mono" }, row.name),
        segmented(`Which version of ${row.name}`, [["mine", "Keep yours"], ["theirs", "Take theirs"]], "mine", (value) => choice.set(keyOf(row), value)),
        h("div", { class: "versions" }, h("div", {}, h("h5", {}, "Yours"), rowChanges(row.from, row.to)), h("div", {}, h("h5", {}, "Theirs"), rowChanges(other.from, other.to))),
      );
    }),
    onlyMine.length ? [h("h3", { class: "spaced" }, "Changed by you only"), onlyMine.map(rowSummary)] : null,
    onlyTheirs.length ? [h("h3", { class: "spaced" }, "Changed by them only"), onlyTheirs.map(rowSummary)] : null,
    h("div", { class: "actions spaced" }, button("Keep editing", () => close()), button("Merge", () => close(merged()), { kind: "primary" })),
  ];
}

const rowSummary = (row) => h("section", { class: "difference" }, h("h4", { class: "mono" }, row.name), rowChanges(row.from, row.to));

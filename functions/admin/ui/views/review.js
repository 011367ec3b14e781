// From an edit to the table: the differences, a conflict with somebody else's edit, history and the way back.

import { ApiError, get, post, put } from "../api.js";
import { button, busy, confirm, empty, failure, field, h, icon, openDialog, openFilled, segmented, skeleton, swap, toast } from "../dom.js";
import { changedRows, currentDraft, same, setDraft } from "../draft.js";
import { fullTime, fromNow, plural } from "../format.js";
import { idOf, layersOf, priceOf } from "./chain.js";
import { rowsOf } from "./models.js";

/** Show what would change, take a note, save. Resolves with the new version, or nothing when it was not saved. */
export async function reviewDialog(reload) {
  const body = h("div", {}, skeleton(3));
  const note = h("input", { maxlength: "500", placeholder: "Why, for whoever reads the history", autocomplete: "off" });
  const outcome = await openDialog(
    "Review the changes",
    (close) => {
      look(close);
      return body;
    },
    { wide: true },
  );
  if (outcome === "conflict") return resolveConflict(reload);
  return outcome;

  async function look(close) {
    const { edited } = currentDraft();
    try {
      const found = await post("routes/dry-run", edited);
      const save = button("Save", () => busy(save, () => keep(close)), { kind: "primary", disabled: found.problems.length > 0 || !found.changes.length });
      swap(
        body,
        found.problems.length
          ? h("div", { class: "notice bad" }, icon("warn"), h("div", {}, h("p", {}, h("strong", {}, "This can't be saved yet.")), h("ul", {}, found.problems.map((each) => h("li", {}, h("code", {}, each.path), `: ${each.reason}`)))))
          : null,
        found.changes.length ? differences(found.changes) : found.problems.length ? null : h("p", {}, "Nothing differs from what is saved."),
        found.problems.length ? null : h("form", { class: "form spaced", on: { submit: (event) => (event.preventDefault(), save.click()) } }, field("Note", note)),
        h("p", { class: "hint spaced" }, "Live within ten seconds, for every caller."),
        h("div", { class: "actions" }, button("Go on editing", () => close()), save),
      );
      (found.problems.length ? body.querySelector(".notice") : note).focus?.();
    } catch (error) {
      swap(body, failure(error, () => look(close)));
    }
  }

  async function keep(close) {
    const { version, digest, edited } = currentDraft();
    try {
      const saved = await put("routes", { version, digest, ...edited, note: note.value.trim() || undefined });
      setDraft(null);
      savedToast(saved, reload);
      close(saved.version);
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) close("conflict");
      else if (error.body?.error?.problems) look(close);
      else swap(body, failure(error, () => look(close)));
    }
  }
}

function savedToast(saved, reload) {
  toast(`Saved as version ${saved.version}.`, {
    action: ["Undo", () => rollBack(saved, saved.version - 1, `Undo version ${saved.version}`, reload)],
  });
}

/** Write version `to` over what was seen last. */
async function rollBack({ version, digest }, to, note, reload) {
  try {
    const answer = await post("routes/rollback", { version, digest, to, note });
    toast(`Back at what version ${to} said, as version ${answer.version}.`);
    await reload();
    return true;
  } catch (error) {
    toast(error.status === 409 ? "Somebody has saved since. Look at the history, then choose again." : error.message, { kind: "bad" });
    return false;
  }
}

// --- two editors ---

/** Somebody saved in between: show theirs beside ours, row by row, and put both together. Nothing is lost. */
async function resolveConflict(reload) {
  const draft = currentDraft();
  const together = await openFilled(
    "Somebody saved in between",
    () => get("routes"),
    (fresh, close) => sideBySide(draft, fresh, close),
    { wide: true, describe: "Your changes are all still here." },
  );
  if (!together) return undefined;
  setDraft(together);
  return reviewDialog(reload);
}

/** Theirs beside ours. Closes with the draft of both together, or with nothing. */
function sideBySide(draft, fresh, close) {
  const theirs = changedRows({ base: draft.base, edited: rowsOf(fresh) });
  const mine = changedRows(draft);
  const keyOf = (row) => `${row.kind} ${row.name}`;
  const theirsByKey = new Map(theirs.map((row) => [keyOf(row), row]));
  const choice = new Map(mine.map((row) => [keyOf(row), "mine"]));
  const both = mine.filter((row) => theirsByKey.has(keyOf(row)) && !same(row.to, theirsByKey.get(keyOf(row)).to));
  const onlyTheirs = theirs.filter((row) => !choice.has(keyOf(row)));
  const onlyMine = mine.filter((row) => !theirsByKey.has(keyOf(row)));

  function together() {
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
    h("p", { class: "quiet" }, fresh.version === draft.version ? "Rows of the table were changed while you edited." : `Version ${fresh.version} was saved while you edited version ${draft.version}.`),
    both.length ? h("h3", { class: "spaced" }, "Changed by both of you") : null,
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
    onlyMine.length ? [h("h3", { class: "spaced" }, "Changed by you alone"), onlyMine.map(rowSummary)] : null,
    onlyTheirs.length ? [h("h3", { class: "spaced" }, "Changed by them alone"), onlyTheirs.map(rowSummary)] : null,
    h("div", { class: "actions spaced" }, button("Back to editing", () => close()), button("Put both together", () => close(together()), { kind: "primary" })),
  ];
}

const rowSummary = (row) => h("section", { class: "difference" }, h("h4", { class: "mono" }, row.name), rowChanges(row.from, row.to));

// --- differences ---

/** The API's differences: {row, change, fields: {name: {from, to}}}. */
export function differences(changes) {
  return h(
    "div",
    { class: "differences" },
    changes.map((each) =>
      h(
        "section",
        { class: "difference" },
        h("h4", {}, h("span", { class: "mono" }, each.row.replace(/^(models?|providers?)[ ./]/, "")), " ", h("span", { class: `chip ${each.change}` }, each.change)),
        Object.entries(each.fields ?? {}).map(([name, { from, to }]) => difference(name, from, to)),
      ),
    ),
  );
}

function rowChanges(from, to) {
  if (!to) return h("p", {}, "Removed.");
  const names = new Set([...Object.keys(from ?? {}), ...Object.keys(to)]);
  return [...names].filter((name) => !same(from?.[name], to[name])).map((name) => difference(name, from?.[name], to[name]));
}

function difference(name, from, to) {
  const before = lines(name, from);
  const after = lines(name, to);
  const kept = new Set(before.filter((line) => after.includes(line)));
  return h(
    "div",
    { class: "diff" },
    h("p", { class: "diff-name" }, spokenField(name)),
    h(
      "ul",
      {},
      before.filter((line) => !kept.has(line)).map((line) => h("li", { class: "gone" }, h("span", { class: "sr" }, "before: "), h("del", {}, line))),
      after.map((line) => (kept.has(line) ? h("li", {}, line) : h("li", { class: "come" }, h("span", { class: "sr" }, "now: "), h("ins", {}, line)))),
    ),
  );
}

// The API tells of a chain layer by layer: chain[0] is the first.
const LAYER = /^chain\[(\d+)\]$/;

const spokenField = (name) => (LAYER.test(name) ? `layer ${Number(LAYER.exec(name)[1]) + 1}` : name.replaceAll("_", " ").replaceAll(".", " "));

function lines(name, value) {
  if (value === undefined || value === null || value === "") return [];
  if (LAYER.test(name)) return [layerLine(Array.isArray(value) ? value : [value])];
  if (name === "chain" && Array.isArray(value)) return layersOf({ chain: value }).map((layer, index) => `${index + 1}  ${layerLine(layer)}`);
  if (typeof value === "object") return Object.entries(value).map(([part, each]) => `${part}: ${typeof each === "object" ? JSON.stringify(each) : each}`);
  return [String(value)];
}

const layerLine = (layer) => layer.map((member) => memberLine(member, layer.length > 1)).join("  |  ");

function memberLine(member, shared) {
  const { provider: _, model: __, weight = 1, price, enabled, ...rest } = member;
  return [idOf(member), shared && `weight ${weight}`, price && priceOf(price), enabled === false && "switched off", Object.keys(rest).length && JSON.stringify(rest)].filter(Boolean).join(", ");
}

// --- history ---

export function historyDialog(reload) {
  const read = async () => {
    const [{ versions }, now] = await Promise.all([get("routes/history", { limit: 200 }), get("routes")]);
    return { versions, now };
  };
  const list = ({ versions, now }, close) =>
    versions.length ? h("ol", { class: "history" }, versions.map((each) => entry(each, now, close))) : empty("No versions yet", "Every save on this page becomes a version that you can go back to.");
  function entry(version, now, close) {
    return h(
      "li",
      {},
      h("div", { class: "history-head" }, h("h3", {}, `Version ${version.version}`), version.version === now.version ? h("span", { class: "chip" }, "live now") : button("Roll back to this", () => back(version, now, close), { "aria-label": `Roll back to version ${version.version}` })),
      h("p", { class: "quiet" }, `${fullTime(version.at)} (${fromNow(version.at)})${version.by ? `, by ${version.by}` : ""}`),
      version.note && h("p", { class: "note" }, version.note),
      version.changes?.length ? h("details", {}, h("summary", {}, plural(version.changes.length, "row")), differences(version.changes)) : null,
    );
  }
  async function back(version, now, close) {
    if (currentDraft() && changedRows(currentDraft()).length) {
      toast("Save or discard your changes first.", { kind: "bad" });
      return;
    }
    if (!(await confirm(`Roll back to version ${version.version}?`, "What it said becomes a new version, live within ten seconds. The versions in between stay in the history.", "Roll back", { danger: false }))) return;
    if (await rollBack(now, version.version, `Back to version ${version.version}`, reload)) close();
  }
  return openFilled("History", read, list, { side: true, describe: "Every version that was saved, newest first." });
}

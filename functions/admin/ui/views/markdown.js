// Markdown as elements: headings, lists, quotes, tables, code, emphasis and links. HTML in it stays text, and pictures are
// links, as a page that shows an answer must not load what the answer names.

import { h } from "../dom.js";

/** Draw a text. Its time is linear in the text's length. */
export function markdown(text) {
  const lines = text.split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    const [block, next] = blockAt(lines, at);
    if (block) blocks.push(block);
    at = next;
  }
  return h("div", { class: "markdown" }, blocks);
}

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})\s+/;
const ITEM = /^( {0,12})([-*+]|\d{1,9}[.)])\s+/;
const QUOTE = /^ {0,3}> ?/;
const RULE = /^ {0,3}([-*_])\s*\1\s*\1[-*_\s]*$/;
const isDelimiter = (line) => line.includes("|") && line.includes("-") && /^[\s|:-]+$/.test(line);

/** The block that begins at a line, null for an empty line, and the line after it. */
function blockAt(lines, at) {
  const line = lines[at];
  if (!line.trim()) return [null, at + 1];
  if (FENCE.test(line)) return codeAt(lines, at);
  const heading = HEADING.exec(line);
  // An answer has a heading of its own: those in its text begin below it.
  if (heading) return [h(`h${Math.min(heading[1].length + 2, 6)}`, {}, inline(line.slice(heading[0].length))), at + 1];
  if (RULE.test(line)) return [h("hr", {}), at + 1];
  if (QUOTE.test(line)) return quoteAt(lines, at);
  if (ITEM.test(line)) return listAt(lines, at);
  if (line.includes("|") && isDelimiter(lines[at + 1] ?? "")) return tableAt(lines, at);
  return paragraphAt(lines, at);
}

const startsBlock = (line) => !line.trim() || FENCE.test(line) || HEADING.test(line) || QUOTE.test(line) || ITEM.test(line);

/** The lines from `at` on for which `belongs` is true, and the line after them. */
function take(lines, at, belongs) {
  let end = at;
  while (end < lines.length && belongs(lines[end])) end += 1;
  return [lines.slice(at, end), end];
}

function codeAt(lines, at) {
  const fence = FENCE.exec(lines[at])[1];
  const [code, end] = take(lines, at + 1, (line) => !line.trim().startsWith(fence));
  const language = lines[at].trim().slice(fence.length).trim().split(/\s/)[0];
  return [h("pre", { tabindex: "0", "aria-label": language ? `Code, ${language}` : "Code", role: "region" }, h("code", {}, code.join("\n"))), end + 1];
}

function quoteAt(lines, at) {
  const [quoted, end] = take(lines, at, (line) => QUOTE.test(line));
  return [h("blockquote", {}, inline(quoted.map((line) => line.replace(QUOTE, "")).join("\n"))), end];
}

function listAt(lines, at) {
  const isNumbered = /\d/.test(ITEM.exec(lines[at])[2]);
  const items = [];
  const [, end] = take(lines, at, (line) => {
    const item = ITEM.exec(line);
    if (item) items.push({ depth: Math.min(Math.floor(item[1].length / 2), 3), text: line.slice(item[0].length) });
    else if (line.trim() && items.length && !startsBlock(line)) items.at(-1).text += `\n${line.trim()}`;
    else return false;
    return true;
  });
  const start = isNumbered ? Number.parseInt(ITEM.exec(lines[at])[2], 10) : undefined;
  return [h(isNumbered ? "ol" : "ul", { start }, items.map(({ depth, text }) => h("li", { class: depth ? `depth-${depth}` : undefined }, inline(text)))), end];
}

function tableAt(lines, at) {
  const [rows, end] = take(lines, at, (line) => line.includes("|"));
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const row = (line, tag) => h("tr", {}, cells(line).map((cell) => h(tag, { scope: tag === "th" ? "col" : undefined }, inline(cell))));
  return [h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table" }, h("table", {}, h("thead", {}, row(rows[0], "th")), h("tbody", {}, rows.slice(2).map((line) => row(line, "td"))))), end];
}

function paragraphAt(lines, at) {
  const [rest, end] = take(lines, at + 1, (line) => !startsBlock(line));
  return [h("p", {}, inline([lines[at], ...rest].join("\n"))), end];
}

// Each part is bounded, so that an opening mark without an end costs no more than its bound.
const INLINE = /(`[^`\n]{1,500}`)|(\*\*[^*\n]{1,500}\*\*)|(\*[^*\s][^*\n]{0,500}\*)|(!?\[[^\]\n]{0,300}\]\([^)\s]{1,1000}\))|(https?:\/\/[^\s<>()"']{1,1000})/;
const LONGEST = 20_000; // characters of a block whose marks are read

/** The parts of a text: strings and elements. */
function inline(text) {
  const parts = [];
  let rest = text.slice(0, LONGEST);
  for (let found = INLINE.exec(rest); found; found = INLINE.exec(rest)) {
    parts.push(rest.slice(0, found.index), drawn(found));
    rest = rest.slice(found.index + found[0].length);
  }
  return [...parts, rest, text.slice(LONGEST)].filter(Boolean);
}

function drawn([all, code, strong, emphasis, reference]) {
  if (code) return h("code", {}, code.slice(1, -1));
  if (strong) return h("strong", {}, strong.slice(2, -2));
  if (emphasis) return h("em", {}, emphasis.slice(1, -1));
  if (!reference) return link(all, all);
  const split = reference.lastIndexOf("](");
  const label = reference.slice(reference.indexOf("[") + 1, split);
  return link(reference.slice(split + 2, -1), label || "picture");
}

/** A link to the web; any other address stays text. */
function link(address, label) {
  return /^(https?|mailto):/i.test(address) ? h("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, label) : `${label} (${address})`;
}

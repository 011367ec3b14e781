// Small charts in SVG. Screen readers get a one-sentence summary; a table below has the numbers.

import { h, s, swap } from "./dom.js";
import { NONE } from "./format.js";

const opened = new Set(); // charts whose numbers are shown, across redraws
const HEIGHT = 168;
const EDGE = { top: 12, right: 4, bottom: 24, left: 46 };

/**
 * A chart over time. `series` are {name, tone, value(point)}; bars are stacked, lines may have gaps.
 * `points` have `label` (on the axis) and `title` (in full); `format` writes a value.
 */
export function chart({ title, kind = "bars", series, points, format, summary, empty = "No data for this period." }) {
  const total = (point) => series.reduce((sum, each) => sum + (each.value(point) ?? 0), 0);
  const values = kind === "bars" ? points.map(total) : points.map((point) => Math.max(...series.map((each) => each.value(point) ?? 0)));
  const top = ceiling(Math.max(...values, 0));
  // Wide enough for the longest number, at a font size of 12 pixels.
  const edge = { ...EDGE, left: Math.max(EDGE.left, 14 + 7 * Math.max(...[0, 0.5, 1].map((part) => format(top * part).length))) };
  const hasData = points.some((point) => series.some((each) => each.value(point)));
  const tip = h("div", { class: "tip", "aria-hidden": "true", hidden: true });
  const plot = h("div", { class: "plot", style: { "min-height": `${HEIGHT}px` } });
  const numbers = h("details", { class: "numbers" }, h("summary", {}, h("span", {}, "Numbers"), h("span", { class: "sr" }, ` of ${title}`)));
  numbers.addEventListener("toggle", () => {
    if (numbers.open && numbers.children.length < 2) numbers.append(asTable(title, series, points, format));
    if (numbers.open) opened.add(title);
    else opened.delete(title);
  });
  numbers.open = opened.has(title);

  function draw(width) {
    const inner = { width: width - edge.left - edge.right, height: HEIGHT - edge.top - edge.bottom };
    const step = inner.width / points.length;
    const y = (value) => edge.top + inner.height * (1 - value / top);
    const x = (index) => edge.left + step * index;
    const every = Math.ceil(points.length / Math.max(2, Math.floor(inner.width / 64)));
    const highlight = s("rect", { class: "highlight", y: edge.top, height: inner.height, width: step, visibility: "hidden" });
    const drawing = s(
      "svg",
      { width, height: HEIGHT, role: "img", "aria-label": `${title}. ${summary}` },
      [0, 0.5, 1].map((part) => [
        s("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: y(top * part), y2: y(top * part) }),
        s("text", { class: "axis", x: edge.left - 8, y: y(top * part) + 4, "text-anchor": "end" }, format(top * part)),
      ]),
      highlight,
      points.map((point, index) =>
        index % every === 0 && x(index) + step / 2 < width - 14
          ? s("text", { class: "axis", x: x(index) + step / 2, y: HEIGHT - 6, "text-anchor": "middle" }, point.label)
          : null,
      ),
      kind === "bars" ? bars({ x, y, step }) : series.map((each) => line(each, { x, y, step })),
    );
    drawing.addEventListener("pointermove", (event) => {
      const left = event.clientX - drawing.getBoundingClientRect().left;
      const index = Math.floor((left - edge.left) / step);
      const point = points[index];
      if (!point) return leave();
      highlight.setAttribute("x", x(index));
      highlight.setAttribute("visibility", "visible");
      swap(tip, h("strong", {}, point.title), series.map((each) => h("span", {}, h("i", { class: `key ${each.tone}` }), `${each.name} `, h("b", {}, shown(each, point, format)))));
      tip.hidden = false;
      const at = Math.min(Math.max(x(index) + step / 2 - tip.offsetWidth / 2, 0), width - tip.offsetWidth);
      tip.style.setProperty("left", `${at}px`);
    });
    const leave = () => {
      tip.hidden = true;
      highlight.setAttribute("visibility", "hidden");
    };
    drawing.addEventListener("pointerleave", leave);
    return drawing;
  }

  function bars({ x, y, step }) {
    const width = Math.min(Math.max(step * 0.68, 1), 28);
    return points.map((point, index) => {
      let base = 0;
      return series.map((each) => {
        const value = each.value(point) ?? 0;
        if (!value) return null;
        const from = base;
        base += value;
        const height = Math.max(y(from) - y(base), 1.5);
        return s("rect", { class: `bar ${each.tone}`, x: x(index) + (step - width) / 2, y: y(from) - height, width, height, rx: Math.min(2, width / 3) });
      });
    });
  }

  function line(single, { x, y, step }) {
    const at = points.map((point, index) => {
      const value = single.value(point);
      return value === null || value === undefined ? null : [x(index) + step / 2, y(value)];
    });
    const path = at.map((place, index) => (place ? `${at[index - 1] ? "L" : "M"}${place[0].toFixed(1)} ${place[1].toFixed(1)}` : "")).join("");
    // A point without neighbours is on no line: it needs a dot.
    const dots = at.map((place, index) => (place && (points.length < 40 || (!at[index - 1] && !at[index + 1])) ? s("circle", { class: `dot ${single.tone}`, cx: place[0], cy: place[1], r: 2.6 }) : null));
    return [s("path", { class: `line ${single.tone}`, d: path }), dots];
  }

  if (hasData) {
    let last = 0;
    const redraw = () => {
      const width = Math.floor(plot.clientWidth);
      if (!width || width === last) return;
      last = width;
      swap(plot, draw(width), tip);
    };
    new ResizeObserver(redraw).observe(plot);
  } else plot.append(h("p", { class: "plot-empty" }, empty));

  return h(
    "figure",
    { class: "chart" },
    h(
      "figcaption",
      {},
      h("h3", {}, title),
      series.length > 1 && h("ul", { class: "legend" }, series.map((each) => h("li", {}, h("i", { class: `key ${each.tone}` }), each.name))),
    ),
    plot,
    hasData && numbers,
  );
}

function shown(each, point, format) {
  const value = each.value(point);
  return value === null || value === undefined ? NONE : format(value);
}

function asTable(title, series, points, format) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": `Numbers of ${title}` },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), series.map((each) => h("th", { scope: "col", class: "number" }, each.name)))),
      h("tbody", {}, points.map((point) => h("tr", {}, h("th", { scope: "row" }, point.title), series.map((each) => h("td", { class: "number" }, shown(each, point, format)))))),
    ),
  );
}

/** The next round number at or above `value` whose half is as round: 2, 4, 6, 8 or 10 times a power of ten; never 0. */
export function ceiling(value) {
  if (!(value > 0)) return 2;
  const power = 10 ** Math.floor(Math.log10(value));
  return [2, 4, 6, 8, 10].find((each) => each * power >= value * 0.9999) * power;
}

/** A share as a bar, with a label for screen readers. */
export function meter(value, most, { label, tone } = {}) {
  const share = most > 0 ? Math.min(value / most, 1) : 0;
  return h(
    "div",
    {
      class: `meter ${tone ?? (share >= 1 ? "bad" : share >= 0.8 ? "warn" : "")}`,
      role: "meter",
      "aria-label": label,
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      "aria-valuenow": String(Math.round(share * 100)),
    },
    h("span", { style: { width: `${(share * 100).toFixed(1)}%` } }),
  );
}

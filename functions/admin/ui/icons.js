// The icons: paths in a box of 24 by 24.

import { s } from "./dom.js";

const ICONS = {
  overview: "M3 13h4l2-7 4 13 3-9 1 3h4",
  usage: "M4 20V11m5 9V5m5 15v-7m5 7V8",
  models: "M5 6h4c4 0 3 6 7 6h3M5 18h4c4 0 3-6 7-6M5 6h.01M5 18h.01",
  keys: "M14.5 9.5 20 4m-2 2 2 2m-4.5.5 1.5 1.5M15 13.5a5 5 0 1 1-4.5-4.5 5 5 0 0 1 4.5 4.5Z",
  requests: "M4 6h16M4 12h16M4 18h10",
  me: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-8 9a8 8 0 0 1 16 0",
  audit: "M6 3h12v18H6zM9 8h6M9 12h6M9 16h3",
  alerts: "M6 16V11a6 6 0 0 1 12 0v5l2 2H4l2-2Zm4 5h4",
  complexity: "M4 12h6m0 0c5 0 4-6 10-6m-10 6c5 0 4 6 10 6M4 12h.01",
  good: "M7 11v9H4v-9zm0 0 4-8c1.700 0 2.500 1 2.500 2.500L13 9h6l-1.500 9-1 2H7",
  bad: "M7 13V4H4v9zm0 0 4 8c1.700 0 2.500-1 2.500-2.500L13 15h6l-1.500-9-1-2H7",
  playground: "M4 5h16v11H9l-5 4V5Z",
  api: "m8 7-5 5 5 5m8-10 5 5-5 5M14 4l-4 16",
  light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0-5v2m0 14v2M3 12h2m14 0h2M5.6 5.6 7 7m10 10 1.4 1.4M18.4 5.6 17 7M7 17l-1.4 1.4",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.500 10.500Z",
  system: "M4 5h16v11H4zM9 20h6m-3-4v4",
  out: "M10 4H5v16h5m5-12 4 4-4 4m4-4H9",
  up: "m6 14 6-6 6 6",
  down: "m6 10 6 6 6-6",
  download: "M12 4v11m-4-4 4 4 4-4M5 20h14",
  left: "m14 6-6 6 6 6",
  right: "m10 6 6 6-6 6",
  plus: "M12 5v14M5 12h14",
  close: "m6 6 12 12M18 6 6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "m5 12.500 4.500 4.500L19 7.500",
  drag: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  trash: "M5 7h14M10 7V4h4v3m3 0-1 13H8L7 7",
  edit: "m5 19 1-4L16 5l3 3L9 18l-4 1Z",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  warn: "M12 4 2.500 20h19L12 4Zm0 6v5m0 2.500v.01",
  stop: "M7 7h10v10H7z",
  send: "m4 12 16-8-6 16-3-7-7-1Z",
  picture: "M4 5h16v14H4zm0 11 5-5 4 4 3-3 4 4M15.500 9h.01",
  key: "M14.5 9.5 20 4m-2 2 2 2m-4.5.5 1.5 1.5M15 13.5a5 5 0 1 1-4.5-4.5 5 5 0 0 1 4.5 4.5Z",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16Zm0 4v4l3 2",
  history: "M4 12a8 8 0 1 0 2.500-5.800L4 8.500M4 4v4.500h4.500M12 8v4l3 2",
  rotate: "M19 8.500A8 8 0 1 0 20 12m0-8v5h-5",
  block: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16ZM6.500 6.500l11 11",
  explain: "M9.500 9a2.500 2.500 0 1 1 3.500 2.500c-.7.4-1 .9-1 1.700m0 3.300v.01M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
};

/** An icon, hidden from screen readers. */
export function icon(name) {
  return s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name] }));
}

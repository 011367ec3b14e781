// Pictures of a message in the playground: chosen, pasted or dropped, and sent as data URLs.

import { button } from "../controls.js";
import { toast } from "../dialogs.js";
import { h, swap } from "../dom.js";

const TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MOST_BYTES = 3_000_000; // of all pictures: a request to API Gateway may have 4.5 MB, and base64 adds a third

/** A picker of pictures. `pictures` is a list of {name, url, size}; the picker changes it in place. */
export function picturePicker(pictures) {
  const list = h("ul", { class: "pictures", "aria-label": "Attached pictures" });
  const chooser = h("input", { type: "file", accept: TYPES.join(","), multiple: true, hidden: true, "aria-label": "Attach pictures", on: { change: (event) => (add(event.target.files), (event.target.value = "")) } });
  const attach = button("Attach pictures", () => chooser.click(), { icon: "picture", kind: "quiet", only: true });

  function draw() {
    swap(list, pictures.map((picture) => h("li", {}, h("img", { src: picture.url, alt: picture.name }), button(`Delete ${picture.name}`, () => drop(picture), { kind: "quiet", icon: "close", only: true }))));
    list.hidden = !pictures.length;
  }

  function drop(picture) {
    pictures.splice(pictures.indexOf(picture), 1);
    draw();
  }

  async function add(files) {
    for (const file of files) {
      const held = pictures.reduce((sum, each) => sum + each.size, 0);
      if (!TYPES.includes(file.type)) toast(`${file.name} is not a PNG, JPEG, GIF or WebP picture.`, { kind: "bad" });
      else if (held + file.size > MOST_BYTES) toast(`${file.name} is too large: pictures of a message may have 3 MB together.`, { kind: "bad" });
      else pictures.push({ name: file.name, url: await dataUrl(file), size: file.size });
    }
    draw();
  }

  /** Let pictures be pasted into and dropped onto an element. */
  function accept(element) {
    const filesOf = (transfer) => [...(transfer?.files ?? [])];
    element.addEventListener("paste", (event) => filesOf(event.clipboardData).length && (event.preventDefault(), add(filesOf(event.clipboardData))));
    element.addEventListener("dragover", (event) => event.preventDefault());
    element.addEventListener("drop", (event) => filesOf(event.dataTransfer).length && (event.preventDefault(), add(filesOf(event.dataTransfer))));
  }

  draw();
  return { list, controls: [chooser, attach], accept, draw };
}

/** The content of a user's message: its text alone, or parts. */
export function contentOf({ text, pictures }) {
  if (!pictures.length) return text;
  return [...(text ? [{ type: "text", text }] : []), ...pictures.map(({ url }) => ({ type: "image_url", image_url: { url } }))];
}

const dataUrl = (file) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });

// The frame of the page: who is signed in, which view is shown, light or dark.

import { busy, button, failure, field, skeleton } from "./controls.js";
import { openDialog } from "./dialogs.js";
import { h, s, swap } from "./dom.js";
import { unsaved } from "./draft.js";
import { icon } from "./icons.js";
import { currentSession, onSignIn, resume, setSession, signInWith, signOut } from "./session.js";
import * as overview from "./views/overview.js";

const shell = document.getElementById("shell");

// Views are loaded when they are first shown, so that the first one is there soon.
const VIEWS = {
  overview: { title: "Overview", load: async () => overview },
  models: { title: "Models", load: () => import("./views/models.js") },
  keys: { title: "Keys", load: () => import("./views/keys.js") },
  requests: { title: "Requests", load: () => import("./views/requests.js") },
  playground: { title: "Playground", load: () => import("./views/playground.js") },
  api: { title: "API", load: () => import("./views/api.js") },
};

let main = null;
let leaving = new AbortController(); // aborted when the view is left: ends what it repeats and reads

async function start() {
  swap(shell, h("main", { class: "sign-in", id: "main" }, skeleton(2)));
  try {
    if (await resume()) enter();
    else welcome();
  } catch (error) {
    swap(shell, h("main", { class: "sign-in", id: "main" }, brand(), failure(error, start)));
  }
}

// --- signing in ---

function welcome() {
  document.title = "Sign in · Vibe Router";
  leaving.abort();
  main = null;
  const form = signInForm(enter);
  swap(shell, h("main", { class: "sign-in", id: "main" }, h("div", { class: "sign-in-card" }, brand(), h("h1", {}, "Sign in"), form)));
  form.querySelector("input").focus();
}

function signInForm(done, username = "") {
  const name = h("input", { name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true, value: username });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const wrong = h("p", { class: "form-error", role: "alert" });
  const submit = button("Sign in", null, { kind: "primary", type: "submit" });
  const form = h(
    "form",
    { class: "form", on: { submit: (event) => (event.preventDefault(), busy(submit, send)) } },
    field("Name", name),
    field("Password", password),
    wrong,
    submit,
    h("p", { class: "hint" }, "With nothing else configured the name is “admin” and the password is the master key."),
  );
  async function send() {
    wrong.textContent = "";
    try {
      await signInWith(name.value, password.value);
      done();
    } catch (error) {
      wrong.textContent = error.message;
      password.select();
      password.focus();
    }
  }
  return form;
}

/** The session has ended: ask for the password over what is on the screen, so that nothing on it is lost. */
onSignIn(async () => {
  const before = main?.dataset.user ?? "";
  const again = await openDialog(
    "Sign in again",
    (close) => signInForm(() => close(true), before),
    { describe: "Your session has ended. What you have entered is still here, and goes on once you are signed in." },
  );
  if (!again) {
    if (!unsaved()) welcome();
    throw new Error("You are signed out. Sign in to go on.");
  }
});

// --- the frame ---

function brand() {
  return h(
    "div",
    { class: "brand" },
    s(
      "svg",
      { viewBox: "0 0 32 32", "aria-hidden": "true", class: "logo" },
      s("rect", { width: 32, height: 32, rx: 8 }),
      s("path", { d: "M8 16h5c5 0 4-7 9-7" }),
      s("path", { d: "M13 16c5 0 4 7 9 7", opacity: 0.55 }),
      s("circle", { cx: 8, cy: 16, r: 3.2 }),
      s("circle", { cx: 24, cy: 9, r: 3.2 }),
      s("circle", { cx: 24, cy: 23, r: 3.2, opacity: 0.7 }),
    ),
    h("span", {}, "Vibe Router"),
  );
}

function enter() {
  const { username } = currentSession();
  main = h("main", { id: "main", tabindex: "-1", "data-user": username });
  swap(
    shell,
    h(
      "div",
      { class: "frame" },
      h(
        "header",
        { class: "side" },
        brand(),
        h(
          "nav",
          { "aria-label": "Views" },
          Object.entries(VIEWS).map(([name, { title }]) => h("a", { href: `#/${name}`, "data-view": name }, icon(name), h("span", {}, title))),
        ),
        h("div", { class: "side-foot" }, themeButton(), h("span", { class: "who", title: "Signed in" }, username), button("Sign out", leave, { kind: "quiet", icon: "out", only: true })),
      ),
      main,
    ),
  );
  show();
}

async function leave() {
  if (unsaved() && !window.confirm("There are changes to the models that are not saved. Sign out all the same?")) return;
  await signOut();
  setSession(null);
  welcome();
}

const THEMES = { system: "As the system", light: "Light", dark: "Dark" };

function themeButton() {
  const chosen = () => document.documentElement.dataset.theme ?? "system";
  const label = () => `Colours: ${THEMES[chosen()].toLowerCase()}`;
  const control = button(label(), turn, { kind: "quiet", icon: chosen(), only: true });
  function turn() {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(chosen()) + 1) % names.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("vibe-theme", next);
    } catch {
      // It holds until the page is closed.
    }
    control.setAttribute("aria-label", label());
    control.title = label();
    swap(control, icon(next));
  }
  return control;
}

// --- routes: #/view/part?name=value ---

function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...parts] = path.split("/").map(decode);
  return { name: name in VIEWS ? name : "overview", parts: parts.filter(Boolean), query: new URLSearchParams(query) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

async function show({ moved = false } = {}) {
  if (!main) return;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { name, parts, query } = place();
  const { title, load } = VIEWS[name];
  document.title = `${title} · Vibe Router`;
  for (const link of shell.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const view = h("div", { class: `view ${name}` }, h("div", { class: "view-head" }, h("h1", { tabindex: "-1" }, title)));
  swap(main, view);
  if (moved) view.querySelector("h1").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  try {
    const module = await load();
    if (!signal.aborted) await module.show(view, { parts, query, signal, head: view.firstChild });
  } catch (error) {
    if (!signal.aborted) view.append(failure(error, () => show()));
  }
}

window.addEventListener("hashchange", () => show({ moved: true }));
window.addEventListener("beforeunload", (event) => unsaved() && event.preventDefault());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the view's
  document.getElementById("main")?.focus();
});

start();

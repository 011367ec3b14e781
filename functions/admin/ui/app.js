// The page's frame: sign-in, navigation, and the light or dark theme.

import { busy, button, failure, field, skeleton } from "./controls.js";
import { confirm, openDialog, toast } from "./dialogs.js";
import { h, s, swap } from "./dom.js";
import { unsaved } from "./draft.js";
import { icon } from "./icons.js";
import { currentSession, onSignIn, providerSignIn, readSignInOptions, rememberReturn, resume, setSession, signInWith, signOut } from "./session.js";
import * as overview from "./views/overview.js";

const shell = document.getElementById("shell");

// Every view but the first is loaded when it is first shown.
const VIEWS = {
  overview: { title: "Overview", load: async () => overview },
  usage: { title: "Usage", load: () => import("./views/usage.js") },
  models: { title: "Models", load: () => import("./views/models.js") },
  keys: { title: "Keys", load: () => import("./views/keys.js") },
  requests: { title: "Requests", load: () => import("./views/requests.js") },
  complexity: { title: "Complexity", load: () => import("./views/complexity.js") },
  playground: { title: "Playground", load: () => import("./views/playground.js") },
  alerts: { title: "Alerts", load: () => import("./views/alerts.js") },
  audit: { title: "Audit", load: () => import("./views/audit.js") },
  api: { title: "API", load: () => import("./views/api.js") },
};
// Leads and members see their own keys and usage, and nothing else.
const OWN_VIEWS = { me: { title: "My keys", load: () => import("./views/me.js") }, usage: VIEWS.usage };
const views = () => (currentSession()?.role === "admin" ? VIEWS : OWN_VIEWS);

let main = null;
let leaving = new AbortController(); // aborted when the view is left; ends its timers and reads

async function start() {
  swap(shell, h("main", { class: "sign-in", id: "main" }, skeleton(2)));
  rememberReturn();
  try {
    if (await resume()) showFrame();
    else showSignIn();
  } catch (error) {
    swap(shell, h("main", { class: "sign-in", id: "main" }, brand(), failure(error, start)));
  }
}

// --- signing in ---

function showSignIn() {
  document.title = "Sign in · Vibe Router";
  leaving.abort();
  main = null;
  const form = signInForm(showFrame);
  swap(shell, h("main", { class: "sign-in", id: "main" }, h("div", { class: "sign-in-card" }, brand(), h("h1", {}, "Sign in"), form)));
  form.querySelector("input").focus();
  offerProvider(form);
}

/** Offer the OpenID Connect provider, if there is one. The password stays: it works when the provider does not. */
async function offerProvider(form) {
  const { oidc } = await readSignInOptions().catch(() => ({ oidc: false }));
  if (oidc && form.isConnected) form.before(h("a", { class: "button primary provider", href: providerSignIn }, "Sign in with your organisation"), h("p", { class: "hint" }, "or with the administrator's password:"));
}

function signInForm(done, username = "") {
  const name = h("input", { name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true, value: username });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const failed = h("p", { class: "form-error", role: "alert" });
  const submit = button("Sign in", null, { kind: "primary", type: "submit" });
  const form = h(
    "form",
    { class: "form", on: { submit: (event) => (event.preventDefault(), busy(submit, send)) } },
    field("Name", name),
    field("Password", password),
    failed,
    submit,
    h("p", { class: "hint" }, "By default the name is “admin” and the password is the master key."),
  );
  async function send() {
    failed.textContent = "";
    try {
      await signInWith(name.value, password.value);
      done();
    } catch (error) {
      failed.textContent = error.message;
      password.select();
      password.focus();
    }
  }
  return form;
}

/** The session has ended: ask for the password in a dialog, so that nothing on the page is lost. */
onSignIn(async () => {
  const before = main?.dataset.user ?? "";
  const signedIn = await openDialog(
    "Sign in again",
    (close) => signInForm(() => close(true), before),
    { describe: "Your session has ended. Your input is still here and is sent once you have signed in." },
  );
  if (!signedIn) {
    if (!unsaved()) showSignIn();
    throw new Error("You are signed out. Sign in to continue.");
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

function showFrame() {
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
          Object.entries(views()).map(([name, { title }]) => h("a", { href: `#/${name}`, "data-view": name }, icon(name), h("span", {}, title))),
        ),
        h("div", { class: "side-foot" }, themeButton(), button(username, showAccount, { kind: "quiet user-name", title: "Your sessions" }), button("Sign out", () => confirmSignOut(), { kind: "quiet", icon: "out", only: true })),
      ),
      main,
    ),
  );
  show();
}

async function showAccount() {
  const text = "All sessions of this user end, on every device and in every browser, this one included.";
  if (await confirm(`Signed in as ${currentSession().username}`, text, "Sign out everywhere")) await confirmSignOut({ all: true });
}

async function confirmSignOut({ all = false } = {}) {
  if (unsaved() && !window.confirm("Your changes to the models are not saved. Sign out anyway?")) return;
  try {
    await signOut({ all });
  } catch (error) {
    toast(error.message, { kind: "bad" });
    return;
  }
  setSession(null);
  showSignIn();
}

const THEMES = ["system", "light", "dark"];

function themeButton() {
  const chosen = () => document.documentElement.dataset.theme ?? "system";
  const label = () => `Theme: ${chosen()}`;
  const control = button(label(), switchTheme, { kind: "quiet", icon: chosen(), only: true });
  function switchTheme() {
    const next = THEMES[(THEMES.indexOf(chosen()) + 1) % THEMES.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("vibe-theme", next);
    } catch {
      // Without storage the theme lasts until the page is closed.
    }
    control.setAttribute("aria-label", label());
    control.title = label();
    swap(control, icon(next));
  }
  return control;
}

// --- routes: #/view/part?name=value ---

function readLocation() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...parts] = path.split("/").map(decode);
  return { name: name in views() ? name : Object.keys(views())[0], parts: parts.filter(Boolean), query: new URLSearchParams(query) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

let address = ""; // the hash of the view that is shown; a dialog on top of it may have another

let isAddressDue = false;

/** Change the address of the view that is shown. Under a dialog, whose entry in the history is on top, it waits. */
function setAddress(hash) {
  address = hash;
  isAddressDue = document.querySelector("dialog[open]") !== null;
  if (!isAddressDue) history.replaceState(history.state, "", hash || location.href);
}

addEventListener("popstate", () => isAddressDue && setAddress(address));

async function show({ moved = false } = {}) {
  if (!main) return;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { name, parts, query } = readLocation();
  setAddress(location.hash);
  const { title, load } = views()[name];
  document.title = `${title} · Vibe Router`;
  for (const link of shell.querySelectorAll("nav a")) {
    if (link.dataset.view === name) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" }); // on a phone the navigation scrolls
    } else link.removeAttribute("aria-current");
  }
  const view = h("div", { class: `view ${name}` }, h("div", { class: "view-head" }, h("h1", { tabindex: "-1" }, title)));
  const placeholder = skeleton(5);
  swap(main, view);
  view.append(placeholder);
  if (moved) view.querySelector("h1").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  try {
    const module = await load().finally(() => placeholder.remove());
    if (!signal.aborted) await module.show(view, { parts, query, signal, head: view.firstChild, setAddress });
  } catch (error) {
    if (!signal.aborted) view.append(failure(error, () => show()));
  }
}

window.addEventListener("hashchange", () => location.hash === address || show({ moved: true }));
window.addEventListener("beforeunload", (event) => unsaved() && event.preventDefault());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash names the view
  document.getElementById("main")?.focus();
});

start();

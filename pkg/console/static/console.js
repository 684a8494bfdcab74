// The page of kubectl pyflow ui. Views come from the server as HTML and are morphed into
// place; this module opens them, follows links, and keeps times and connection up to date.

import { Idiomorph } from "./idiomorph.js";
import { bindActions } from "./actions.js";
import { LogView } from "./log.js";
import { bindSelection, showSelection } from "./selection.js";
import { api, follow, readToken, Unauthorized } from "./stream.js";
import { tick } from "./time.js";

/** @type {{createHTML: (html: string) => any}} */
const trusted = "trustedTypes" in window
  ? /** @type {any} */ (window).trustedTypes.createPolicy("pyflow", { createHTML: (/** @type {string} */ html) => html })
  : { createHTML: (html) => html };

const main = /** @type {HTMLElement} */ (document.getElementById("view"));
const connection = /** @type {HTMLElement} */ (document.getElementById("connection"));
const announce = /** @type {HTMLElement} */ (document.getElementById("announce"));

/** The stream of the view that is shown. @type {AbortController | undefined} */
let current;
/** The log of the view, and the lines that came before the view. @type {LogView | undefined} */
let log;
let shown = "";

/** Parses HTML of the server. Scripts in it do not run, and the templates escape all text.
 * @param {string} html */
function parse(html) {
  return new DOMParser().parseFromString(trusted.createHTML(html), "text/html").body;
}

/** Shows a version of the view. @param {{title: string, section: string, html: string, unreachable?: string}} view @param {boolean} first */
function show(view, first) {
  const body = parse(view.html);
  if (first) {
    main.replaceChildren(...body.childNodes);
  } else {
    // A list of nodes: a single one would be put into the view with its own tag.
    Idiomorph.morph(main, [...body.childNodes], {
      morphStyle: "innerHTML",
      ignoreActiveValue: true,
      callbacks: { beforeNodeMorphed: mayMorph },
    });
  }
  document.title = view.title + " · pyflow";
  for (const link of document.querySelectorAll("[data-section]")) {
    if (link.getAttribute("data-section") === view.section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  warn(view.unreachable ? "The API server does not answer: " + view.unreachable : "");
  const section = /** @type {HTMLElement | null} */ (main.querySelector("[data-log]"));
  if (section && log?.element !== section) {
    const before = log;
    log = new LogView(section);
    if (before && !before.element) log.adopt(before);
  }
  showSelection(main);
  tick(main);
  if (first) announce.textContent = view.title;
}

/** A log, and a dialog that is open, belong to this page and not to the server.
 * @param {Node} old @param {Node} next */
function mayMorph(old, next) {
  // What is selected is known to this page only.
  if (old instanceof HTMLInputElement && next instanceof HTMLInputElement && old.hasAttribute("data-select") && old.value === next.value) next.checked = old.checked;
  if (!(old instanceof HTMLElement) || !(next instanceof HTMLElement) || !old.hasAttribute("data-keep")) return true;
  if (old instanceof HTMLDialogElement) return !old.open;
  return old.dataset.log !== next.dataset.log;
}

/** Says what is wrong with the connection; nothing hides it. @param {string} text */
function warn(text) {
  connection.hidden = text === "";
  if (connection.textContent !== text) connection.textContent = text;
}

/** Opens the view of the address. @param {boolean} fresh is true for another view than the one shown
 * @param {boolean} [again] reads again what the view is made of */
async function open(fresh, again) {
  current?.abort();
  const controller = (current = new AbortController());
  const path = location.pathname + location.search;
  shown = location.pathname;
  let first = fresh;
  if (fresh) log = undefined;
  try {
    await follow("/api/view" + path, controller.signal, {
      event(name, data) {
        if (name === "view") {
          show(data, first);
          if (first) restore();
          first = false;
        } else if (name === "log") {
          (log ??= new LogView()).append(data.first, data.lines);
        } else if (name === "reset") {
          log?.reset();
        }
      },
      online(yes) {
        warn(yes ? "" : "The connection to kubectl pyflow ui is lost. Is it still running? Trying again…");
      },
    }, again ? { "Pyflow-Refresh": "1" } : {});
  } catch (error) {
    if (controller.signal.aborted) return;
    main.replaceChildren(error instanceof Unauthorized ? signIn() : document.createTextNode(String(error)));
  }
}

/** What to do without a token. */
function signIn() {
  const box = document.createElement("div");
  box.className = "empty";
  box.setAttribute("role", "alert");
  const title = document.createElement("h1");
  title.textContent = "Open the address that kubectl pyflow ui prints";
  const text = document.createElement("p");
  text.textContent = "It has a key behind the #, which this tab does not have. Each start of the command has an address of its own.";
  box.append(title, text);
  return box;
}

/** Goes to an address of this page. @param {string} path */
export function go(path) {
  history.replaceState({ y: scrollY }, "");
  history.pushState(null, "", path);
  moved = true;
  void open(true);
}

/** Whether this page has shown another view before. */
let moved = false;

/** Scrolls to where this entry of the history was, and gives a view that was gone to the
 * focus. */
function restore() {
  scrollTo(0, history.state?.y ?? 0);
  if (moved && document.activeElement?.closest("main, body") === document.body) main.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const link = /** @type {HTMLAnchorElement | null} */ (target.closest("a[href]"));
  if (target.closest("[data-retry]")) void open(!target.closest("[data-retry=same]"), true);
  if (!link || link.target || link.origin !== location.origin || link.hash || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  main.focus({ preventScroll: true });
  go(link.pathname + link.search);
});

addEventListener("popstate", () => {
  if (location.hash === "" || location.pathname !== shown) {
    moved = true;
    void open(true);
  }
});

/** @type {number | undefined} */
let typing;
for (const name of ["input", "change"]) {
  main.addEventListener(name, (event) => {
    const form = /** @type {Element} */ (event.target).closest("form[data-filter]");
    if (!(form instanceof HTMLFormElement)) return;
    clearTimeout(typing);
    typing = setTimeout(() => {
      const query = new URLSearchParams();
      for (const [key, value] of new FormData(form)) if (value !== "" && typeof value === "string") query.set(key, value);
      history.replaceState(history.state, "", location.pathname + (query.size ? "?" + query : ""));
      void open(false);
    }, 150);
  });
}
main.addEventListener("submit", (event) => {
  if (/** @type {Element} */ (event.target).matches("form[data-filter]")) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  const target = /** @type {Element} */ (event.target);
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, select, dialog[open]")) return;
  const search = /** @type {HTMLElement | null} */ (main.querySelector('input[type="search"]'));
  if (!search) return;
  event.preventDefault();
  search.focus();
});

bindActions(main, go);
bindSelection(main);
setInterval(() => tick(main), 1000);
history.scrollRestoration = "manual";

await readToken();
void open(true);
try {
  const about = await (await api("/api/about")).json();
  /** @type {HTMLElement} */ (document.getElementById("context")).textContent = about.context ? "context " + about.context + " ·" : "";
  /** @type {HTMLElement} */ (document.getElementById("namespace")).textContent = about.namespace ? "namespace " + about.namespace : "all namespaces";
} catch {
  // The view says why.
}

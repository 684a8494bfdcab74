// The rows of a list that the user selects, and the bar with what can be done with them. What is
// selected is what is on the page: a row that a filter hides, or that is gone, is not.

import { api } from "./stream.js";

/** @param {HTMLElement} root @param {string} selector @returns {HTMLInputElement[]} */
function boxes(root, selector) {
  return /** @type {HTMLInputElement[]} */ ([...root.querySelectorAll(selector)]);
}

/** @type {number | undefined} */
let asking;

/** Makes the bar say what is selected. @param {HTMLElement} root */
export function showSelection(root) {
  const bar = /** @type {HTMLElement | null} */ (root.querySelector("[data-selection]"));
  if (!bar) return;
  const rows = boxes(root, "[data-select]");
  const chosen = rows.filter((box) => box.checked).map((box) => box.value);
  for (const all of boxes(root, "[data-select-all]")) {
    all.checked = rows.length > 0 && chosen.length === rows.length;
    all.indeterminate = chosen.length > 0 && chosen.length < rows.length;
  }
  if (bar.querySelector("dialog[open]")) return; // what it asks about stays
  const key = chosen.join(" ");
  if (bar.dataset.chosen === key) return;
  bar.dataset.chosen = key;
  bar.hidden = chosen.length === 0;
  const count = /** @type {HTMLElement} */ (bar.querySelector("[data-selected]"));
  count.textContent = chosen.length === 1 ? "1 image selected" : `${chosen.length} images selected`;
  const form = bar.querySelector("form");
  if (!form) return; // the user may not
  for (const old of form.querySelectorAll('[name="image"]')) old.remove();
  for (const value of chosen) {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = "image";
    field.value = value;
    form.append(field);
  }
  clearTimeout(asking);
  if (chosen.length > 0) asking = setTimeout(() => void showCommand(bar, form), 100);
}

/** @param {HTMLElement} bar @param {HTMLFormElement} form */
async function showCommand(bar, form) {
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string") body.append(name, value);
  const response = await api("/api/commands/" + bar.dataset.selection, { method: "POST", body });
  if (!response.ok) return;
  const { command, problem } = await response.json();
  /** @type {HTMLElement} */ (bar.querySelector("[data-command]")).textContent = command ?? problem;
}

/** Takes a selection back. @param {HTMLElement} root */
function clear(root) {
  for (const box of boxes(root, "[data-select]")) box.checked = false;
  showSelection(root);
  /** @type {HTMLElement | null} */ (root.querySelector("[data-select-all]"))?.focus();
}

/** Makes the boxes below root work. @param {HTMLElement} root */
export function bindSelection(root) {
  root.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement)) return;
    if (box.hasAttribute("data-select-all")) for (const row of boxes(root, "[data-select]")) row.checked = box.checked;
    else if (!box.hasAttribute("data-select")) return;
    showSelection(root);
  });
  root.addEventListener("click", (event) => {
    if (/** @type {Element} */ (event.target).closest("[data-select-none]")) clear(root);
  });
  root.addEventListener("done", (event) => {
    if (/** @type {Element} */ (event.target).closest("[data-selection]")) clear(root);
  });
}

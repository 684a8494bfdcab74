// Dialogs of actions. Each shows the command that it stands for, and runs it.

import { api, events } from "./stream.js";

/** @param {HTMLFormElement} form */
function values(form) {
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string") body.append(name, value);
  return body;
}

/** Shows the command of a form as it is filled in. @param {HTMLFormElement} form */
async function showCommand(form) {
  const code = form.querySelector("[data-command]");
  if (!code) return;
  const response = await api("/api/commands/" + form.dataset.action, { method: "POST", body: values(form) });
  if (!response.ok) return;
  const { command, problem } = await response.json();
  code.textContent = command ?? problem;
}

/** Copies a text, and says so on the button. @param {HTMLElement} button @param {string} text */
async function copy(button, text) {
  await navigator.clipboard.writeText(text);
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = label), 1500);
}

/**
 * Runs the action of a form.
 * @param {HTMLFormElement} form
 * @param {(path: string) => void} go
 */
async function run(form, go) {
  const dialog = /** @type {HTMLDialogElement} */ (form.closest("dialog"));
  const result = /** @type {HTMLElement} */ (form.querySelector(".result"));
  const button = /** @type {HTMLButtonElement} */ (form.querySelector('button[type="submit"]'));
  result.classList.remove("is-failed");
  result.textContent = "Working…";
  button.disabled = true;
  const fail = (/** @type {string} */ text) => {
    result.classList.add("is-failed");
    result.textContent = text;
  };
  try {
    const response = await api("/api/actions/" + form.dataset.action, { method: "POST", body: values(form) });
    if (!response.ok) return fail(await response.text());
    let ended = false;
    await events(response, (name, data) => {
      if (name === "progress") {
        result.textContent = data.text;
      } else if (name === "failed") {
        ended = true;
        fail(data.message + (data.advice ? "\n→ " + data.advice : ""));
      } else if (name === "done") {
        ended = true;
        result.textContent = data.message;
        dialog.close();
        form.dispatchEvent(new Event("done", { bubbles: true }));
        if (data.location) go(data.location);
      }
    });
    if (!ended) fail("The connection was lost. The command goes on; reload to see how far it is.");
  } catch (error) {
    fail("The connection was lost: " + error);
  } finally {
    button.disabled = false;
  }
}

/**
 * Makes the buttons and dialogs below root work.
 * @param {HTMLElement} root
 * @param {(path: string) => void} go
 */
export function bindActions(root, go) {
  root.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    const button = target.closest("button");
    if (!(button instanceof HTMLElement)) return;
    if (button.dataset.dialog) {
      const dialog = /** @type {HTMLDialogElement} */ (document.getElementById(button.dataset.dialog));
      const result = /** @type {HTMLElement} */ (dialog.querySelector(".result"));
      result.textContent = "";
      result.classList.remove("is-failed");
      dialog.showModal();
      const form = dialog.querySelector("form");
      if (form) void showCommand(form);
    } else if (button.hasAttribute("data-close")) {
      button.closest("dialog")?.close();
    } else if (button.dataset.copy) {
      void copy(button, button.dataset.copy);
    } else if (button.hasAttribute("data-copy-command")) {
      void copy(button, button.closest("form")?.querySelector("[data-command]")?.textContent ?? "");
    }
  });
  /** @type {number | undefined} */
  let typing;
  root.addEventListener("input", (event) => {
    const form = /** @type {Element} */ (event.target).closest("form[data-action]");
    if (!(form instanceof HTMLFormElement)) return;
    clearTimeout(typing);
    typing = setTimeout(() => void showCommand(form), 150);
  });
  root.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.dataset.action) return;
    event.preventDefault();
    void run(form, go);
  });
}

// Ages and durations, in the words of kubectl.

/** @param {number} seconds */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return s + "s";
  if (s < 3600) return Math.floor(s / 60) + "m" + String(s % 60).padStart(2, "0") + "s";
  return Math.floor(s / 3600) + "h" + String(Math.floor((s % 3600) / 60)).padStart(2, "0") + "m";
}

/** @param {number} seconds */
export function age(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 120) return s + "s";
  if (s < 7200) return Math.floor(s / 60) + "m";
  if (s < 172800) return Math.floor(s / 3600) + "h";
  return Math.floor(s / 86400) + "d";
}

/** Brings all times below an element up to date. @param {Element} root */
export function tick(root) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-age]")) {
    const then = Date.parse(element.getAttribute("datetime") ?? "");
    const text = age((now - then) / 1000) + " ago";
    if (element.textContent !== text) element.textContent = text;
    if (!element.getAttribute("title")) element.setAttribute("title", new Date(then).toLocaleString());
  }
  for (const element of root.querySelectorAll("[data-since]")) {
    const text = duration((now - Date.parse(element.getAttribute("data-since") ?? "")) / 1000);
    if (element.textContent !== text) element.textContent = text;
  }
}

// Requests to the server: each has the token in a header, where no other page can put it.

const key = "pyflow-token";
const silence = 45_000;

/** The server does not know the token. */
export class Unauthorized extends Error {}

/** Takes the token out of the address, or asks the other tabs of this page for it. */
export async function readToken() {
  const found = /^#token=([\w-]+)$/.exec(location.hash);
  if (found) {
    sessionStorage.setItem(key, /** @type {string} */ (found[1]));
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  const tabs = new BroadcastChannel(key);
  tabs.addEventListener("message", ({ data }) => {
    const token = sessionStorage.getItem(key);
    if (data === "ask" && token) tabs.postMessage({ token });
  });
  if (sessionStorage.getItem(key)) return;
  await new Promise((resolve) => {
    tabs.addEventListener("message", ({ data }) => {
      if (typeof data?.token !== "string") return;
      sessionStorage.setItem(key, data.token);
      resolve(undefined);
    });
    tabs.postMessage("ask");
    setTimeout(resolve, 200);
  });
}

/** Sends a request. @param {string} path @param {RequestInit} [init] */
export async function api(path, init = {}) {
  const headers = new Headers(init.headers);
  headers.set("Authorization", "Bearer " + (sessionStorage.getItem(key) ?? ""));
  const response = await fetch(path, { ...init, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  if (response.status === 401) throw new Unauthorized("no token");
  return response;
}

/**
 * Reads the events of a response until it ends.
 * @param {Response} response
 * @param {(name: string, data: any, id: string) => void} event
 * @param {() => void} [alive] is called with each sign of life
 */
export async function events(response, event, alive) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive?.();
    rest += value;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const block = rest.slice(0, end);
      rest = rest.slice(end + 2);
      let name = "", data = "", id = "";
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("data: ")) data += line.slice(6);
        else if (line.startsWith("id: ")) id = line.slice(4);
      }
      if (data) event(name, JSON.parse(data), id);
    }
  }
}

/**
 * Follows a stream until signal, over lost connections: the server goes on after the last
 * event that has arrived.
 * @param {string} path
 * @param {AbortSignal} signal
 * @param {{event: (name: string, data: any) => void, online: (yes: boolean) => void}} handlers
 * @param {Record<string, string>} [once] are headers of the first request
 */
export async function follow(path, signal, handlers, once) {
  let last = "";
  let pause = 250;
  while (!signal.aborted) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal.addEventListener("abort", stop);
    let watchdog = setTimeout(stop, silence);
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, silence);
    };
    try {
      const response = await api(path, { signal: attempt.signal, headers: last ? { "Last-Event-ID": last } : once ?? {} });
      if (!response.ok) throw new Error(await response.text());
      handlers.online(true);
      once = undefined;
      pause = 250;
      await events(response, (name, data, id) => {
        if (signal.aborted) return;
        if (name === "reset") last = "";
        handlers.event(name, data);
        if (id) last = id;
      }, alive);
    } catch (error) {
      if (error instanceof Unauthorized) throw error;
    } finally {
      clearTimeout(watchdog);
      signal.removeEventListener("abort", stop);
    }
    if (signal.aborted) return;
    handlers.online(false);
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, 5000);
  }
}

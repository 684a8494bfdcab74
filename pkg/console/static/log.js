// The view of a log. It has one element per line on the screen, whatever the length of the
// log, so that 100,000 lines scroll as 100 do.

const rowHeight = 20;
const overscan = 20;
/** How many characters of the source of a line have room at first. */
const narrowSource = 8;
/** Kinds of lines, as the server numbers them. */
const kinds = ["plain", "chatter", "folded", "sum"];
const alwaysShown = new Set([0, 3]);

/** @typedef {[source: string, text: string, kind: number]} Line */

export class LogView {
  /** @type {Line[]} */
  lines = [];
  /** The number of the first line that is kept. */
  first = 0;
  /** Indexes of the lines that are shown. @type {number[]} */
  shown = [];
  /** Positions in shown that match the search. @type {number[]} */
  matches = [];
  match = -1;
  needle = "";
  /** The source whose lines are shown; empty for all. */
  source = "";
  /** The sources of the lines so far, which the user can choose from. @type {Set<string>} */
  sources = new Set();
  all = false;
  follow = true;
  scheduled = false;

  /** @param {HTMLElement} [element] */
  constructor(element) {
    this.element = element;
    if (!element) return;
    this.view = /** @type {HTMLElement} */ (element.querySelector(".log-view"));
    this.rows = /** @type {HTMLElement} */ (element.querySelector(".log-rows"));
    this.status = /** @type {HTMLElement} */ (element.querySelector(".matches"));
    const search = /** @type {HTMLInputElement} */ (element.querySelector('input[type="search"]'));
    const all = /** @type {HTMLInputElement | null} */ (element.querySelector("#log-all"));
    this.chooser = /** @type {HTMLSelectElement | null} */ (element.querySelector("#log-source"));
    const follow = /** @type {HTMLInputElement} */ (element.querySelector("#log-follow"));
    this.view.addEventListener("scroll", () => {
      // A person who scrolls up reads; at the end the log goes on by itself.
      const atEnd = this.atEnd();
      if (this.follow !== atEnd && !this.jumping) {
        this.follow = atEnd;
        follow.checked = atEnd;
      }
      this.jumping = false;
      this.schedule();
    });
    new ResizeObserver(() => this.schedule()).observe(this.view);
    search.addEventListener("input", () => {
      this.needle = search.value.toLowerCase();
      this.find();
      this.step(0);
    });
    search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        this.step(event.shiftKey ? -1 : 1);
      }
    });
    element.querySelector('[data-match="next"]')?.addEventListener("click", () => this.step(1));
    element.querySelector('[data-match="previous"]')?.addEventListener("click", () => this.step(-1));
    element.querySelector("[data-save-log]")?.addEventListener("click", () => this.save());
    all?.addEventListener("change", () => {
      this.all = all.checked;
      this.select();
    });
    this.chooser?.addEventListener("change", () => {
      this.source = this.chooser?.value ?? "";
      this.select();
    });
    follow.addEventListener("change", () => {
      this.follow = follow.checked;
      this.schedule();
    });
    this.schedule();
  }

  /** Takes the lines of a log that had no element yet. @param {LogView} other */
  adopt(other) {
    this.lines = other.lines;
    this.first = other.first;
    this.select();
  }

  reset() {
    this.lines = [];
    this.first = 0;
    this.select();
  }

  /** Appends lines; those that are there already are left out. @param {number} first @param {Line[]} lines */
  append(first, lines) {
    if (this.lines.length === 0) this.first = first;
    const known = this.first + this.lines.length - first;
    for (const line of known > 0 ? lines.slice(known) : lines) {
      this.lines.push(line);
      this.add(this.lines.length - 1);
    }
    this.report();
    this.schedule();
  }

  /** @param {number} index */
  add(index) {
    const line = /** @type {Line} */ (this.lines[index]);
    if (!this.sources.has(line[0])) {
      this.sources.add(line[0]);
      this.chooser?.add(new Option(line[0], line[0]));
      if (line[0].length > narrowSource) this.element?.classList.add("is-wide");
    }
    if (this.source && line[0] !== this.source) return;
    if (!this.all && !alwaysShown.has(line[2])) return;
    this.shown.push(index);
    if (this.needle && line[1].toLowerCase().includes(this.needle)) this.matches.push(this.shown.length - 1);
  }

  /** Selects the lines that are shown. */
  select() {
    this.shown = [];
    this.matches = [];
    for (let i = 0; i < this.lines.length; i++) this.add(i);
    this.match = -1;
    this.report();
    this.schedule();
  }

  find() {
    this.matches = [];
    this.match = -1;
    if (this.needle) {
      this.shown.forEach((index, position) => {
        if (/** @type {Line} */ (this.lines[index])[1].toLowerCase().includes(this.needle)) this.matches.push(position);
      });
    }
    this.report();
    this.schedule();
  }

  /** Goes to another match. @param {number} by */
  step(by) {
    if (this.matches.length === 0) return;
    this.match = (Math.max(this.match, by < 0 ? 0 : -1) + (by || 1) + this.matches.length) % this.matches.length;
    this.follow = false;
    const follow = /** @type {HTMLInputElement | null | undefined} */ (this.element?.querySelector("#log-follow"));
    if (follow) follow.checked = false;
    if (this.view) {
      this.jumping = true;
      this.view.scrollTop = /** @type {number} */ (this.matches[this.match]) * rowHeight - this.view.clientHeight / 2;
    }
    this.report();
    this.schedule();
  }

  report() {
    if (!this.status) return;
    const text = this.needle ? (this.matches.length ? `${this.match + 1} of ${this.matches.length}` : "No match") : "";
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  atEnd() {
    return !this.view || this.view.scrollTop + this.view.clientHeight >= this.shown.length * rowHeight - rowHeight;
  }

  schedule() {
    if (this.scheduled || !this.rows) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.draw();
    });
  }

  draw() {
    const { view, rows } = this;
    if (!view || !rows) return;
    const height = this.shown.length * rowHeight + "px";
    if (rows.style.height !== height) rows.style.height = height;
    if (this.follow && !this.atEnd()) {
      this.jumping = true;
      view.scrollTop = view.scrollHeight;
    }
    const from = Math.max(0, Math.floor(view.scrollTop / rowHeight) - overscan);
    const to = Math.min(this.shown.length, Math.ceil((view.scrollTop + view.clientHeight) / rowHeight) + overscan);
    /** @type {HTMLElement[]} */
    const drawn = [];
    for (let position = from; position < to; position++) drawn.push(this.row(position));
    if (this.shown.length === 0) drawn.push(this.nothing());
    rows.replaceChildren(...drawn);
  }

  /** Says why there is no line. */
  nothing() {
    const text = document.createElement("p");
    text.className = "log-empty";
    text.textContent = this.lines.length === 0 ? "Nothing has been written yet."
      : this.source ? "No line of this replica." : "Only lines of the build engine so far: select All lines to see them.";
    return text;
  }

  /** @param {number} position */
  row(position) {
    const index = /** @type {number} */ (this.shown[position]);
    const [source, text, kind] = /** @type {Line} */ (this.lines[index]);
    const row = document.createElement("div");
    row.className = "log-row is-" + (kinds[kind] ?? "plain") + (position === this.matches[this.match] ? " is-match" : "");
    row.style.transform = `translateY(${position * rowHeight}px)`;
    const number = document.createElement("span");
    number.className = "n";
    number.textContent = String(this.first + index + 1);
    const from = document.createElement("span");
    from.className = "source";
    from.textContent = source;
    const words = document.createElement("span");
    this.mark(words, text);
    row.append(number, from, words);
    return row;
  }

  /** Writes text with the matches marked. @param {HTMLElement} into @param {string} text */
  mark(into, text) {
    const low = this.needle ? text.toLowerCase() : "";
    let at = 0;
    for (let hit = this.needle ? low.indexOf(this.needle) : -1; hit >= 0; hit = low.indexOf(this.needle, at)) {
      into.append(text.slice(at, hit));
      const mark = document.createElement("mark");
      at = hit + this.needle.length;
      mark.textContent = text.slice(hit, at);
      into.append(mark);
    }
    into.append(text.slice(at));
  }

  /** Saves all lines, hidden ones too. */
  save() {
    const text = this.lines.map(([source, line]) => `[${source}] ${line}\n`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(text, { type: "text/plain" }));
    link.download = (this.element?.dataset.log ?? "log").replaceAll("/", "-") + ".log";
    link.target = "_self";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}

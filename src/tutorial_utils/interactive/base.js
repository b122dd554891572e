// The shared base of every interactive figure: theme, title and "try this" buttons, controls, grids,
// pointer and keyboard, live region. Python joins it with a figure's script into one module and
// leaves out what the figure does not use.

const CSS = `
:host{display:block;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--panel:#f4f6f8;--line:#c4cad1;
--blue:#0072b2;--orange:#b35900;--fill-blue:#cfe6f5;--fill-orange:#fbe3c0;--good:#00734f;
color:var(--ink);font:15px/1.4 system-ui,sans-serif;container-type:inline-size;
print-color-adjust:exact;-webkit-print-color-adjust:exact}
@media screen{:host([dark]){--ink:#e6e9ec;--soft:#aab3bd;--paper:#14181d;--panel:#20262d;--line:#4b5560;
--blue:#62bdf0;--orange:#f0a040;--fill-blue:#12405c;--fill-orange:#573708;--good:#3fcf9b}}
.figure{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
p{margin:0}.title{font-weight:650;font-size:16px}
.tries{display:flex;flex-wrap:wrap;gap:6px;margin:6px 0 10px;align-items:center}
.tries button{border-radius:16px;min-height:30px;padding:2px 10px;font-size:13.5px;
background:var(--fill-blue);border-color:var(--blue)}
.plain,.tries .plain{background:none;border-color:var(--line);color:var(--soft)}.figure>.plain{float:right;
min-height:26px;padding:0 8px;font-size:13px}
.controls{display:flex;flex-wrap:wrap;gap:6px 18px;align-items:end;margin-bottom:10px}
.parts{display:flex;flex-wrap:wrap;gap:10px 16px;align-items:flex-start}
label,.label{display:block;font-size:13px;color:var(--soft)}
label b,output{color:var(--ink);font-variant-numeric:tabular-nums}
input[type=range]{display:block;width:150px;height:26px;margin:0;accent-color:var(--blue);touch-action:pan-y}
select,button,input[type=number]{font:inherit;color:var(--ink);background:var(--panel);
border:1px solid var(--line);border-radius:6px;padding:4px 10px;min-height:34px;max-width:100%;box-sizing:border-box}
button{cursor:pointer}button[aria-pressed=true]{background:var(--fill-blue);border-color:var(--blue);
box-shadow:inset 0 -3px var(--blue)}button:disabled{opacity:.55;cursor:default}
:focus-visible{outline:3px solid var(--orange);outline-offset:1px}
.say{min-height:2.8em;margin:8px 0 0;overflow-wrap:anywhere}.help{margin:6px 0 0;color:var(--soft);font-size:13px}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
svg{display:block;max-width:100%;height:auto;overflow:visible}svg text{fill:var(--ink);font-size:12px}
canvas{display:block;max-width:100%;border-radius:4px}
@container(width<420px){.figure{padding:9px 10px}.controls{gap:4px 10px}input[type=range]{width:120px}
.title{font-size:15px}.controls select{padding:4px 5px;font-size:14px}}
@media print{.controls,.tries,.help,button{display:none}.figure{break-inside:avoid}}`;

/** The look of tables, for the figures that have some. */
export const TABLE_CSS = `table{border-collapse:collapse;font-size:13px}th,td{padding:3px 8px;border-bottom:1px solid var(--line);
text-align:right;font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}`;

/** The look of grids, for the figures that have some. */
export const GRID_CSS = `
.grid{display:inline-grid;gap:2px}
.cell{min-width:var(--cell,34px);height:var(--cell,34px);padding:0 2px;display:grid;place-items:center;
background:var(--panel);border:1px solid var(--line);border-radius:3px;font-size:13px;
font-variant-numeric:tabular-nums;box-sizing:border-box;cursor:default;user-select:none}
.cell.lit{background:var(--fill-blue);border:2px solid var(--blue)}
.cell.out{background:var(--fill-orange);border:2px solid var(--orange)}
.cell.pad{border-style:dashed;color:var(--soft)}
.editor{display:inline-flex;gap:6px;align-items:center;font-size:13px;color:var(--soft)}
.editor button{min-width:38px;font-weight:700}@media print{.editor{display:none}}`;

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = /^(svg|g|path|line|rect|circle|text|polyline|polygon|title|defs|marker|tspan)$/;

/** Make an element: h("p", {class: "say", onclick: f}, "text", child, ...). */
export function h(tag, attributes = {}, ...children) {
  const e = SVG_TAGS.test(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (value === true) e.setAttribute(key, "");
    else if (value !== false && value != null) e.setAttribute(key, value);
  }
  e.append(...children.flat(Infinity));
  return e;
}

/** A number as a reader wants it: a true minus sign, no tail of zeros, no "-0". */
export function fmt(x, digits = 2) {
  const s = Number.isFinite(x) ? String(+x.toFixed(digits)) : x > 0 ? "∞" : x < 0 ? "−∞" : "NaN";
  return s === "-0" ? "0" : s.replace("-", "−");
}

export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

/** A labelled slider that shows its value. `show` turns the value into text (units, logarithms). */
export function slider(label, { min, max, step = 1, value, show = fmt, oninput }) {
  const out = h("b", {}, show(value));
  const range = h("input", { type: "range", min, max, step, "aria-label": label });
  const tell = () => {
    out.textContent = show(+range.value);
    range.setAttribute("aria-valuetext", out.textContent);
  };
  range.addEventListener("input", () => { tell(); oninput(+range.value); });
  let before; // a finger that goes on to scroll the page takes back what its touch has moved
  range.onpointerdown = () => { before = range.value; };
  range.onpointercancel = () => { box.set(before); oninput(+before); };
  const box = h("label", {}, label + " ", out, range);
  box.set = (v) => { range.value = v; tell(); };
  box.range = range;
  box.set(value);
  return box;
}

/** A labelled choice; options are strings or [value, text] pairs. */
export function choice(label, options, value, onchange) {
  const pairs = options.map((o) => (Array.isArray(o) ? o : [o, o]));
  const select = h("select", { onchange: () => onchange(select.value) },
    pairs.map(([v, text]) => h("option", { value: v, selected: String(v) === String(value) }, text)));
  const box = h("label", {}, label, h("br"), select);
  box.set = (v) => { select.value = v; };
  return box;
}

/** A button; with `pressed` a switch that keeps its state in aria-pressed. */
export function button(text, onclick, pressed) {
  const b = h("button", { type: "button" }, text);
  b.set = (on) => b.setAttribute("aria-pressed", (pressed = on));
  if (pressed !== undefined) b.set(pressed);
  b.addEventListener("click", () => {
    if (pressed !== undefined) b.set(!pressed);
    onclick(pressed);
  });
  return b;
}

/** A row of buttons of which one is pressed; box.set(value) presses another. */
export function segments(label, options, value, onchange) {
  const pairs = options.map((o) => (Array.isArray(o) ? o : [o, o]));
  const buttons = pairs.map(([v, text]) => button(text, () => { box.set(v); onchange(v); }));
  const box = h("div", { role: "group", "aria-label": label, class: "segments",
    style: "display:flex;flex-wrap:wrap;gap:4px" }, buttons);
  box.set = (value) => buttons.forEach((b, i) => b.setAttribute("aria-pressed", pairs[i][0] === value));
  box.set(value);
  return box;
}

/** A button that plays: step() every so many milliseconds, until it returns false or Pause is pressed. */
export function player(figure, step, ms) {
  const b = button("Play", () => (b.timer ? b.stop() : b.start()));
  b.start = () => {
    b.textContent = "Pause";
    clearInterval(b.timer);
    b.timer = setInterval(() => step() === false && b.stop(), calm() ? 3 * ms : ms);
  };
  b.stop = () => {
    clearInterval(b.timer);
    b.timer = 0;
    b.textContent = "Play";
  };
  figure.pause = b.stop;
  return b;
}

/** Buttons that change the grid cell chosen last, up and down: for fingers, which have no keys. */
export function editor() {
  const text = h("span"), buttons = [["−", -1], ["+", 1]].map(([sign, by]) => {
    const b = button(sign, () => box.by(by));
    b.setAttribute("aria-label", by < 0 ? "lower the chosen value" : "raise the chosen value");
    b.disabled = true;
    return b;
  });
  const box = h("div", { class: "editor" }, buttons[0], text, buttons[1]);
  const rest = () => (text.textContent = "tap a value");
  box.aim = (cell, set) => {
    box.cell = cell;
    box.by = (d) => set(cell.value + d);
    buttons.forEach((b) => (b.disabled = !cell));
    box.tell();
  };
  box.tell = () => (box.cell?.isConnected ? (text.textContent = `now ${fmt(box.cell.value)}`)
    : (buttons.forEach((b) => (b.disabled = true)), rest()));
  rest();
  return box;
}

/**
 * A grid of numbers, one tab stop, arrow keys to move (roving tabindex).
 * onpoint(row, column) follows pointer and focus; onset(row, column, value) makes it editable:
 * + and -, a digit (after "-" a negative one), or the buttons of an `edit`or.
 */
export function grid(label, rows, columns, { onpoint, onset, onleave, edit } = {}) {
  const box = h("div", { class: "grid", role: "grid", "aria-label": label,
    style: `grid-template-columns:repeat(${columns},auto)` });
  const cells = [];
  let minus = false;
  for (let r = 0; r < rows; r++) {
    const row = h("div", { role: "row", style: "display:contents" });
    for (let c = 0; c < columns; c++) {
      const cell = h("div", { class: "cell", role: "gridcell", tabindex: r + c ? -1 : 0,
        "aria-readonly": onset ? false : true });
      const point = () => onpoint && onpoint(r, c);
      cell.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && point());
      cell.addEventListener("click", () => cell.focus({ preventScroll: true }));
      cell.addEventListener("focus", () => {
        cells.flat().forEach((x) => (x.tabIndex = -1));
        cell.tabIndex = 0;
        if (onset && edit) edit.aim(cell, (v) => onset(r, c, v));
        point();
      });
      cell.addEventListener("keydown", (event) => {
        const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
          Home: [0, -columns], End: [0, columns] }[event.key];
        if (move) {
          event.preventDefault();
          cells[clamp(r + move[0], 0, rows - 1)][clamp(c + move[1], 0, columns - 1)].focus();
        } else if (onset && /^[0-9]$/.test(event.key)) {
          onset(r, c, (minus ? -1 : 1) * +event.key);
          minus = false;
        } else if (onset && (event.key === "+" || event.key === "=")) {
          onset(r, c, cell.value + 1);
        } else if (onset && event.key === "_") {
          onset(r, c, cell.value - 1);
        } else minus = event.key === "-";
      });
      (cells[r] ||= []).push(cell);
      row.append(cell);
    }
    box.append(row);
  }
  if (onleave) box.addEventListener("pointerleave", onleave);
  box.cells = cells;
  /** Show numbers; `classes(r, c)` names each cell's look. */
  box.show = (values, classes = () => "", digits = 2) => {
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const cell = cells[r][c], text = fmt(values[r][c], digits), look = "cell " + classes(r, c);
        cell.value = values[r][c];
        if (cell.textContent !== text) cell.textContent = text;
        if (cell.className !== look) cell.className = look;
      }
    edit?.tell();
  };
  return box;
}

/**
 * Follow a pointer from press to release; ondrag(x, y, event) in the element's own pixels.
 * A finger that moves up or down scrolls the page and changes nothing; a tap, or a finger that sets
 * out sideways, acts. With `hover` a mouse need not press.
 */
export function drag(element, ondrag, hover) {
  element.style.touchAction = "pan-y";
  const move = (event) => {
    const box = element.getBoundingClientRect();
    ondrag(event.clientX - box.left, event.clientY - box.top, event);
  };
  if (hover) element.addEventListener("pointermove", (e) => e.pointerType === "mouse" && !e.buttons && move(e));
  element.addEventListener("pointerdown", (down) => {
    if (down.button) return;
    const finger = down.pointerType === "touch";
    let acted = !finger;
    const start = () => { acted ||= (move(down), true); };
    const follow = (event) => {
      const far = Math.abs(event.clientX - down.clientX);
      if (!acted && (far < 6 || far < Math.abs(event.clientY - down.clientY))) return;
      start();
      move(event);
    };
    const end = (event) => {
      for (const kind of ["pointermove", "pointerup", "pointercancel"])
        element.removeEventListener(kind, kind === "pointermove" ? follow : end);
      if (event.type === "pointerup") start();
    };
    if (!finger) {
      down.preventDefault();
      move(down);
    }
    element.setPointerCapture(down.pointerId);
    element.addEventListener("pointermove", follow);
    element.addEventListener("pointerup", end);
    element.addEventListener("pointercancel", end);
  });
}

const isDark = () => {
  const root = document.documentElement, body = document.body;
  const told = root.dataset.theme || root.getAttribute("theme") || body?.dataset.jpThemeLight;
  if (told === "dark" || told === "false") return true;
  if (told === "light" || told === "true") return false;
  return matchMedia("(prefers-color-scheme: dark)").matches;
};

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * The base class. A figure defines `draw(parameters)`, which returns its elements, and `update()`,
 * which draws its state: the properties that `static keys` names. `static tries` are pairs of a
 * button's text and the state that it sets, or a function (figure) => state.
 */
export class Figure extends (globalThis.HTMLElement || Object) {
  static css = "";
  static keys = [];
  static tries = [];

  connectedCallback() {
    if (this.shadowRoot) return this.watch();
    const shadow = this.attachShadow({ mode: "open" }), { css, tries } = this.constructor;
    this.live = h("p", { class: "hidden", role: "status" });
    const parts = this.draw(JSON.parse(this.dataset.parameters || "{}"));
    this.first = JSON.stringify(this.state());
    const plain = (text, act) => {
      const b = button(text, act);
      b.className = "plain";
      return b;
    };
    const row = h("div", { class: "tries", role: "group", "aria-label": "Try this" },
      tries.map(([text, to]) => button(text, () => this.go(typeof to === "function" ? to(this) : to))),
      tries.length ? plain("Reset", () => this.go(JSON.parse(this.first))) : []);
    const box = h("div", { class: "figure", role: "group", "aria-label": this.getAttribute("aria-label") },
      this.closest(".bd-article") ? plain("Link", () => this.share()) : [],
      h("p", { class: "title" }, this.dataset.title || ""), row, parts, this.live);
    shadow.append(h("style", {}, CSS + css), box);
    // A notebook takes plain keys as commands (j, k, x, ...): they end here. Ctrl-S must not.
    for (const kind of ["keydown", "keypress", "keyup"])
      shadow.addEventListener(kind, (e) => e.ctrlKey || e.metaKey || e.stopPropagation());
    this.style.minHeight = "";
    this.watch();
    this.recall();
  }

  /** What the reader has set, as JSON types. */
  state() {
    return Object.fromEntries(this.constructor.keys.map((key) => [key, this[key]]));
  }

  /** Show a state or a part of one, as a "try this" button or a link gives it. */
  go(state) {
    this.pause?.();
    Object.assign(this, structuredClone(state));
    this.refresh();
  }

  /** Put the state into the page's address, and that on the clipboard. */
  share() {
    const url = location.href.split("#")[0];
    history.replaceState(null, "", `${url}#${this.dataset.name}=${encodeURIComponent(JSON.stringify(this.state()))}`);
    navigator.clipboard?.writeText(location.href);
    this.live.textContent = "The page’s address, now on the clipboard, leads here.";
  }

  /** Go to the state that the page's address names. */
  recall() {
    const [name, state] = location.hash.slice(1).split("=");
    if (!state || name !== this.dataset.name) return;
    try {
      const found = JSON.parse(decodeURIComponent(state)), now = this.state();
      if (Object.keys(found).every((k) => k in now && typeof found[k] === typeof now[k])) this.go(found);
    } catch { /* not a link of ours */ }
    this.scrollIntoView();
  }

  watch() {
    const set = () => this.toggleAttribute("dark", isDark());
    this.watcher = new MutationObserver(set);
    for (const e of [document.documentElement, document.body])
      this.watcher.observe(e, { attributes: true });
    this.media = matchMedia("(prefers-color-scheme: dark)");
    this.media.onchange = set;
    set();
    this.sizes = new ResizeObserver(() => this.clientWidth !== this.wide && this.refresh());
    this.sizes.observe(this);
  }

  /** Pixels from side to side inside the frame; `update` draws anew when they change. */
  get room() {
    this.wide = this.clientWidth;
    return Math.max(this.wide, 280) - (this.wide < 420 ? 22 : 30);
  }

  disconnectedCallback() {
    this.watcher?.disconnect();
    this.sizes?.disconnect();
    this.pause?.();
  }

  /** Say something to a screen reader, once the reader's hand is still. */
  say(text) {
    clearTimeout(this.saying);
    this.saying = setTimeout(() => (this.live.textContent = text), 400);
  }

  /** Run `update` once in the next frame, however often it is asked for. */
  refresh() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.update();
    });
  }
}

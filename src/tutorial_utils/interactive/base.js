// The shared base of every interactive figure: theme, controls, grids, keyboard, live region.
// A figure imports from here; Python puts both files into one module, so a page needs no other.

const CSS = `
:host{display:block;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--panel:#f4f6f8;--line:#c4cad1;
--blue:#0072b2;--orange:#b35900;--fill-blue:#cfe6f5;--fill-orange:#fbe3c0;--good:#00734f;
color:var(--ink);font:15px/1.45 system-ui,sans-serif;container-type:inline-size}
:host([dark]){--ink:#e6e9ec;--soft:#aab3bd;--paper:#14181d;--panel:#20262d;--line:#4b5560;
--blue:#62bdf0;--orange:#f0a040;--fill-blue:#12405c;--fill-orange:#573708;--good:#3fcf9b}
.figure{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:14px}
.controls{display:flex;flex-wrap:wrap;gap:10px 18px;align-items:end;margin-bottom:12px}
.parts{display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start}
label,.label{display:block;font-size:13px;color:var(--soft)}
label b,output{color:var(--ink);font-variant-numeric:tabular-nums}
input[type=range]{display:block;width:150px;height:24px;margin:0;accent-color:var(--blue)}
select,button,input[type=number]{font:inherit;color:var(--ink);background:var(--panel);
border:1px solid var(--line);border-radius:6px;padding:4px 10px;min-height:34px}
button{cursor:pointer}button[aria-pressed=true]{background:var(--fill-blue);border-color:var(--blue);
box-shadow:inset 0 -3px var(--blue)}button:disabled{opacity:.55;cursor:default}
:focus-visible{outline:3px solid var(--orange);outline-offset:1px}
.grid{display:inline-grid;gap:2px;touch-action:none}
.cell{min-width:34px;height:34px;padding:0 2px;display:grid;place-items:center;background:var(--panel);
border:1px solid var(--line);border-radius:3px;font-size:13px;font-variant-numeric:tabular-nums;
box-sizing:border-box;cursor:default;user-select:none}
.cell.lit{background:var(--fill-blue);border:2px solid var(--blue)}
.cell.out{background:var(--fill-orange);border:2px solid var(--orange)}
.cell.pad{border-style:dashed;color:var(--soft)}
.say{min-height:3em;margin:10px 0 0;overflow-wrap:anywhere}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
svg{display:block;max-width:100%;height:auto;overflow:visible}svg text{fill:var(--ink);font-size:12px}
canvas{display:block;max-width:100%;border-radius:4px}
table{border-collapse:collapse;font-size:13px}th,td{padding:3px 8px;border-bottom:1px solid var(--line);
text-align:right;font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}
@media print{.controls{display:none}.figure{break-inside:avoid}}`;

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
  range.value = value;
  const tell = () => {
    out.textContent = show(+range.value);
    range.setAttribute("aria-valuetext", out.textContent);
  };
  range.addEventListener("input", () => { tell(); oninput(+range.value); });
  tell();
  const box = h("label", {}, label + " ", out, range);
  box.set = (v) => { range.value = v; tell(); };
  box.range = range;
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
  if (pressed !== undefined) b.setAttribute("aria-pressed", pressed);
  b.addEventListener("click", () => {
    if (pressed !== undefined) b.setAttribute("aria-pressed", (pressed = !pressed));
    onclick(pressed);
  });
  return b;
}

/**
 * A grid of numbers, one tab stop, arrow keys to move (roving tabindex).
 * onpoint(row, column) follows pointer and focus; onset(row, column, value) makes it editable:
 * up and down with + and -, or type a digit (after "-" a negative one).
 */
export function grid(label, rows, columns, { onpoint, onset, onleave } = {}) {
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
      cell.addEventListener("pointerenter", point);
      cell.addEventListener("pointerdown", () => {
        if (onset && cell.matches(":focus")) onset(r, c, cell.value + 1); // a second tap, for touch
        cell.focus();
      });
      cell.addEventListener("focus", () => {
        cells.flat().forEach((x) => (x.tabIndex = -1));
        cell.tabIndex = 0;
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
  };
  return box;
}

/** Follow a pointer from press to release; ondrag(x, y, event) in the element's own pixels. */
export function drag(element, ondrag, onend = () => {}) {
  element.style.touchAction = "none";
  const move = (event) => {
    const box = element.getBoundingClientRect();
    ondrag(event.clientX - box.left, event.clientY - box.top, event);
  };
  element.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    move(event);
    element.addEventListener("pointermove", move);
    const end = () => {
      element.removeEventListener("pointermove", move);
      onend();
    };
    element.addEventListener("lostpointercapture", end, { once: true });
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

/** The base class. A figure defines `draw(parameters)`, which returns its elements. */
export class Figure extends (globalThis.HTMLElement || Object) {
  static css = "";

  connectedCallback() {
    if (this.shadowRoot) return this.watch();
    const shadow = this.attachShadow({ mode: "open" });
    this.live = h("p", { class: "hidden", role: "status" });
    const parts = this.draw(JSON.parse(this.dataset.parameters || "{}"));
    const name = this.getAttribute("aria-label");
    const box = h("div", { class: "figure", role: "group", "aria-label": name }, parts, this.live);
    shadow.append(h("style", {}, CSS + this.constructor.css), box);
    // A notebook takes plain keys as commands (j, k, x, ...): they end here. Ctrl-S must not.
    for (const kind of ["keydown", "keypress", "keyup"])
      shadow.addEventListener(kind, (e) => e.ctrlKey || e.metaKey || e.stopPropagation());
    this.watch();
  }

  watch() {
    const set = () => this.toggleAttribute("dark", isDark());
    this.watcher = new MutationObserver(set);
    for (const e of [document.documentElement, document.body])
      this.watcher.observe(e, { attributes: true });
    this.media = matchMedia("(prefers-color-scheme: dark)");
    this.media.onchange = set;
    set();
  }

  disconnectedCallback() {
    this.watcher?.disconnect();
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

import { Figure, choice, clamp, drag, fmt, h } from "./base.js";
import { axes, chart, path, scale } from "./plot.js";

// A row: [name, weights, top-1, GMACs, parameters in millions, MB, index of the family].
const UNITS = ["GMACs", "M parameters", "MB"];
const NAMES = ["", "", "", ...UNITS];
const COSTS = [3, 4, 5];

/** The rows that ModelChooser.parameters packed. */
export const parse = (data) => Object.values(data).flatMap((lines, family) => {
  let old = [""];
  return lines.split(";").map((line) => {
    const [name, ...rest] = line.split(",");
    old = [name ? old[0].slice(0, parseInt(name[0], 36)) + name.slice(1) : old[0],
      ...rest.map((v, i) => (v ? (i ? +v : v) : old[i + 1])), family];
    return old;
  });
});

/** The rows that cost at most {column: limit}. */
export const within = (rows, limits) => rows.filter((row) => COSTS.every((k) => !(row[k] > limits[k])));

/** Sorted by a column; equals keep their order. */
export const sorted = (rows, k, down) =>
  [...rows].sort((a, b) => (a[k] < b[k] ? -1 : +(a[k] > b[k])) * (down ? -1 : 1));

/** The rows that no row of at most their cost beats, cheapest first. */
export function front(rows, cost) {
  let record = 0;
  return sorted(sorted(rows, 2, true), cost).filter((row) => row[2] > record && (record = row[2]));
}

/** The most accurate row; of equals the one with the fewest GMACs. */
export const best = (rows) => sorted(front(rows, 3), 2, true)[0];

const SHAPES = ["M-4-4L4 4M-4 4L4-4", "M-4.5 0H4.5M0-4.5V4.5", "M0-5L3 0 0 5-3 0Z",
  "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0", "M0-5V5M-4.5-2.5L4.5 2.5M-4.5 2.5L4.5-2.5", "M-3.5-3.5H3.5V3.5H-3.5Z",
  "M0 4.5L4.5-3.5H-4.5Z", "M-4-2L0-4.5 4-2V2L0 4.5-4 2Z", "M0-4.5L4.5 3.5H-4.5Z", "M0-5L5 0 0 5-5 0Z", "M-4 3V-1L0-5 4-1V3Z"];
const tell = ([name, weights, top1, ...costs]) => `${name} (${weights}): ${fmt(top1, 1)} %, ` +
  costs.slice(0, 3).map((v, i) => `${fmt(v)} ${UNITS[i]}`).join(", ");
const options = (values, unit) => [["", "any"], ...values.map((v) => [v, `≤ ${v} ${unit}`])];

export class Main extends Figure {
  static css = `.plot{cursor:crosshair}.keys{display:flex;flex-wrap:wrap;gap:2px 12px;font-size:12px}.keys svg{display:inline}
.front{font-size:11px;paint-order:stroke;stroke:var(--paper);stroke-width:3px}.say{min-height:4.2em}
.controls{margin:0 0 4px}@container(width<420px){.controls label+label+label{max-width:96px}}`;
  static keys = ["mb", "gmacs", "axis", "name"];
  static tries = [
    ["Phone", { mb: 25, gmacs: 0.6, axis: 3, name: "" }],
    ["Laptop", { mb: 125, gmacs: 5, axis: 3, name: "" }],
    ["Server", { mb: "", gmacs: "", axis: 3, name: "" }],
    ["VGG?", { mb: "", gmacs: "", axis: 5, name: "vgg16 V1" }],
  ];

  draw({ rows, colors, ...state }) {
    Object.assign(this, { colors, rows: parse(rows), ...state, axis: 3, name: "" });
    const families = Object.keys(rows), set = (key) => (v) => { this[key] = +v || ""; this.refresh(); };
    this.menus = { mb: choice("file", options([10, 25, 50, 125, 250], "MB"), "", set("mb")),
      gmacs: choice("work", options([0.3, 0.6, 2, 5, 20], "GMACs"), "", set("gmacs")),
      axis: choice("across", COSTS.map((k) => [k, NAMES[k]]), 3, set("axis")) };
    this.plot = h("div", { class: "plot", tabindex: 0, role: "application", "aria-label": "checkpoints; arrow keys move",
      onkeydown: (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1, Home: -999, End: 999 }[event.key];
        if (!by) return;
        event.preventDefault();
        const list = sorted(this.left, this.axis);
        this.pick(list[clamp(list.indexOf(this.picked) + by, 0, list.length - 1)]);
      } });
    const near = (px, py) => {
      const far = (row) => Math.hypot(this.x(row) - px, this.y(row) - py);
      if (this.left[0]) this.pick([...this.left].sort((a, b) => far(a) - far(b))[0]);
    };
    drag(this.plot, near, true);
    this.text = h("p", { class: "say" });
    this.update();
    return [h("div", { class: "controls" }, Object.values(this.menus)), this.plot, this.text,
      h("div", { class: "keys" }, families.map((name, f) =>
        h("span", {}, h("svg", { width: 12, height: 12, viewBox: "-6 -6 12 12", "aria-hidden": "true" }, this.mark(f)), " " + name)),
      "hollow: SWAG. Line: what no cheaper one beats.")];
  }

  mark(family, hollow) {
    const colour = this.colors[family];
    return h("path", { d: SHAPES[family], fill: colour, stroke: colour, "stroke-width": 2, "fill-opacity": +!hollow });
  }

  pick(row) {
    this.name = row ? row[0] + " " + row[1] : "";
    this.refresh();
  }

  update() {
    const { mb, gmacs, axis } = this;
    for (const key in this.menus) this.menus[key].set(this[key]);
    this.left = within(this.rows, { 3: gmacs || Infinity, 5: mb || Infinity });
    this.top = best(this.left);
    this.picked = this.left.find((row) => row[0] + " " + row[1] === this.name) ?? this.top;
    this.front = front(this.left, axis);
    this.paint();
    const text = this.top ? `${this.left.length} of ${this.rows.length} fit. The best: ${tell(this.top)}.` +
      (this.picked === this.top ? "" : ` Pointed at: ${tell(this.picked)}.`) : "No checkpoint fits this budget.";
    this.text.textContent = text;
    this.say(text);
  }

  paint() {
    const k = this.axis, W = this.room, H = W < 500 ? 272 : 360, right = W - 12, all = this.rows.map((row) => row[k]);
    const limit = { 3: this.gmacs, 5: this.mb }[k], base = H - 40; // a budget cuts off what lies far beyond it
    const low = Math.min(...all), high = Math.min(Math.max(...all), limit ? 8 * limit : Infinity);
    
    const x = scale([low * 0.8, high * 1.25], [44, right], true), y = scale([55, 90], [base, 8]);
    this.x = (row) => x(row[k]);
    this.y = (row) => y(row[2]);
    const at = (row, what) => h("g", { transform: `translate(${this.x(row)} ${this.y(row)})` }, what);
    const point = (row) => at(row, this.mark(row[6], row[1][0] === "S"));
    const steps = this.front.flatMap((row, i, list) =>
      [[this.x(row), this.y(list[i - 1] ?? row)], [this.x(row), this.y(row)]]);
    // Names on the front, the best first, where there is room for them.
    const taken = [], name = (row, bold) => {
      const [text] = row, wide = 6.1 * text.length, px = clamp(this.x(row) - wide - 8, 44, right - wide), py = this.y(row) - 7;
      const free = taken.every(([a, b, w]) => Math.abs(py - b) > (W < 500 ? 20 : 12) || px > a + w || a > px + wide);
      if (!free && !bold) return [];
      taken.push([px, py, wide]);
      return h("text", { x: px, y: py, class: "front", "font-weight": bold ? 700 : 400 }, text);
    };
    const names = this.top ? [name(this.picked, true), [...this.front].reverse().filter((r) => r !== this.picked).map((r) => name(r))] : [];
    const edge = limit ? h("path", { d: `M${x(limit)} 8V${base}`, stroke: "var(--orange)", "stroke-width": 2,
      "stroke-dasharray": "5 4" }) : [];
    this.plot.replaceChildren(chart("accuracy against cost", W, H,
      axes({ x, y, box: [44, 8, right, base], xlabel: NAMES[k] + ", log scale", ylabel: "ImageNet top-1 (%)",
        xticks: [0.1, 1, 10, 100, 1000].filter((t) => t > low && t < high), yticks: [60, 70, 80, 90] }),
      h("g", { opacity: 0.16 }, this.rows.filter((row) => !this.left.includes(row) && row[k] <= high).map(point)), edge,
      h("path", { d: path(steps), fill: "none", stroke: "var(--ink)", "stroke-width": 1.5 }), this.left.map(point),
      this.top ? at(this.picked, h("circle", { r: 9, fill: "none", stroke: "var(--orange)", "stroke-width": 3 })) : [], names));
  }
}

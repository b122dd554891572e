import { Figure, button, choice, clamp, fmt, h, slider } from "./base.js";
import { axes, chart, path, scale } from "./plot.js";
// Without grid(): the data need the bytes.

// A row: [name, weights, top-1, GMACs, parameters in millions, MB, index of the family].
const UNITS = ["GMACs", "M parameters", "MB"];
const NAMES = ["checkpoint", "weights", "top-1 (%)", ...UNITS];
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

const COLOURS = "#07b #e90 #096 #c7a #5be #d50 #888 var(--ink)".split(" ");
const SHAPES = ["M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0", "M-3-3H3V3H-3", "M0-4L4 3H-4", "M0-5L4 0 0 5-4 0",
  "M0 4L4-3H-4", "M-1-4H1V-1H4V1H1V4H-1V1H-4V-1H-1", "M4 0L-3-4V4", "M-1-5H1V5H-1"];
const mark = (family, hollow) => h("path", { d: SHAPES[family] + "Z", fill: COLOURS[family],
  stroke: COLOURS[family], "stroke-width": 2, "fill-opacity": +!hollow });
const tell = ([name, weights, top1, ...costs]) => `${name} (${weights}): ${fmt(top1, 1)} %, ` +
  costs.slice(0, 3).map((v, i) => `${fmt(v)} ${UNITS[i]}`).join(", ");

export class Main extends Figure {
  static css = `.view{height:380px;overflow:auto}.view table{width:100%}
th{position:sticky;top:0;background:var(--paper)}.controls{gap:10px 12px}input[type=range]{width:128px}
th button{font-size:12px;padding:2px 6px;white-space:nowrap}
.keys{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:12px}
.keys svg{display:inline}@container(max-width:600px){.say{min-height:9em}}`;

  draw(data) {
    this.rows = parse(data);
    this.axis = 3;
    this.limits = {};
    this.sort = [2, true];
    this.W = clamp(this.clientWidth - 30, 290, 720);
    const budget = (k) => {
      const [low, high] = this.range(k);
      const limit = (t) => (t < 60 ? +(low * (high / low) ** (t / 60)).toPrecision(2) : Infinity);
      return slider(NAMES[k], { min: 0, max: 60, value: 60, show: (t) => (t < 60 ? "≤ " + limit(t) : "any"),
        oninput: (t) => { this.limits[k] = limit(t); this.refresh(); } });
    };
    const point = ({ clientX, clientY }) => {
      const box = this.plot.firstChild.getBoundingClientRect(), k = this.W / box.width;
      const far = (row) => Math.hypot(this.x(row) - k * (clientX - box.left), this.y(row) - k * (clientY - box.top));
      this.pick([...this.left].sort((a, b) => far(a) - far(b))[0]);
    };
    this.plot = h("div", { tabindex: 0, role: "application", "aria-label": "checkpoints; arrow keys move",
      onpointermove: point, onpointerdown: point, onkeydown: (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1, Home: -999, End: 999 }[event.key];
        if (!by) return;
        event.preventDefault();
        const rows = sorted(this.left, this.axis);
        this.pick(rows[clamp(rows.indexOf(this.picked) + by, 0, rows.length - 1)]);
      } });
    this.view = h("div", { class: "view" });
    this.text = h("p", { class: "say" });
    this.update();
    return [h("div", { class: "controls" }, COSTS.map(budget),
      choice("cost axis", COSTS.map((k) => [k, NAMES[k]]), 3, (k) => { this.axis = +k; this.refresh(); }),
      button("Table", (on) => { this.table = on; this.refresh(); }, false)), this.view,
    h("div", { class: "keys" }, Object.keys(data).map((name, f) =>
      h("span", {}, h("svg", { width: 12, height: 12, viewBox: "-6 -6 12 12" }, mark(f)), " " + name)),
    "hollow: SWAG · line, ◆: Pareto front · large ring: the best, small: pointed at"), this.text];
  }

  pick(row) {
    this.picked = row;
    this.refresh();
  }

  range(k) {
    const all = this.rows.map((row) => row[k]);
    return [Math.min(...all), Math.max(...all)];
  }

  update() {
    this.left = within(this.rows, this.limits);
    this.top = best(this.left);
    if (!this.left.includes(this.picked)) this.picked = this.top;
    this.view.replaceChildren(this.table ? this.list() : this.paint());
    const text = this.top ? `${this.left.length} of ${this.rows.length} fit. The best: ${tell(this.top)}.` +
      (this.table || this.picked === this.top ? "" : ` Pointed at: ${tell(this.picked)}.`) : "No checkpoint fits this budget.";
    this.text.textContent = text;
    this.say(text);
  }

  paint() {
    const k = this.axis, right = this.W - 10, [low, high] = this.range(k);
    const x = scale([low * 0.8, high * 1.25], [50, right], true), y = scale([55, 90], [340, 8]);
    this.x = (row) => x(row[k]);
    this.y = (row) => y(row[2]);
    const at = (row, what) => h("g", { transform: `translate(${this.x(row)} ${this.y(row)})` }, what);
    const point = (row) => at(row, mark(row[6], row[1][0] === "S"));
    const ring = (row, r, stroke) => at(row, h("circle", { r, fill: "none", stroke, "stroke-width": 3 }));
    const steps = front(this.left, k).flatMap((row, i, all) =>
      [[this.x(row), this.y(all[i - 1] ?? row)], [this.x(row), this.y(row)]]);
    this.plot.replaceChildren(chart("accuracy against cost", this.W, 380,
      axes({ x, y, box: [50, 8, right, 340], xlabel: NAMES[k] + ", log scale", ylabel: "ImageNet top-1 (%)",
        xticks: [0.1, 1, 10, 100, 1000].filter((t) => t > low && t < high), yticks: [60, 70, 80, 90] }),
      h("g", { opacity: 0.15 }, this.rows.filter((row) => !this.left.includes(row)).map(point)),
      h("path", { d: path(steps), fill: "none", stroke: "var(--ink)" }), this.left.map(point),
      this.top ? [ring(this.picked, 9, "var(--orange)"), ring(this.top, 13, "var(--blue)")] : []));
    return this.plot;
  }

  list() {
    const [k, down] = this.sort;
    const kept = front(this.left, this.axis);
    return h("table", {}, h("thead", {}, h("tr", {}, NAMES.map((name, i) =>
      h("th", { "aria-sort": i === k && (down ? "descending" : "ascending") },
        button(name + (i === k ? (down ? " ▼" : " ▲") : ""), () => {
          this.sort = [i, i === k ? !down : i === 2];
          this.update();
          this.view.querySelectorAll("button")[i].focus();
        }))))), h("tbody", {}, sorted(this.left, k, down).map((row) =>
      h("tr", {}, NAMES.map((_, i) => h("td", {}, i > 1 ? fmt(row[i], 3) : row[i],
        !i && kept.includes(row) ? " ◆" : ""))))));
  }
}

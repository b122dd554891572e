import { Figure, h, segments } from "./base.js";
import { axes, chart, path, scale } from "./plot.js";

const CHANCE = 1 / 8, three = (v) => v.toFixed(3);

/** The point of a regime with so many images, or the nearest that was measured. */
export const pointOf = (points, images) =>
  [...points].sort((a, b) => Math.abs(a[0] - images) - Math.abs(b[0] - images))[0];

export class Main extends Figure {
  static css = `.rows{display:grid;grid-template-columns:auto 1fr;gap:8px 12px;align-items:center;margin-bottom:10px}
.segments button{padding:3px 9px;font-size:14px;border-left:5px solid var(--c,var(--line))}
@container(width<420px){.rows{grid-template-columns:1fr;gap:3px}.segments button{padding:2px 7px;font-size:13px}}`;
  static keys = ["regime", "images"];
  static tries = [
    ["Six labels", { images: 6, regime: "frozen" }],
    ["All trained", { images: 40, regime: "full" }],
    ["From scratch", { images: 40, regime: "scratch" }],
  ];

  draw({ points, colors, regime, images }) {
    Object.assign(this, { points, colors, regime, images });
    this.counts = [...new Set(Object.values(points).flat().map(([n]) => n))].sort((a, b) => a - b);
    const set = (key) => (v) => { this[key] = v; this.refresh(); };
    this.choose = { regime: segments("regime", Object.keys(points), regime, set("regime")),
      images: segments("images per class", this.counts, images, set("images")) };
    Object.keys(points).forEach((name, i) => this.choose.regime.children[i].style.setProperty("--c", colors[name]));
    this.plot = h("div");
    this.text = h("p", { class: "say" });
    this.update();
    return [h("div", { class: "rows" }, h("span", { class: "label" }, "regime"), this.choose.regime,
      h("span", { class: "label" }, "images per class"), this.choose.images), this.plot, this.text,
    h("p", { class: "help" }, "Measured: MobileNetV2, eight classes of solids, 320 images that chose nothing; dots: seeds, bar: " +
      "95 % t interval. Below 40: logistic regression on frozen features.")];
  }

  update() {
    const { points, regime, images, colors } = this, W = Math.min(this.room, 640), H = 215, base = H - 40;
    for (const key in this.choose) this.choose[key].set(this[key]);
    const x = scale([2.7, 52], [46, W - 12], true), y = scale([0, 1], [base, 8]), found = points[regime];
    const chosen = pointOf(found, images), [n, tests, mean, low, high] = chosen;
    const lines = Object.entries(points).sort(([a]) => (a === regime ? 1 : -1)).map(([name, list]) => {
      const here = name === regime, colour = colors[name];
      return h("g", { opacity: here ? 1 : 0.6 },
        h("path", { d: path(list.map(([k, , m]) => [x(k), y(m)])), fill: "none", stroke: colour, "stroke-width": here ? 2.5 : 1.5 }),
        list.map(([k, , m]) => h("circle", { cx: x(k), cy: y(m), r: here ? 4 : 3, fill: colour })));
    });
    const at = x(n), colour = colors[regime];
    this.plot.replaceChildren(chart("accuracy against images per class", W, H,
      axes({ x, y, box: [46, 8, W - 12, base], xticks: this.counts, yticks: [0, 0.25, 0.5, 0.75, 1],
        xlabel: "images per class (log scale)", ylabel: "accuracy" }),
      h("path", { d: `M46 ${y(CHANCE)}H${W - 12}`, stroke: "var(--soft)", "stroke-dasharray": "4 4" }),
      h("text", { x: W - 14, y: y(CHANCE) - 4, "text-anchor": "end" }, "guessing"), lines,
      h("path", { d: `M${at} ${y(low)}V${y(high)}M${at - 6} ${y(low)}h12M${at - 6} ${y(high)}h12`, stroke: colour, "stroke-width": 2.5, fill: "none" }),
      tests.map((v, i) => h("circle", { cx: at + 12 + 3 * (i % 2), cy: y(v), r: 3, fill: "none", stroke: colour, "stroke-width": 1.5 })),
      h("circle", { cx: at, cy: y(mean), r: 7, fill: "none", stroke: "var(--ink)", "stroke-width": 2 })));
    const text = `${regime}, ${n} images per class: ${three(mean)} of the images are right; 95 % interval ` +
      `${three(low)} to ${three(high)} over ${tests.length} seeds` + (n === images ? "." : ` (${images} was not measured).`);
    this.text.textContent = text;
    this.say(text);
  }
}

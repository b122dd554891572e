import { Figure, fmt, h, segments } from "./base.js";
import { picture, pixels } from "./photo.js";

/** How bright a pixel is drawn: 0.15 where the channel is silent, 1 at its strongest. */
export const light = (level, most) => 0.15 + (0.85 * Math.max(level, 0)) / Math.max(most, 1e-6);

export class Main extends Figure {
  static css = `.photos{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:8px 10px;margin:8px 0;max-width:720px}
.photos canvas{width:100%!important}.map canvas{image-rendering:pixelated!important}
.photos b{font-weight:400;font-size:13px}.rows{display:grid;grid-template-columns:auto 1fr;gap:6px 12px;align-items:center}
.segments button{padding:3px 9px;min-height:32px;font-size:14px}
@container(width<420px){.photos{gap:5px}.rows{grid-template-columns:1fr;gap:2px}.segments button{padding:2px 6px;font-size:13px}}`;
  static keys = ["index", "number"];
  static tries = [
    ["Early: edges", { index: 1, number: 0 }],
    ["Late: espresso", { index: 5, number: 1 }],
    ["Late: cat", { index: 5, number: 0 }],
  ];

  draw({ photos, stages, stage }) {
    Object.assign(this, { photos, stages, number: 0, index: stages.findIndex(([s]) => s === stage) });
    const set = (key) => (v) => { this[key] = v; this.refresh(); };
    this.menu = segments("stage", stages.map(([s, n], i) => [i, `${s}: ${n}²`]), this.index, set("index"));
    this.channels = h("div");
    this.set = set;
    this.views = photos.map((name) => ({ lit: h("div"), map: h("div", { class: "map" }), value: h("b"), name }));
    this.text = h("p", { class: "say" });
    Promise.all([pixels(this), pixels(this, "img + img")]).then(([all, sheet]) => {
      this.all = all;
      this.sheet = sheet;
      this.update();
    });
    this.update();
    return [h("div", { class: "rows" }, h("span", { class: "label" }, "stage: side of its maps"), this.menu,
      h("span", { class: "label" }, "channel"), this.channels),
    h("div", { class: "photos" }, ["lit", "map", "value"].map((k) => this.views.map((v) => v[k]))), this.text];
  }

  /** A photo's map as values. */
  values(photo) {
    const [, n, left, top, , , low, high] = this.stages[this.index], k = this.number, { sheet } = this;
    const x = left + 224 * (photo % 2) + n * k, y = top + 196 * Math.floor(photo / 2);
    return Array.from({ length: n * n }, (_, i) => low[k] + (sheet.data[4 * ((y + Math.floor(i / n)) * sheet.width +
      x + (i % n))] / 255) * (high[k] - low[k]));
  }

  update() {
    const [stage, n, , , of, channels] = this.stages[this.index];
    this.number = Math.min(this.number, channels.length - 1);
    this.menu.set(this.index);
    const look = String([this.index, this.number]);
    if (this.look !== look) this.channels.replaceChildren(segments("channel", channels.map((c, k) => [k, c]), this.number, this.set("number")));
    this.look = look;
    if (!this.sheet) return;
    const maps = this.photos.map((_, k) => this.values(k)), most = Math.max(...maps.flat()), side = this.all.height;
    const tops = maps.map((m) => Math.max(...m));
    this.views.forEach((view, k) => {
      const lit = picture(`${view.name}, lit by the channel`, side, side), map = picture(`${view.name}, feature map`, n, n);
      lit.paint(Array(side * side).fill(0), (_, i) => {
        const r = Math.floor(i / side), c = i % side, at = 4 * (r * this.all.width + k * side + c);
        const l = light(maps[k][Math.floor((r * n) / side) * n + Math.floor((c * n) / side)], most);
        return [0, 1, 2].map((q) => l * this.all.data[at + q]);
      });
      map.paint(maps[k], (v) => 255 * light(v, most));
      view.lit.replaceChildren(lit);
      view.map.replaceChildren(map);
      view.value.textContent = fmt(tops[k]);
    });
    const best = tops.indexOf(Math.max(...tops));
    const text = `Stage ${stage}, channel ${channels[this.number]} of ${of}: brightest in “${this.photos[best]}” (${fmt(tops[best])}). ` +
      "Bright where the channel answers; numbers are its strongest answers.";
    this.text.textContent = text;
    this.say(text);
  }
}

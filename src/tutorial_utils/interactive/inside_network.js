import { Figure, button, clamp, drag, fmt, h, segments } from "./base.js";
import { picture, pixels } from "./photo.js";

/**
 * The receptive field of unit i along one side, after 3 x 3 layers with padding 1 of these strides:
 * the first and last pixel that reach it, the field's width without border, and the stride.
 */
export function field(strides, size, i) {
  const sizes = [size];
  for (const s of strides) sizes.push(Math.floor((sizes.at(-1) - 1) / s) + 1);
  let [first, last, full, stride] = [i, i, 1, 1];
  for (let l = strides.length - 1; l >= 0; l--) {
    first = Math.max(0, first * strides[l] - 1);
    last = Math.min(sizes[l] - 1, last * strides[l] + 1);
  }
  for (const s of strides) {
    full += 2 * stride;
    stride *= s;
  }
  return { first, last, full, stride };
}

/** The value that a level from 0 to 255 stands for. */
export const value = (level, low, high) => low + (level / 255) * (high - low);

const COLOUR = "#ffb000";
const percent = (p) => (p < 0.01 ? "< 1" : fmt(100 * p, 0)) + " %";
const line = (d, stroke, width) => h("path", { d, fill: "none", stroke, "stroke-width": width,
  "vector-effect": "non-scaling-stroke" });

export class Main extends Figure {
  static css = `.strip,.photos{display:grid;grid-template-columns:repeat(8,minmax(0,104px));gap:6px;margin-bottom:8px}
.photos{grid-template-columns:repeat(4,minmax(0,76px))}.strip button,.photos button{padding:2px 2px 3px;font-size:12px;line-height:1.2;min-width:0}
canvas{width:100%!important;aspect-ratio:1}.map canvas,.strip canvas{image-rendering:pixelated!important}
.label3{font-size:12px;line-height:1.25;align-self:center}.label3 b{display:block;font-size:14px}.label3 i{display:block;height:6px;background:var(--orange);margin-bottom:2px}
.box,.photos button{position:relative}.box{background:var(--panel);border-radius:4px;cursor:crosshair}
svg{position:absolute;inset:0;width:100%;height:100%;pointer-events:none;overflow:hidden}
.photos .pic{position:relative}.photos svg{border-radius:4px}
.two{display:grid;grid-template-columns:repeat(2,minmax(0,250px));gap:4px 12px}.two .label{align-self:end}
.controls button{padding:2px 8px;min-height:30px;font-size:13px}
@container(width<620px){.strip{grid-template-columns:repeat(4,minmax(0,1fr))}.photos{grid-template-columns:repeat(4,minmax(0,1fr))}
.label3{grid-column:span 2}.photos .pic{width:62%;margin:auto}.photos button{font-size:11px}}
@media print{.strip button,.photos button{display:block}}`;
  static keys = ["photo", "index", "number", "at"];
  static tries = [
    ["Edges", (f) => ({ index: 1, number: 1, photo: 1, at: f.peak(1, 1, 1) })],
    ["Espresso", (f) => ({ index: 5, number: 1, photo: 1, at: f.peak(1, 5, 1) })],
    ["No class fits", (f) => ({ index: 5, number: 3, photo: 3, at: f.peak(3, 5, 3) })],
  ];

  draw({ size, strides, photos, classes, stages, stage, photo }) {
    Object.assign(this, { size, strides, photos, classes, stages, photo, number: 0, at: [0.35, 0.35],
      index: stages.findIndex(([s]) => s === stage) });
    const choose = (key, value) => { this[key] = value; this.refresh(); };
    this.thumbs = photos.map((name, i) => {
      const b = button("", () => choose("photo", i)), svg = h("svg", { viewBox: `0 0 ${size} ${size}`, "aria-hidden": "true" });
      b.append(h("div", { class: "pic" }, svg), name);
      return Object.assign(b, { svg });
    });
    this.tiles = stages.map(([s, n], i) => {
      const b = button("", () => { this.number = Math.min(this.number, this.stages[i][5].length - 1); choose("index", i); });
      const canvas = picture("", n, n);
      canvas.setAttribute("aria-hidden", true);
      b.append(canvas, `${n} × ${n}`);
      b.setAttribute("aria-label", `stage ${s}: ${n} × ${n} units`);
      return Object.assign(b, { canvas });
    });
    this.told = h("div", { class: "label3", role: "img" });
    this.spot = h("svg", { viewBox: `0 0 ${size} ${size}`, "aria-hidden": "true" });
    this.ring = h("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" });
    this.view = h("div", { class: "box" }, this.spot);
    this.map = h("div", { class: "box map", tabindex: 0, role: "application",
      "aria-label": "units of the map; arrow keys move" }, this.ring);
    this.text = h("p", { class: "say" });
    const go = (x, y) => { this.at = [clamp(x, 0, 0.9999), clamp(y, 0, 0.9999)]; this.refresh(); };
    for (const box of [this.view, this.map]) {
      const near = (x, y) => go(x / box.clientWidth, y / box.clientHeight);
      drag(box, near, true);
    }
    this.map.addEventListener("keydown", (event) => {
      const n = this.stage[1], far = event.shiftKey ? 8 : 1;
      const move = { ArrowUp: [-far, 0], ArrowDown: [far, 0], ArrowLeft: [0, -far],
        ArrowRight: [0, far] }[event.key];
      if (!move) return;
      event.preventDefault();
      const [r, c] = this.unit();
      go((c + move[1] + 0.5) / n, (r + move[0] + 0.5) / n);
    });
    this.channels = h("div");
    this.read();
    this.update();
    return [h("div", { class: "photos", role: "group", "aria-label": "photos" }, this.thumbs),
      h("div", { class: "strip", role: "group", "aria-label": "stages" }, this.tiles, this.told),
      h("div", { class: "controls" }, this.channels,
        button("Strongest unit", () => this.go({ at: this.peak(this.photo, this.index, this.number) }))),
      h("div", { class: "two" }, this.view, this.map), this.text];
  }

  async read() {
    const [all, sheet] = await Promise.all([pixels(this), pixels(this, "img + img")]), n = all.height;
    this.pictures = this.photos.map((name, k) => {
      const part = new Uint8ClampedArray(4 * n * n);
      for (let r = 0; r < n; r++)
        part.set(all.data.subarray(4 * (r * all.width + k * n), 4 * (r * all.width + (k + 1) * n)), 4 * r * n);
      return part;
    });
    this.side = n;
    this.sheet = sheet;
    this.thumbs.forEach((b, k) => b.querySelector(".pic").prepend(this.paint(k)));
    this.update();
  }

  /** A canvas with a photo. */
  paint(k) {
    const canvas = picture(this.photos[k], this.side, this.side);
    canvas.context.putImageData(new ImageData(this.pictures[k], this.side), 0, 0);
    return canvas;
  }

  get stage() { return this.stages[this.index]; }

  /** The levels of a photo's map. */
  levels(photo, index, number) {
    const [, n, left, top] = this.stages[index], { sheet } = this;
    const x = left + 224 * (photo % 2) + n * number, y = top + 196 * Math.floor(photo / 2);
    return Array.from({ length: n * n }, (_, i) =>
      sheet.data[4 * ((y + Math.floor(i / n)) * sheet.width + x + (i % n))]);
  }

  /** Where a map is brightest, as shares of its sides. */
  peak(photo, index, number) {
    if (!this.sheet) return this.at;
    const map = this.levels(photo, index, number), n = this.stages[index][1], i = map.indexOf(Math.max(...map));
    return [((i % n) + 0.5) / n, (Math.floor(i / n) + 0.5) / n];
  }

  /** Row and column of the unit. */
  unit(at = this.at) {
    return [at[1], at[0]].map((v) => clamp(Math.floor(v * this.stage[1]), 0, this.stage[1] - 1));
  }

  /** The pixels that reach a unit of the stage, as fields down and across and as a path. */
  see([r, c]) {
    const strides = this.strides.slice(0, this.stage[0] + 1);
    const y = field(strides, this.size, r), x = field(strides, this.size, c);
    return { x, y, d: `M${x.first} ${y.first}H${x.last + 1}V${y.last + 1}H${x.first}Z` };
  }

  update() {
    const { photo, index, number } = this, [s, n, , , of, channels, low, high] = this.stage;
    const shown = String([photo, index, number, !!this.sheet]);
    if (this.shown !== shown) {
      this.shown = shown;
      this.channels.replaceChildren(segments("channels", channels.map((c, k) => [k, (k ? "" : "channel ") + c]), number,
        (k) => { this.number = k; this.refresh(); }));
      this.thumbs.forEach((b, k) => b.setAttribute("aria-pressed", k === photo));
      this.tiles.forEach((b, k) => {
        b.setAttribute("aria-pressed", k === index);
        if (this.sheet) b.canvas.paint(this.levels(photo, k, Math.min(number, this.stages[k][5].length - 1)));
      });
      this.told.replaceChildren(...this.classes[photo].map(([name, p], k) => [h(k ? "span" : "b", {}, `${name} ${percent(p)}`),
        h("i", { style: `width:${Math.max(100 * p, 2)}%` })]).flat());
      this.told.setAttribute("aria-label", this.classes[photo].map(([name, p]) => `${name} ${percent(p)}`).join(", "));
      if (this.sheet) {
        const canvas = picture("feature map", n, n);
        canvas.paint(this.levels(photo, index, number));
        this.map.replaceChildren(canvas, this.ring);
        this.view.replaceChildren(this.paint(photo), this.spot);
        this.thumbs.forEach((b, k) => {
          const { d } = this.see(this.unit(this.peak(k, index, number)));
          b.svg.replaceChildren(line(d, "#000", 4), line(d, COLOUR, 2));
        });
      }
    }
    const [r, c] = this.unit(), { x, y, d } = this.see([r, c]), w = this.size;
    const width = x.last - x.first + 1, height = y.last - y.first + 1;
    this.spot.replaceChildren(h("path", { d: `M0 0H${w}V${w}H0Z` + d, "fill-rule": "evenodd", fill: "#000", opacity: 0.55 }),
      line(d, "#000", 5), line(d, COLOUR, 2.5));
    const side = Math.max(100 / n, 3), at = (i) => ((i + 0.5) / n) * 100 - side / 2;
    const ring = `M${at(c)} ${at(r)}h${side}v${side}h${-side}Z`;
    this.ring.replaceChildren(line(ring, "#000", 5), line(ring, COLOUR, 2.5));
    const level = this.sheet && this.levels(photo, index, number)[r * n + c];
    const text = `Stage ${s}, channel ${channels[number]} of ${of}: unit (${r}, ${c}) ` +
      (this.sheet ? `has the value ${fmt(value(level, low[number], high[number]))} and ` : "") +
      `sees ${height} × ${width} of the ${w} × ${w} pixels. Frames above: its strongest unit.`;
    this.text.textContent = text;
    this.say(text);
  }
}

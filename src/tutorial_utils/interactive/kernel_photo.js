import { Figure, button, choice, clamp, fmt, grid, h } from "./base.js";
import { picture, pixels, plane } from "./photo.js";

/**
 * Cross-correlation of a plane of width x height values with K rows of K weights (K odd), stride 1,
 * padded by (K - 1) / 2 with zeros or with the nearest pixel: the output has the input's size.
 */
export function correlate(x, width, height, w, border = "zeros") {
  const p = (w.length - 1) / 2, wide = width + 2 * p, y = new Float64Array(width * height);
  const padded = new Float64Array(wide * (height + 2 * p));
  for (let r = -p; r < height + p; r++)
    for (let c = -p; c < width + p; c++)
      padded[(r + p) * wide + c + p] = at(x, width, height, r, c, border);
  w.forEach((row, k) => row.forEach((weight, l) => {
    if (!weight) return;
    for (let i = 0; i < height; i++)
      for (let j = 0, from = (i + k) * wide + l; j < width; j++)
        y[i * width + j] += padded[from + j] * weight;
  }));
  return y;
}

/** A value of the plane, or of its border. */
export function at(x, width, height, r, c, border) {
  if (border !== "zeros") { r = clamp(r, 0, height - 1); c = clamp(c, 0, width - 1); }
  return r < 0 || c < 0 || r >= height || c >= width ? 0 : x[r * width + c];
}

/** Rows of weights with as many rings of zeros more, or of weights fewer, as `size` asks for. */
export function resized(w, size) {
  const off = (w.length - size) / 2;
  return Array.from({ length: size }, (_, k) =>
    Array.from({ length: size }, (_, l) => w[k + off]?.[l + off] ?? 0));
}

const SHOWN = {
  clip: ["as it is, 0 to 255", (y) => y],
  absolute: ["absolute value", Math.abs],
  signed: ["signed: 128 + y / 2", (y) => 128 + y / 2],
};

/** The grey level at which a value is drawn: an integer from 0 to 255. */
export const level = (y, show) => Uint8ClampedArray.of(SHOWN[show][1](y))[0];

const total = (w) => w.flat().reduce((s, v) => s + v, 0);

export class Main extends Figure {
  static css = `.photos{display:grid;grid-template-columns:repeat(2,minmax(0,272px));gap:6px 16px}
.photos p{margin:0}.nums p{margin:0 0 4px}.view{position:relative;cursor:crosshair;touch-action:none}
.view canvas{width:100%!important;image-rendering:pixelated;border-radius:0}
.mark{--m:#b35900;position:absolute;pointer-events:none;outline:2px solid #fff;
box-shadow:0 0 0 3px var(--m),0 0 0 4px #fff}.mark.window{--m:#0072b2}
.nums{display:flex;flex-wrap:wrap;gap:12px;margin:16px 0}.op{font-size:20px;padding-top:90px}
.cell.kernel{background:var(--fill-orange)}.k3 .cell{min-width:58px;height:58px}
.k5.wide .cell{min-width:44px}.plus{display:flex;gap:6px}.plus button{flex:1;margin-top:8px}
.say{min-height:3em}.help{color:var(--soft);margin:8px 0 0}
@container (max-width:660px){.op{display:none}}
@container (max-width:420px){.photos,.nums{gap:6px 10px}.cell{min-width:26px;height:26px;font-size:11px}
.k3 .cell{min-width:45px;height:45px;font-size:13px}.k5.wide .cell{min-width:34px}.say{min-height:6em}}`;

  draw({ photos, kernels, first, size }) {
    this.kernels = kernels;
    this.N = size;
    this.border = "zeros";
    this.pin = this.at = [Math.round(0.4 * size), Math.round(0.37 * size)];
    const set = (key) => (v) => { this[key] = v; this.stale = true; this.refresh(); };
    this.preset = choice("kernel", [...Object.keys(kernels), ["", "your own"]], first,
      (name) => name && this.load(name));
    this.size = choice("size", [[3, "3 × 3"], [5, "5 × 5"]], 3, (v) => {
      this.w = resized(this.w, +v);
      this.preset.set("");
      this.build();
    });
    this.divided = choice("weights", [["", "as they stand"], ["1", "divided by their sum"]], "",
      set("divide"));
    this.shown = choice("show", Object.entries(SHOWN).map(([k, [text]]) => [k, text]), "",
      set("show"));
    const controls = h("div", { class: "controls" },
      choice("photo", photos.map((name, i) => [i, name]), 0, (i) => this.open(+i)), this.preset,
      this.size, this.divided, this.shown,
      choice("outside the photo", [["zeros", "zeros"], ["replicate", "the nearest pixel"]], "",
        set("border")));
    this.marks = ["window", ""].map((look) => h("i", { class: "mark " + look }));
    this.views = this.marks.map((mark, i) => this.view(i, mark));
    this.nums = h("div", { class: "nums" });
    this.line = h("p", { class: "say" });
    const help = h("p", { class: "help" }, "Point at a photo and click to keep the pixel, or go to " +
      "the right photo with Tab and move with the arrow keys (with Shift, by ten). To change a " +
      "weight, go to it and type a digit (− first for a negative one), or use the buttons.");
    this.load(first);
    this.open(0);
    return [controls, h("div", { class: "photos" },
      ["photo x", "filtered photo y"].map((text) => h("p", { class: "label" }, text)), this.views),
      this.nums, this.line, help];
  }

  /** A photo that follows the pointer; the right one takes arrow keys too. */
  view(right, mark) {
    const { N } = this, canvas = picture(right ? "filtered photo" : "photo", N, N);
    const point = (event) => {
      const box = canvas.getBoundingClientRect(), scale = N / box.width;
      this.move((event.clientY - box.top) * scale, (event.clientX - box.left) * scale, event.buttons);
    };
    const view = h("div", { class: "view", onpointerdown: point, onpointermove: point,
      onpointerleave: () => this.move(...this.pin),
      ...(right && { tabindex: 0, role: "application", "aria-label":
        "Filtered photo: arrow keys move the output pixel" }) }, canvas, mark);
    view.paint = canvas.paint;
    if (right) view.addEventListener("keydown", (event) => {
      const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!by) return;
      event.preventDefault();
      this.move(...by.map((d, axis) => this.at[axis] + d * (event.shiftKey ? 10 : 1)), true);
    });
    return view;
  }

  move(i, j, keep) {
    this.at = [i, j].map((v) => clamp(Math.floor(v), 0, this.N - 1));
    if (keep) this.pin = this.at;
    this.refresh();
  }

  async open(index) {
    this.x = plane(await pixels(this, `img:nth-of-type(${index + 1})`), 0);
    this.views[0].paint(this.x);
    this.stale = true;
    this.refresh();
  }

  load(name) {
    this.w = this.kernels[name].map((row) => [...row]);
    const sum = total(this.w);
    this.divided.set(this.divide = sum > 1 ? "1" : "");
    this.shown.set(this.show = sum ? "clip" : "signed");
    this.build();
  }

  /** Lay out the three grids anew for the kernel's size. */
  build() {
    const K = this.w.length;
    const part = (text, look, box, more = []) =>
      h("div", { class: `k${K} ${look}` }, h("p", { class: "label" }, text), box, more);
    const change = (r, c, v) => {
      this.w[r][c] = v;
      this.preset.set("");
      this.stale = true;
      this.refresh();
    };
    const add = (by, text) => button(text, () => {
      const [r, c] = this.chosen;
      change(r, c, this.w[r][c] + by);
    });
    this.chosen = [(K - 1) / 2, (K - 1) / 2];
    this.window = grid("window", K, K);
    this.weights = grid("kernel", K, K, { onset: change });
    this.weights.addEventListener("focusin", (event) => {
      const n = this.weights.cells.flat().indexOf(event.target);
      this.chosen = [Math.floor(n / K), n % K];
      this.refresh();
    });
    this.products = grid("products", K, K);
    const sign = (text) => h("div", { class: "op", "aria-hidden": "true" }, text);
    this.nums.replaceChildren(part("window of x", "", this.window), sign("⊙"),
      part("kernel w", "", this.weights, h("div", { class: "plus", role: "group",
        "aria-label": "framed weight" }, add(-1, "− 1"), add(1, "+ 1"))), sign("="),
      part("products, to be added", "wide", this.products));
    this.size.set(K);
    this.stale = true;
    this.refresh();
  }

  update() {
    const { w, x, N, border, show } = this, [i, j] = this.at, K = w.length, p = (K - 1) / 2;
    this.weights.show(w, (r, c) => "kernel" + (r === this.chosen[0] && c === this.chosen[1] ? " out" : ""));
    if (!x) return;
    const sum = total(w), divisor = this.divide && sum ? sum : 1;
    if (this.stale) {
      this.y = correlate(x, N, N, w, border).map((v) => v / divisor);
      this.views[1].paint(this.y, (v) => level(v, show));
      this.stale = false;
    }
    const rows = w.map((row, k) => row.map((_, l) => at(x, N, N, i + k - p, j + l - p, border)));
    this.window.show(rows);
    this.window.cells.flat().forEach((cell) => {
      const v = cell.value; // written on its own grey, in black or white
      cell.style.cssText = `background:rgb(${v},${v},${v});color:${v > 117 ? "#000" : "#fff"}`;
    });
    const products = rows.map((row, k) => row.map((v, l) => v * w[k][l]));
    this.products.show(products);
    this.marks.forEach((mark, right) => {
      const q = right ? 0 : p, [top, left, width] = [i - q, j - q, 2 * q + 1].map((n) => `${(n / N) * 100}%`);
      Object.assign(mark.style, { top, left, width, height: width });
    });
    const y = this.y[i * N + j], text = fmt(y, 1), drawn = SHOWN[show][1](y);
    const how = { clip: "", absolute: ` |${text}|:`,
      signed: ` 128 + ${y < 0 ? `(${text})` : text} / 2:` }[show];
    const line = `y[${i}, ${j}] = ` + (divisor === 1 ? text : `${fmt(total(products))} / ${fmt(sum)} = ${text}`) +
      `, drawn as${how} grey level ${level(y, show)}` + (drawn < 0 || drawn > 255 ? " (cut off)" : "");
    this.line.textContent = `${line}. The weights add up to ${fmt(sum)}` +
      (this.divide && !sum ? ", and cannot be divided by it." : ".");
    this.say(line);
  }
}

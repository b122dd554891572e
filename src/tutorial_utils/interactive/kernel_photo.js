import { Figure, GRID_CSS, button, choice, clamp, drag, editor, fmt, grid, h } from "./base.js";
import { ownPicture, picture, pixels, plane } from "./photo.js";

/**
 * Cross-correlation of a plane of width x height values with K rows of K weights (K odd), stride 1,
 * padded by (K - 1) / 2 with zeros: the output has the input's size.
 */
export function correlate(x, width, height, w) {
  const p = (w.length - 1) / 2, y = new Float64Array(width * height);
  w.forEach((row, k) => row.forEach((weight, l) => {
    const down = k - p, right = l - p;
    if (!weight) return;
    for (let i = Math.max(0, -down); i < Math.min(height, height - down); i++)
      for (let j = Math.max(0, -right); j < Math.min(width, width - right); j++)
        y[i * width + j] += x[(i + down) * width + j + right] * weight;
  }));
  return y;
}

/** Rows of weights with as many rings of zeros more, or of weights fewer, as `size` asks for. */
export function resized(w, size) {
  const off = (w.length - size) / 2;
  return Array.from({ length: size }, (_, k) =>
    Array.from({ length: size }, (_, l) => w[k + off]?.[l + off] ?? 0));
}

const SHOWN = {
  clip: (y) => y,
  absolute: Math.abs,
  signed: (y) => 128 + y / 2, // 0 is mid-grey
};

/** The grey level at which a value is drawn: an integer from 0 to 255. */
export const level = (y, show) => Uint8ClampedArray.of(SHOWN[show](y))[0];

const total = (w) => w.flat().reduce((s, v) => s + v, 0), same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const copy = (rows) => rows.map((row) => [...row]);

/** What a kernel's outputs are divided by, and how they are drawn unless the reader says so. */
export const divisor = (w) => Math.max(total(w), 1);
export const automatic = (w) => (total(w) === 0 ? "signed" : "clip");

export class Main extends Figure {
  static css = GRID_CSS + `.photos{display:grid;grid-template-columns:repeat(2,minmax(0,300px));gap:2px 12px}
.view{position:relative;cursor:crosshair}.view canvas{width:100%!important;border-radius:0}
.mark{--m:#b35900;position:absolute;pointer-events:none;outline:2px solid #fff;box-shadow:0 0 0 3px var(--m),0 0 0 4px #fff}
.mark.window{--m:#0072b2}.kernels{display:flex;flex-wrap:wrap;gap:5px;margin:8px 0}
.kernels button{padding:3px 5px 2px;font-size:12px;line-height:1.2;min-width:66px}
.kernels canvas{width:26px!important;height:26px;margin:0 auto 2px;image-rendering:pixelated;border:1px solid var(--line)}
.cell.kernel{background:var(--fill-orange)}.nums{display:flex;flex-wrap:wrap;gap:6px 14px;align-items:flex-end}.controls{margin:8px 0 0}@container(width<420px){.cell{font-size:12px;--cell:29px}.k5 .cell{--cell:21px;font-size:10px}.kernels{display:grid;grid-template-columns:repeat(8,1fr)}
.kernels button{min-width:0;padding:3px 0;position:relative}.kernels span{position:absolute;left:0;width:1px;overflow:hidden;clip-path:inset(50%)}}`;
  static keys = ["photo", "w", "show", "at"];
  static tries = [
    ["Blur", (f) => ({ w: copy(f.kernels["box blur"]), show: "" })],
    ["Edges only", (f) => ({ w: copy(f.kernels.Laplacian), show: "absolute" })],
    ["All ones", { w: [[1, 1, 1], [1, 1, 1], [1, 1, 1]], show: "" }],
  ];

  draw({ photos, kernels, first }) {
    Object.assign(this, { kernels, photo: 0, w: copy(kernels[first]), show: "", at: [50, 60] });
    this.menu = choice("photo", [...photos.map((name, i) => [i, name]), [-1, "your own"]], 0, (v) => {
        if (+v >= 0 || this.own) this.photo = +v;
        this.refresh();
      });
    this.marks = ["window", ""].map((look) => h("i", { class: "mark " + look }));
    this.views = this.marks.map((_, i) => this.view(i));
    this.presets = Object.entries(kernels).map(([name, w]) => {
      const b = button("", () => { this.w = copy(w); this.show = ""; this.refresh(); }), most = Math.max(...w.flat().map(Math.abs));
      const canvas = picture("", w.length, w.length);
      canvas.paint(w.flat(), (v) => 128 + (127 * v) / most);
      canvas.setAttribute("aria-hidden", true);
      b.append(canvas, h("span", {}, name));
      return Object.assign(b, { w });
    });
    this.edit = editor();
    this.nums = h("div", { class: "nums" });
    this.line = h("p", { class: "say" });
    this.size = button("5 × 5", (on) => { this.w = resized(this.w, on ? 5 : 3); this.refresh(); }, false);
    pixels(this).then((all) => {
      const n = all.height, channels = [0, 1, 2].map((c) => plane(all, c));
      this.photos = photos.map((_, k) => channels.map((x) =>
        Float64Array.from({ length: n * n }, (_, i) => x[Math.floor(i / n) * all.width + k * n + (i % n)])));
      this.N = n;
      this.update();
    });
    const file = ownPicture((data) => {
      this.own = [0, 1, 2].map((c) => plane(data, c));
      this.photo = -1;
      this.refresh();
    }, () => this.N);
    return [h("div", { class: "photos" },
      ["photo x", "filtered y"].map((text) => h("p", { class: "label" }, text)), this.views),
    h("div", { class: "kernels", role: "group", "aria-label": "kernels" }, this.presets), this.line, this.nums,
    h("div", { class: "controls" }, this.edit, this.size, this.menu, file)];
  }

  /** A photo that follows the pointer; the right one takes arrow keys too. */
  view(right) {
    const view = h("div", { class: "view", ...(right && { tabindex: 0, role: "application", "aria-label": "Filtered photo: arrow keys move the output pixel" }) });
    drag(view, (x, y) => this.move(...[y, x].map((v) => (v * this.N) / view.clientWidth)), true);
    if (right) view.addEventListener("keydown", (event) => {
      const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!by) return;
      event.preventDefault();
      this.move(...by.map((d, axis) => this.at[axis] + d * (event.shiftKey ? 10 : 1)));
    });
    return view;
  }

  move(i, j) {
    this.at = [i, j].map((v) => clamp(Math.floor(v), 0, this.N - 1));
    this.refresh();
  }

  /** Lay out the grids anew for the kernel's size. */
  build() {
    const K = this.w.length, part = (text, box) => h("div", { class: "k" + K }, h("p", { class: "label" }, text), box);
    this.window = grid("window", K, K);
    this.weights = grid("kernel", K, K, { edit: this.edit, onset: (r, c, v) => {
      this.w[r][c] = clamp(v, -99, 99);
      this.refresh();
    } });
    this.nums.replaceChildren(part("window of x, green", this.window), part("kernel w", this.weights));
    this.edit.tell();
  }

  update() {
    const { w, N } = this, K = w.length, p = (K - 1) / 2;
    if (this.window?.cells.length !== K) this.build();
    this.size.set(K === 5);
    this.menu.set(this.photo);
    this.presets.forEach((b) => b.setAttribute("aria-pressed", same(b.w, w)));
    this.weights.show(w, () => "kernel");
    if (!N) return;
    const [i, j] = this.at, x = this.photos[this.photo] ?? this.own ?? this.photos[0], by = divisor(w), show = this.show || automatic(w);
    const drawn = JSON.stringify([w, show]) + this.photo;
    if (this.drawn !== drawn || this.x !== x) {
      this.drawn = drawn;
      this.y = x.map((plane) => correlate(plane, N, N, w).map((v) => v / by));
      [[x, "clip"], [this.y, show]].forEach(([planes, how], k) => {
        const canvas = picture(k ? "filtered photo" : "photo", N, N);
        canvas.paint(planes[0], (_, m) => planes.map((c) => level(c[m], how)));
        this.views[k].replaceChildren(canvas, this.marks[k]);
      });
      this.x = x;
    }
    const value = (r, c) => (r < 0 || c < 0 || r >= N || c >= N ? 0 : Math.round(x[1][r * N + c]));
    const rows = w.map((row, k) => row.map((_, l) => value(i + k - p, j + l - p)));
    this.window.show(rows);
    this.window.cells.flat().forEach((cell) => {
      const v = cell.value; // written on its own grey, in black or white
      cell.style = `background:rgb(${v},${v},${v});color:${v > 117 ? "#000" : "#fff"}`;
    });
    this.marks.forEach((mark, right) => {
      const q = right ? 0 : p, [top, left, width] = [i - q, j - q, 2 * q + 1].map((n) => `${(n / N) * 100}%`);
      Object.assign(mark.style, { top, left, width, height: width });
    });
    const sum = total(w), green = this.y[1][i * N + j];
    const name = this.presets.find((b) => same(b.w, w))?.textContent ?? "your own";
    const line = `y[${i}, ${j}] = ${fmt(green * by, 0)}` + (by > 1 ? ` / ${fmt(by)} = ${fmt(green, 1)}` : "") + `, drawn as ${level(green, show)}`;
    this.line.textContent = `${name}: ${line}. Weights add up to ${fmt(sum)}` + (this.show ? "; absolute values." : by > 1 ? ": divided by it." :
      sum ? "." : ": 0 is drawn mid-grey.");
    this.say(line);
  }
}

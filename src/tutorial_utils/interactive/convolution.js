import { Figure, GRID_CSS, button, choice, clamp, editor, fmt, grid, h, player } from "./base.js";

/** Output of one channel: cross-correlation, or with `flip` true convolution. Lists of rows. */
export function conv2d(x, w, { stride = 1, padding = 0, dilation = 1, flip = false } = {}) {
  const H = x.length, W = x[0].length, K = w.length, L = w[0].length;
  const o = { stride, padding, dilation, flip }, rows = outputs(H, K, o), columns = outputs(W, L, o), y = [];
  for (let i = 0; i < rows; i++) {
    y.push([]);
    for (let j = 0; j < columns; j++)
      y[i].push(products(x, w, i, j, o).reduce((s, t) => s + t.x * t.w, 0));
  }
  return y;
}

/** Pixels of the output along one axis. */
export const outputs = (n, k, { stride, padding, dilation }) =>
  Math.floor((n + 2 * padding - dilation * (k - 1) - 1) / stride) + 1;

/** The terms of one output value: which input value meets which weight, in the kernel's order. */
export function products(x, w, i, j, { stride, padding, dilation, flip }) {
  const K = w.length, L = w[0].length, terms = [];
  for (let k = 0; k < K; k++)
    for (let l = 0; l < L; l++) {
      const r = i * stride + k * dilation - padding, c = j * stride + l * dilation - padding;
      const [a, b] = flip ? [K - 1 - k, L - 1 - l] : [k, l];
      terms.push({ r, c, k: a, l: b, x: x[r]?.[c] ?? 0, w: w[a][b] });
    }
  return terms;
}

const OWN = "your own", copy = (rows) => rows.map((row) => [...row]);
const bracket = (v) => (v < 0 ? `(${fmt(v)})` : fmt(v));
const rest = { stride: 1, padding: 0, dilation: 1, flip: false };

export class Main extends Figure {
  static css = GRID_CSS + `.op{align-self:center;font-size:20px;color:var(--soft)}.cell.kernel{background:var(--fill-orange)}
.cell.at{outline:2px solid var(--orange)}.say{font-variant-numeric:tabular-nums}.controls{margin:10px 0 0}
.flat{margin-top:10px}:host([simple]) :is(.tries button:not(.plain),.figure>.plain){display:none}
:host([simple]) .figure{position:relative}:host([simple]) .title{min-height:36px}
:host([simple]) .tries{position:absolute;top:8px;right:10px;margin:0}:host([simple]) .say{min-height:1.4em}
@container(width<560px){.op{display:none}.cell{font-size:12px}}`;
  static keys = ["x", "w", "stride", "padding", "dilation", "flip", "at"];
  static tries = [
    ["Keep the size", { ...rest, padding: 1, at: [0, 0] }],
    ["Stride 2", { ...rest, stride: 2, at: [1, 1] }],
    ["Dilate", { ...rest, dilation: 2, at: [1, 1] }],
  ];

  /** `simple` leaves the menus out, `columns` adds im2col's matrix; `start` says where it opens. */
  draw({ input, kernels, simple = false, columns = false, start = {} }) {
    Object.assign(this, { ...rest, at: [1, 1], ...start, kernels, simple, x: copy(input), w: copy(Object.values(kernels)[0]) });
    this.toggleAttribute("simple", simple);
    this.flat = columns && h("div", { class: "parts flat" });
    const set = (key) => (v) => { this[key] = +v; this.refresh(); };
    const menu = (key, most) => choice(key, most, 0, set(key));
    this.menus = { stride: menu("stride", [1, 2, 3]), padding: menu("padding", [0, 1, 2]),
      dilation: menu("dilation", [1, 2]) };
    this.preset = choice("kernel", [...Object.keys(kernels), OWN], "", (name) => {
      if (kernels[name]) this.w = copy(kernels[name]);
      this.refresh();
    });
    this.order = button("Turn the kernel: true convolution", (on) => { this.flip = on; this.refresh(); }, false);
    this.edit = editor();
    this.parts = h("div", { class: "parts" });
    this.sum = h("p", { class: "say" });
    this.shape = h("p", { class: "help" });
    const plays = h("div", { class: "controls" }, player(this, () => this.step(), 600),
      button("Step", () => { this.pause(); this.step(); }), this.edit);
    this.preset.lastChild.style.width = "8.5em";
    this.update();
    return [this.parts, this.flat || [], this.sum, plays, simple ? [] : [h("div", { class: "controls" }, this.preset,
      Object.values(this.menus), this.order), this.shape],
    h("p", { class: "help" }, columns ? "Point at a column or an output, or at an input to see where it goes." :
      "Point at an output, or at an input to see where it goes; arrow keys move. −, + and digits change a number.")];
  }

  /** Without menus only what can be changed by hand. */
  state() {
    const { x, w, at } = this;
    return this.simple ? { x, w, at } : super.state();
  }

  /** Row and column in the kernel that are drawn at (r, c). */
  turn(r, c) {
    return this.flip ? [this.w.length - 1 - r, this.w[0].length - 1 - c] : [r, c];
  }

  /** Lay out the grids anew where their sizes changed. */
  build(H, W, K, L, rows, columns) {
    const { padding } = this, room = this.room, narrow = room < 560;
    // On a phone the output stands under the kernel beside the input, or beside the kernel below.
    const beside = Math.floor(room / (W + Math.max(columns, L) + 0.5)) - 2, stacked = narrow && beside >= 20;
    const below = Math.floor(room / Math.max(W, L + columns + 0.5)) - 2;
    this.parts.style.setProperty("--cell", narrow ? clamp(stacked ? beside : below, 18, 34) + "px" : "34px");
    const pair = h("div", { class: "parts", style: stacked && "flex-direction:column" });
    this.parts.replaceChildren();
    const put = (caption, g, into = pair) => {
      into.append(h("div", {}, h("p", { class: "label" }, caption), g));
      return g;
    };
    const sign = (text, into = pair) => into.append(h("div", { class: "op", "aria-hidden": "true" }, text));
    this.inputs = put("input x" + (padding ? ", padded" : ""), grid("input", H, W, {
      onpoint: (r, c) => { this.from = [r - padding, c - padding]; this.refresh(); },
      onleave: () => { this.from = null; this.refresh(); },
      onset: (r, c, v) => {
        const row = this.x[r - padding];
        if (row?.[c - padding] !== undefined) { row[c - padding] = clamp(v, -99, 99); this.refresh(); }
      }, edit: this.edit }), this.parts);
    sign("⊙", this.parts);
    this.parts.append(pair);
    this.weights = put(this.flip ? "w, turned" : "kernel w", grid("kernel", K, L, { edit: this.edit,
      onset: (r, c, v) => {
        const [a, b] = this.turn(r, c);
        this.w[a][b] = clamp(v, -99, 99);
        this.refresh();
      } }));
    sign("→");
    this.outputs = rows > 0 && columns > 0 ? put("output y", grid("output", rows, columns, {
      onpoint: (r, c) => { this.at = [r, c]; this.from = null; this.refresh(); } })) : null;
    this.edit.tell();
    if (!this.flat || !this.outputs) return;
    const n = rows * columns, lines = h("div", { class: "parts" });
    const point = { onpoint: (r, c) => { this.at = [Math.floor(c / columns), c % columns]; this.from = null; this.refresh(); } };
    this.flat.style.setProperty("--cell", clamp(Math.floor(room / n) - 2, 16, 30) + "px");
    this.flat.replaceChildren();
    this.row = put("kernel, one row", grid("kernel row", 1, K * L), this.flat);
    this.flat.append(lines);
    lines.style.flexDirection = "column";
    this.matrix = put("each window, one column", grid("columns", K * L, n, point), lines);
    this.sums = put("row times matrix: all outputs", grid("sums", 1, n, point), lines);
  }

  /** im2col: each window's numbers in a column, and the kernel's row times all of them. */
  showFlat(windows, here) {
    const from = this.from, is = (t) => from && t.r === from[0] && t.c === from[1];
    this.row.show([windows[0].map((t) => t.w)], () => "kernel");
    this.matrix.show(windows[0].map((_, k) => windows.map((terms) => terms[k].x)),
      (k, n) => ((from ? is(windows[n][k]) : n === here) ? "lit" : ""));
    this.sums.show([this.y.flat()], (_, n) => (from ? (windows[n].some(is) ? "lit" : "") : n === here ? "out" : ""));
  }

  update() {
    const { stride, padding: p, dilation, flip, x, w } = this, o = { stride, padding: p, dilation, flip };
    const H = x.length, W = x[0].length, K = w.length, L = w[0].length;
    const y = (this.y = conv2d(x, w, o)), rows = y.length, columns = y[0]?.length ?? 0;
    const layout = [H + 2 * p, W + 2 * p, K, L, rows, columns];
    const look = String([layout, flip, this.room]);
    if (look !== this.layout) {
      this.layout = look;
      this.build(...layout);
    }
    const found = Object.keys(this.kernels).find((name) => String(this.kernels[name]) === String(w) &&
      this.kernels[name].length === K);
    this.preset.set(found ?? OWN);
    this.order.set(flip);
    for (const key in this.menus) this.menus[key].set(this[key]);
    const [i, j] = (this.at = [clamp(this.at[0], 0, Math.max(rows - 1, 0)), clamp(this.at[1], 0, Math.max(columns - 1, 0))]);
    const terms = this.outputs ? products(x, w, i, j, o) : [], from = this.from;
    const lit = new Set(terms.map((t) => t.r + "," + t.c)), reached = new Set();
    for (let a = 0; from && a < rows; a++)
      for (let b = 0; b < columns; b++)
        if (products(x, w, a, b, o).some((t) => t.r === from[0] && t.c === from[1])) reached.add(a + "," + b);
    this.inputs.show(Array.from({ length: H + 2 * p }, (_, r) => Array.from({ length: W + 2 * p },
      (_, c) => x[r - p]?.[c - p] ?? 0)), (r, c) => {
      const a = r - p, b = c - p, ring = a < 0 || b < 0 || a >= H || b >= W;
      return (from ? (a === from[0] && b === from[1] ? "out " : "") : lit.has(a + "," + b) ? "lit " : "") + (ring ? "pad" : "");
    });
    this.weights.show(w.map((row, r) => row.map((_, c) => { const [a, b] = this.turn(r, c); return w[a][b]; })),
      () => "kernel");
    const formula = (n, k, name) => `${name}′ = ⌊(${n} + 2·${p} − ${dilation}·(${k} − 1) − 1) / ${stride}⌋ + 1`;
    this.shape.textContent = this.outputs ? `${formula(H, K, "H")} = ${rows}` +
      (H === W && K === L ? ", and W′ the same." : `,  ${formula(W, L, "W")} = ${columns}`) : "";
    if (!this.outputs) {
      this.sum.textContent = "The kernel does not fit into the input: there is no output. Lower dilation or add padding.";
      return this.say(this.sum.textContent);
    }
    this.outputs.show(y, (r, c) => (from ? (reached.has(r + "," + c) ? "lit" : "") : r === i && c === j ? "out" : ""));
    if (this.flat)
      this.showFlat(y.flatMap((row, a) => row.map((_, b) => products(x, w, a, b, o))), i * columns + j);
    if (from) {
      const inside = x[from[0]]?.[from[1]] !== undefined;
      this.sum.textContent = `${inside ? `x[${from}]`.replace(",", ", ") : "This zero of the padding"} takes part in ` +
        (reached.size === 1 ? "1 output." : `${reached.size} outputs.`);
    } else this.sum.textContent = `y[${i}, ${j}] = ` + terms.map((t) => `${bracket(t.x)}·${bracket(t.w)}`).join(" + ") +
      ` = ${fmt(y[i][j])}`;
    this.say(from ? this.sum.textContent : `Output row ${i}, column ${j}: ${fmt(y[i][j])}` + (flip ? ", kernel turned" : ""));
  }

  step() {
    if (!this.outputs) return;
    const columns = this.y[0].length, next = (this.at[0] * columns + this.at[1] + 1) % (this.y.length * columns);
    this.at = [Math.floor(next / columns), next % columns];
    this.from = null;
    this.refresh();
  }
}

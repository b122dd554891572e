import { Figure, button, calm, choice, fmt, grid, h, slider } from "./base.js";

/** Output of one channel: cross-correlation, or with `flip` true convolution. Lists of rows. */
export function conv2d(x, w, { stride = 1, padding = 0, dilation = 1, flip = false } = {}) {
  const H = x.length, W = x[0].length, K = w.length, L = w[0].length;
  const size = (n, k) => Math.floor((n + 2 * padding - dilation * (k - 1) - 1) / stride) + 1;
  const rows = size(H, K), columns = size(W, L), y = [];
  for (let i = 0; i < rows; i++) {
    y.push([]);
    for (let j = 0; j < columns; j++)
      y[i].push(products(x, w, i, j, { stride, padding, dilation, flip }).reduce((s, t) => s + t.x * t.w, 0));
  }
  return y;
}

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

export class Main extends Figure {
  static css = `.op{align-self:center;font-size:20px;color:var(--soft)}.cap{margin:0 0 4px}
.cell.kernel{background:var(--fill-orange)}.terms{font-variant-numeric:tabular-nums}
.plays{display:flex;gap:6px}.shape{margin:8px 0 0;color:var(--soft);overflow-wrap:anywhere}`;

  draw({ input, kernels }) {
    this.x = input.map((row) => [...row]);
    this.kernels = kernels;
    this.preset = Object.keys(kernels)[0];
    this.w = kernels[this.preset].map((row) => [...row]);
    this.options = { stride: 1, padding: 0, dilation: 1, flip: false };
    this.at = [0, 0];
    const set = (key) => (v) => { this.options[key] = v; this.build(); };
    const presets = choice("kernel", Object.keys(kernels), this.preset, (name) => {
      this.w = kernels[name].map((row) => [...row]);
      this.build();
    });
    this.controls = h("div", { class: "controls" }, presets,
      slider("stride", { min: 1, max: 3, value: 1, oninput: set("stride") }),
      slider("padding", { min: 0, max: 2, value: 0, oninput: set("padding") }),
      slider("dilation", { min: 1, max: 2, value: 1, oninput: set("dilation") }),
      choice("order", [["", "cross-correlation"], ["1", "true convolution"]], "",
        (v) => set("flip")(v === "1")));
    this.play = button("Play", () => (this.timer ? this.pause() : this.start()));
    const plays = h("div", { class: "plays" },
      button("Step", () => { this.pause(); this.step(); }), this.play,
      button("Reset", () => { this.pause(); this.reset(input); }));
    this.parts = h("div", { class: "parts" });
    this.sum = h("p", { class: "say terms" });
    this.shape = h("p", { class: "shape" });
    const help = h("p", { class: "shape" }, "Point at an output value, or move with Tab and the arrow " +
      "keys. Change an input value or a weight: go to it and type a digit (− first for a " +
      "negative one), press + or _, or tap it again to add 1.");
    this.build();
    return [this.controls, this.parts, this.sum, this.shape, plays, help];
  }

  reset(input) {
    this.x = input.map((row) => [...row]);
    this.at = [0, 0];
    this.build();
  }

  /** Lay out the grids anew: their sizes follow padding, stride and dilation. */
  build() {
    const { padding } = this.options, H = this.x.length, W = this.x[0].length;
    const K = this.w.length, L = this.w[0].length;
    this.y = conv2d(this.x, this.w, this.options);
    const rows = this.y.length, columns = this.y[0]?.length ?? 0;
    const empty = rows < 1 || columns < 1;
    this.parts.textContent = "";
    const put = (caption, g) => {
      this.parts.append(h("div", {}, h("p", { class: "label cap" }, caption), g));
      return g;
    };
    const sign = (text) => this.parts.append(h("div", { class: "op", "aria-hidden": "true" }, text));
    this.inputs = put("input x" + (padding ? ", padded" : ""),
      grid("input", H + 2 * padding, W + 2 * padding, { onset: (r, c, v) => {
        const a = r - padding, b = c - padding;
        if (a >= 0 && b >= 0 && a < H && b < W) { this.x[a][b] = v; this.refresh(); }
      } }));
    sign("⊙");
    this.weights = put("kernel w", grid("kernel", K, L, {
      onset: (r, c, v) => { this.w[r][c] = v; this.refresh(); } }));
    sign("→");
    this.at = [Math.min(this.at[0], rows - 1), Math.min(this.at[1], columns - 1)];
    this.outputs = empty ? null : put("output y", grid("output", rows, columns, {
      onpoint: (r, c) => { this.at = [r, c]; this.refresh(); } }));
    this.update();
  }

  update() {
    const { stride, padding, dilation, flip } = this.options, [i, j] = this.at;
    const H = this.x.length, W = this.x[0].length, K = this.w.length, L = this.w[0].length;
    this.y = conv2d(this.x, this.w, this.options);
    const terms = this.outputs ? products(this.x, this.w, i, j, this.options) : [];
    const lit = new Set(terms.map((t) => t.r + "," + t.c));
    const padded = Array.from({ length: H + 2 * padding }, (_, r) =>
      Array.from({ length: W + 2 * padding }, (_, c) => this.x[r - padding]?.[c - padding] ?? 0));
    this.inputs.show(padded, (r, c) => {
      const a = r - padding, b = c - padding, ring = a < 0 || b < 0 || a >= H || b >= W;
      return (lit.has(a + "," + b) ? "lit " : "") + (ring ? "pad" : "");
    });
    this.weights.show(this.w, () => "kernel");
    const formula = (n, k, name) => `${name}′ = ⌊(${n} + 2·${padding} − ${dilation}·(${k} − 1) − 1) / ${stride}⌋ + 1`;
    const rows = this.y.length, columns = this.y[0]?.length ?? 0;
    this.shape.textContent = this.outputs
      ? `${formula(H, K, "H")} = ${rows},  ${formula(W, L, "W")} = ${columns}`
      : "The kernel does not fit into the input: there is no output. Lower dilation or add padding.";
    if (!this.outputs) { this.sum.textContent = ""; return; }
    this.outputs.show(this.y, (r, c) => (r === i && c === j ? "out" : ""));
    const text = terms.map((t) => `${fmt(t.x)}·${t.w < 0 ? `(${fmt(t.w)})` : fmt(t.w)}`).join(" + ");
    this.sum.textContent = `y[${i}, ${j}] = ${text} = ${fmt(this.y[i][j])}`;
    this.say(`Output row ${i}, column ${j}: ${fmt(this.y[i][j])}` + (flip ? ", kernel turned" : ""));
  }

  step() {
    if (!this.outputs) return;
    const columns = this.y[0].length, next = (this.at[0] * columns + this.at[1] + 1) % (this.y.length * columns);
    this.at = [Math.floor(next / columns), next % columns];
    this.refresh();
  }

  start() {
    this.play.textContent = "Pause";
    this.timer = setInterval(() => this.step(), calm() ? 1500 : 500);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "Play";
  }
}

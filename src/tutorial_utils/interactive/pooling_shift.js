import { Figure, button, calm, choice, clamp, drag, fmt, h, slider } from "./base.js";
import { picture, pixels, plane } from "./photo.js";

// A map is an array of n * n numbers, row by row, and a ring: its right neighbour is its left side.

/** Move a map by whole pixels, down and right. */
export function roll(x, n, down, right) {
  const at = (i) => ((i % n) + n) % n;
  return x.map((_, i) => x[at(Math.floor(i / n) - down) * n + at((i % n) - right)]);
}

/** Make a map half as high and wide: (n, n) -> (n / 2, n / 2). */
export function halve(x, n, method) {
  const over = (f) => {
    const parts = [[0, 0], [0, 1], [1, 0], [1, 1]].map(([d, r]) => roll(x, n, -d, -r));
    return x.map((_, i) => f(parts[0][i], parts[1][i], parts[2][i], parts[3][i]));
  };
  if (method === "average") x = over((a, b, c, d) => (a + b + c + d) / 4);
  if (method.startsWith("max")) x = over(Math.max);
  if (method === "max + blur")
    for (const [d, r] of [[0, 1], [1, 0]]) {
      const low = roll(x, n, -d, -r), high = roll(x, n, d, r);
      x = x.map((v, i) => (low[i] + 2 * v + high[i]) / 4);
    }
  return x.filter((_, i) => i % 2 === 0 && Math.floor(i / n) % 2 === 0);
}

export function halvings(x, n, method, times) {
  for (let k = 0; k < times; k++) x = halve(x, n >> k, method);
  return x;
}

/** Move a map by any number of pixels: turn the phase of each of its frequencies. */
export function moved(y, n, down, right) {
  // Of a real signal: 1/n times the sum over the frequencies k of cos(2 pi k (m - shift) / n).
  const weights = (shift) => Array.from({ length: n }, (_, m) => {
    let sum = 1 + Math.cos(Math.PI * m) * Math.cos(Math.PI * shift);
    for (let k = 1; k < n / 2; k++) sum += 2 * Math.cos((2 * Math.PI * k * (m - shift)) / n);
    return sum / n;
  });
  const a = weights(right), b = weights(down), at = (i) => (i + n) % n;
  const line = (f) => { let sum = 0; for (let k = 0; k < n; k++) sum += f(k); return sum; };
  const z = y.map((_, i) => line((k) => a[at((i % n) - k)] * y[i - (i % n) + k]));
  return z.map((_, i) => line((k) => b[at(Math.floor(i / n) - k)] * z[k * n + (i % n)]));
}

/** Root of the summed squares of y - reference, against that of y0 less its mean. */
export function change(y, reference, y0) {
  const mean = y0.reduce((s, v) => s + v, 0) / y0.length;
  const gap = y.reduce((s, v, i) => s + (v - reference[i]) ** 2, 0);
  const spread = y0.reduce((s, v) => s + (v - mean) ** 2, 0);
  return gap < 1e-9 ? 0 : Math.sqrt(gap / spread);
}

/** Output of the moved picture, what it is held against, and the change. */
export function compare(x, n, method, times, down, right, against) {
  const y0 = halvings(x, n, method, times), y = halvings(roll(x, n, down, right), n, method, times);
  const side = n >> times, d = down / 2 ** times, r = right / 2 ** times;
  let all = [moved(y0, side, d, r)];
  if (against === "still") all = [y0];
  if (against === "whole")
    all = [Math.floor(d), Math.ceil(d)].flatMap((a) =>
      [Math.floor(r), Math.ceil(r)].map((b) => roll(y0, side, a, b)));
  const [best, reference] = all.map((z) => [change(y, z, y0), z]).sort((p, q) => p[0] - q[0])[0];
  return { y, reference, change: best };
}

const FAR = 8, SIDE = 192, SMALL = 96, FULL = 1.6;
const NOTE = {
  exact: "y₀ moved exactly as far, so that only aliasing is left",
  whole: "y₀ moved by the number of whole pixels that fits best",
  still: "y₀ as it is, so that the move itself is a change too",
};

export class Main extends Figure {
  static css = `.top{display:flex;flex-wrap:wrap;gap:16px 20px}.pad{width:${SIDE}px;height:${SIDE}px;
cursor:grab}.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(100px,1fr));gap:12px 10px;
flex:1 1 290px}.card canvas{margin-top:6px}.card b{display:block;line-height:1.2}
.bars{display:grid;grid-template-columns:auto 1fr 3.2em;gap:5px 10px;align-items:center;flex:1 1 100%}
@container (width<560px){.cards{order:1}}
.bars i{display:block;height:100%;background:var(--blue)}
.bars div{height:16px;background:var(--panel);box-shadow:0 0 0 1px var(--line)}
.bars b{text-align:right;font-variant-numeric:tabular-nums}.cap{margin:0 0 4px}.plays{display:flex;gap:6px;
margin-top:8px}.controls input{width:120px}.say{min-height:4.5em}`;

  draw({ names, side, methods }) {
    Object.assign(this, { n: side, name: names[0], times: 1, against: "exact", right: 0, down: 0 });
    const set = (key) => (v) => { this[key] = v; this.resize(); this.refresh(); };
    this.sliders = ["right", "down"].map((key) => slider(key, { min: -FAR, max: FAR, value: 0,
      show: (v) => fmt(v) + " px", oninput: set(key) }));
    this.canvas = picture("picture", side, side, SIDE / side);
    this.pad = h("div", { class: "pad", tabindex: 0, role: "application" }, this.canvas);
    this.ways = Object.entries(methods).map(([method, what]) => {
      const box = h("div", { class: "card" }, h("b", {}, method), h("span", { class: "label" }, what));
      return { method, box, fill: h("i"), value: h("b") };
    });
    let from;
    drag(this.pad, (x, y, event) => {
      if (event.type === "pointerdown") {
        this.pad.focus({ preventScroll: true });
        from = { x, y, right: this.right, down: this.down };
      }
      const pixel = this.canvas.getBoundingClientRect().width / side;
      this.move(from.right + Math.round((x - from.x) / pixel), from.down + Math.round((y - from.y) / pixel));
    });
    this.pad.addEventListener("keydown", (event) => {
      const by = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (by) this.move(this.right + by[0], this.down + by[1]);
      else if (event.key === "Home") this.move(0, 0);
      else return;
      event.preventDefault();
    });
    const controls = h("div", { class: "controls" }, choice("picture", names, names[0], set("name")),
      choice("halvings", [[1, "once"], [2, "twice"], [3, "three times"]], 1, (v) => set("times")(+v)),
      choice("hold it against", [["exact", "exact move"], ["whole", "whole pixels"],
        ["still", "no move"]], "exact", set("against")), this.sliders);
    this.play = button("Play", () => (this.timer ? this.pause() : this.start()));
    const plays = h("div", { class: "plays" },
      button("Back", () => { this.pause(); this.move(0, 0); }), this.play);
    this.where = h("p", { class: "label cap" });
    const left = h("div", {}, this.where, this.pad, plays);
    this.cards = h("div", { class: "cards" }, this.ways.map((w) => w.box));
    const bars = h("div", { class: "bars" },
      this.ways.map((w) => [h("span", {}, w.method), h("div", {}, w.fill), w.value]));
    this.text = h("p", { class: "say" });
    this.resize();
    pixels(this).then(async () => {
      this.maps = {};
      for (const name of names)
        this.maps[name] = Array.from(plane(await pixels(this, `[data-picture=${JSON.stringify(name)}]`)), Math.round);
      this.update();
    });
    return [controls, h("div", { class: "top" }, left, this.cards, bars), this.text];
  }

  /** New canvases when the outputs get another size. */
  resize() {
    const side = this.n >> this.times;
    if (this.side === side) return;
    this.side = side;
    for (const w of this.ways) {
      w.box.querySelectorAll("canvas").forEach((c) => c.remove());
      w.out = picture(`${w.method}, output`, side, side, SMALL / side);
      w.gap = picture(`${w.method}, change`, side, side, SMALL / side);
      w.box.append(w.out, w.gap);
    }
  }

  move(right, down) {
    this.right = clamp(right, -FAR, FAR);
    this.down = clamp(down, -FAR, FAR);
    this.sliders[0].set(this.right);
    this.sliders[1].set(this.down);
    this.refresh();
  }

  update() {
    if (!this.maps) return;
    const { n, times, down, right, against } = this, x = this.maps[this.name];
    this.canvas.paint(roll(x, n, down, right));
    this.ways.forEach((w) => {
      const found = compare(x, n, w.method, times, down, right, against);
      w.out.paint(found.y);
      // Grey where nothing changed; brighter is also more orange, darker also bluer.
      w.gap.paint(found.y.map((v, i) => clamp((v - found.reference[i]) / 64, -1, 1)), (v) =>
        [128 + 127 * v, 128 + 70 * v, 128 - 28 * Math.abs(v)]);
      w.value.textContent = found.change.toFixed(2);
      w.fill.style.width = clamp(found.change / FULL, 0, 1) * 100 + "%";
      w.now = `${w.method} ${found.change.toFixed(2)}`;
    });
    const where = [[right, "right", "left"], [down, "down", "up"]].filter(([v]) => v)
      .map(([v, a, b]) => `${Math.abs(v)} px ${v > 0 ? a : b}`).join(", ") || "in place";
    this.pad.setAttribute("aria-label", `${this.name}, ${where}; arrow keys move it`);
    this.where.textContent = where + (right || down ? "" : ": drag it");
    this.text.textContent = `y: output. y₀: output in place. r: ${NOTE[against]}. Lower ` +
      "pictures: y − r, orange where y is brighter, blue where darker. Bars: ‖y − r‖ / ‖y₀ − mean of y₀‖.";
    this.say(`${where}. Change: ${this.ways.map((w) => w.now).join(", ")}.`);
  }

  start() {
    this.play.textContent = "Pause";
    this.timer = setInterval(
      () => this.move(this.right < FAR ? this.right + 1 : -FAR, this.down), calm() ? 1500 : 500);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "Play";
  }
}

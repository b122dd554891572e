import { Figure, button, calm, choice, clamp, drag, fmt, h, slider } from "./base.js";
import { axes, chart, path, scale } from "./plot.js";

/** Loss surfaces over (x, y): name, f, its gradient, and where we start. */
export const SURFACES = {
  valley: ["long valley", (x, y) => 0.5 * (x * x + 15 * y * y), (x, y) => [x, 15 * y], [-1.8, 0.9]],
  bowl: ["round bowl", (x, y) => 0.5 * (x * x + y * y), (x, y) => [x, y], [-1.5, 1]],
  bend: ["bent valley", (x, y) => 0.5 * (1 - x) ** 2 + 4 * (y - x * x + 0.5) ** 2,
    (x, y) => [x - 1 - 16 * x * (y - x * x + 0.5), 8 * (y - x * x + 0.5)], [-1.2, 1.1]],
  dips: ["two dips", (x, y) => (x * x - 1) ** 2 + 0.4 * x + y * y + 0.45,
    (x, y) => [4 * x * (x * x - 1) + 0.4, 2 * y], [1.8, 1]],
};
export const STEPS = 60;

/** What the schedule multiplies the rate by at step k (0, 1, ...) of STEPS. */
export const SCHEDULES = {
  constant: () => 1,
  steps: (k) => 0.1 ** Math.floor(k / 20),
  cosine: (k) => (1 + Math.cos((Math.PI * k) / STEPS)) / 2,
  "warm-up, cosine": (k) => k < 6 ? (k + 1) / 6 : (1 + Math.cos((Math.PI * (k - 6)) / (STEPS - 6))) / 2,
};

/** Gradient descent as torch.optim.SGD does it: v = momentum v + g, w = w - rate v. */
export function descend(surface, start, rate, momentum, schedule) {
  const [, f, gradient] = SURFACES[surface];
  let [x, y] = start, u = 0, v = 0;
  const way = [[x, y, f(x, y)]];
  for (let k = 0; k < STEPS; k++) {
    const [gx, gy] = gradient(x, y), lr = rate * SCHEDULES[schedule](k);
    u = momentum * u + gx;
    v = momentum * v + gy;
    x -= lr * u;
    y -= lr * v;
    way.push([x, y, f(x, y)]);
  }
  return way;
}

/** A word for what a descent did, from its losses. */
export function verdict(losses) {
  const last = losses.at(-1), n = losses.findIndex((l) => !(l <= 10 * losses[0]));
  if (!(last <= losses[0])) return ["It blows up", n < 0 ? "" : `: ten times the first loss at step ${n}`];
  const under = losses.findLastIndex((l) => !(l < 0.01 * losses[0])) + 1;
  if (under < losses.length) return ["It converges", `: under 1 % of the first loss from step ${under} on`];
  const slow = losses.slice(1).every((l, i) => l <= losses[i]);
  return [slow ? "It crawls, or has settled" : "It swings", ""];
}

const W = 320, H = 240, sx = scale([-2, 2], [0, W]), sy = scale([1.5, -1.5], [0, H]);
const LOW = 1e-5, HIGH = 100, lx = scale([0, STEPS], [54, 312]), ly = scale([LOW, HIGH], [196, 8], true);

export class Main extends Figure {
  static css = `.plane{position:relative;width:${W}px;aspect-ratio:${W}/${H};max-width:100%;box-sizing:border-box;cursor:crosshair;
overflow:hidden;border:1px solid var(--line);border-radius:4px}
.plane canvas,.plane svg{position:absolute;inset:0;width:100%;height:100%;overflow:hidden}.chart{flex:1 1 300px;max-width:360px}`;

  draw({ surface, rate, momentum, schedule }) {
    Object.assign(this, { surface, rate, momentum, schedule, start: [...SURFACES[surface][3]], now: STEPS });
    this.canvas = h("canvas", { width: W, height: H, "aria-hidden": "true" });
    this.line = h("path", { fill: "none", stroke: "var(--blue)", "stroke-width": 2 });
    this.dots = h("g", { fill: "var(--blue)" });
    this.ball = h("circle", { r: 7, fill: "var(--orange)", stroke: "var(--paper)", "stroke-width": 2 });
    this.flag = h("rect", { width: 10, height: 10, fill: "var(--ink)" });
    this.plane = h("div", { class: "plane", tabindex: 0, role: "application" }, this.canvas,
      h("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" },
        this.line, this.dots, this.flag, this.ball));
    const move = (x, y) => {
      this.start = [clamp(Math.round(x * 20) / 20, -2, 2), clamp(Math.round(y * 20) / 20, -1.5, 1.5)];
      this.go();
    };
    drag(this.plane, (x, y) => {
      const k = W / this.plane.offsetWidth;
      this.plane.focus();
      move(sx.invert(k * x), sy.invert(k * y));
    });
    this.plane.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!by) return;
      event.preventDefault();
      move(this.start[0] + by[0] * 0.05, this.start[1] + by[1] * 0.05);
    });
    this.curve = h("path", { fill: "none", stroke: "var(--blue)", "stroke-width": 2 });
    this.rates = h("path", { fill: "none", stroke: "var(--soft)", "stroke-dasharray": "4 3" });
    this.mark = h("circle", { r: 5, fill: "var(--orange)", stroke: "var(--paper)" });
    const plot = chart("Loss at each step, and the learning rate's share of its peak", 320, 232,
      axes({ x: lx, y: ly, box: [54, 8, 312, 196], xticks: [0, 20, 40, 60], yticks: [1e-4, 0.01, 1, 100],
        xlabel: "step", ylabel: "", show: (t) => (t === 1e-4 ? "10⁻⁴" : fmt(t)) }),
      h("text", { "text-anchor": "middle", transform: "translate(12 102)rotate(-90)" }, "loss (log scale)"),
      h("text", { x: 308, y: 22, "text-anchor": "end" }, "dashed: the schedule"),
      this.rates, this.curve, this.mark);
    const set = (name) => (value) => { this[name] = value; this.go(); };
    const time = slider("step", { min: 0, max: STEPS, value: STEPS, oninput: (k) => { this.halt(); this.now = k; this.refresh(); } });
    this.time = time;
    this.player = button("Play", () => this.timer ? this.halt() : this.play());
    this.text = h("p", { class: "say" });
    this.paint();
    this.update();
    return [
      h("div", { class: "controls" },
        choice("loss surface", Object.entries(SURFACES).map(([k, [name]]) => [k, name]), surface, (s) => {
          this.surface = s;
          this.start = [...SURFACES[s][3]];
          this.paint();
          this.go();
        }),
        slider("learning rate", { min: -3, max: 0.5, step: 0.025, value: Math.log10(rate),
          show: (x) => fmt(10 ** x, 3), oninput: (x) => set("rate")(10 ** x) }),
        slider("momentum", { min: 0, max: 0.98, step: 0.02, value: momentum, oninput: set("momentum") }),
        choice("schedule", Object.keys(SCHEDULES), schedule, set("schedule"))),
      h("div", { class: "parts" }, this.plane, h("div", { class: "chart" }, plot)),
      h("div", { class: "controls", style: "margin:10px 0 0" }, this.player, time),
      this.text];
  }

  /** Contour lines: a pixel is drawn where its level differs from a neighbour's. */
  paint() {
    const f = SURFACES[this.surface][1], context = this.canvas.getContext("2d");
    const image = context.createImageData(W, H);
    const level = (i, j) => Math.floor(1.5 * Math.log2(f(sx.invert(i), sy.invert(j)) + 0.03));
    for (let j = 0; j < H; j++)
      for (let i = 0; i < W; i++) {
        const l = level(i, j);
        if (l !== level(i + 1, j) || l !== level(i, j + 1))
          image.data.set([128, 140, 152, 190], 4 * (j * W + i));
      }
    context.putImageData(image, 0, 0);
  }

  go() {
    this.halt();
    this.now = STEPS;
    this.time.set(STEPS);
    this.refresh();
  }

  play() {
    if (this.now >= STEPS) this.now = 0;
    this.player.textContent = "Pause";
    this.timer = setInterval(() => {
      this.now = Math.min(STEPS, this.now + 1);
      this.time.set(this.now);
      this.refresh();
      if (this.now === STEPS) this.halt();
    }, calm() ? 400 : 120);
  }

  halt() {
    clearInterval(this.timer);
    this.timer = 0;
    this.player.textContent = "Play";
  }

  pause() { this.halt(); }

  update() {
    const way = descend(this.surface, this.start, this.rate, this.momentum, this.schedule);
    const seen = way.slice(0, this.now + 1), at = seen.at(-1), losses = way.map((p) => p[2]);
    // Far outside the picture SVG coordinates grow without bound: stop them there.
    const stop = (v) => (Number.isFinite(v) ? clamp(v, -999, 999) : -999);
    const points = seen.map(([x, y]) => [stop(sx(x)), stop(sy(y))]);
    this.line.setAttribute("d", path(points));
    this.dots.replaceChildren(...points.map(([cx, cy]) => h("circle", { cx, cy, r: 2.5 })));
    this.flag.setAttribute("transform", `translate(${sx(this.start[0]) - 5} ${sy(this.start[1]) - 5})`);
    const put = (e, x, y) => { e.setAttribute("cx", x); e.setAttribute("cy", y); };
    put(this.ball, ...points.at(-1));
    const height = (l) => ly(clamp(l, LOW, HIGH));
    this.curve.setAttribute("d", path(losses.slice(0, this.now + 1).map((l, k) => [lx(k), height(l)])));
    put(this.mark, lx(this.now), Number.isFinite(at[2]) ? height(at[2]) : 8);
    this.rates.setAttribute("d", path(way.slice(0, STEPS).map((_, k) =>
      [lx(k), 196 - 60 * SCHEDULES[this.schedule](k)])));
    this.plane.setAttribute("aria-label", `${SURFACES[this.surface][0]}, start at x = ${fmt(this.start[0])}, ` +
      `y = ${fmt(this.start[1])}; arrow keys move it`);
    const [word, more] = verdict(losses);
    const text = `Step ${this.now}: loss ${at[2] < 1e-4 ? "< 0.0001" : at[2] <= 1e4 ? fmt(at[2], 4) : "> 10000"} ` +
      `(first: ${fmt(losses[0], 3)}). ${word} with a learning rate of ${fmt(this.rate, 3)}${more}.`;
    this.text.textContent = text;
    this.say(text);
  }
}

import { Figure, choice, clamp, drag, fmt, h, player, slider } from "./base.js";
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

/** Words for what a descent did, from its losses and the length of the gradient at its end. */
export function verdict(losses, slope = 1) {
  const [first] = losses, last = losses.at(-1), n = losses.findIndex((l) => !(l <= 10 * first));
  if (!(last <= first)) return ["It blows up", n < 0 ? "" : `: ten times the first loss at step ${n}`];
  const under = losses.findLastIndex((l) => !(l < 0.01 * first)) + 1;
  if (under < losses.length) return ["It converges", `: under 1 % of the first loss from step ${under} on`];
  if (slope < 0.05) return ["It has settled", ": the slope here is 0, though this is not the lowest point"];
  if (losses.at(-11) < 1.01 * last) return ["It has stopped", ": the schedule has left no rate to go on"];
  const slow = losses.slice(1).every((l, i) => l <= losses[i]);
  return slow ? ["It crawls", ": downhill all the way, and not there yet"] : ["It swings", " from side to side"];
}

/** A rate of two digits. */
export const rateOf = (x) => +(10 ** x).toPrecision(2);

const W = 320, H = 240, sx = scale([-2, 2], [0, W]), sy = scale([1.5, -1.5], [0, H]);
const LOW = 1e-5, HIGH = 100;

export class Main extends Figure {
  static css = `.plane{position:relative;width:320px;aspect-ratio:${W}/${H};max-width:60%;box-sizing:border-box;cursor:crosshair;
overflow:hidden;border:1px solid var(--line);border-radius:4px;flex:none}.parts{flex-wrap:nowrap;gap:12px}
.plane canvas,.plane svg{position:absolute;inset:0;width:100%;height:100%;overflow:hidden}
.side{min-width:0;flex:1}.side label{margin-bottom:6px}.side input{width:100%!important;max-width:220px}
.all{display:flex;flex-wrap:wrap;gap:8px 16px}.all>*{flex:1 1 300px;min-width:0}.controls{margin:8px 0 0}`;
  static keys = ["surface", "rate", "momentum", "schedule", "start"];
  static tries = [
    ["Just too large", { surface: "valley", rate: 0.14, momentum: 0, schedule: "constant", start: [-1.8, 0.9] }],
    ["Momentum", { surface: "valley", rate: 0.03, momentum: 0.8, schedule: "constant", start: [-1.8, 0.9] }],
    ["Trapped", { surface: "dips", rate: 0.05, momentum: 0, schedule: "constant", start: [1.8, 1] }],
  ];

  draw({ surface, rate, momentum, schedule }) {
    Object.assign(this, { surface, rate, momentum, schedule, start: [...SURFACES[surface][3]], now: STEPS });
    this.canvas = h("canvas", { width: W, height: H, "aria-hidden": "true" });
    this.line = h("path", { fill: "none", stroke: "var(--blue)", "stroke-width": 2 });
    this.dots = h("g", { fill: "var(--blue)" });
    this.ball = h("circle", { r: 8, fill: "var(--orange)", stroke: "var(--paper)", "stroke-width": 2 });
    this.flag = h("rect", { width: 12, height: 12, fill: "var(--ink)" });
    this.plane = h("div", { class: "plane", tabindex: 0, role: "application" }, this.canvas,
      h("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" },
        this.line, this.dots, this.flag, this.ball));
    const move = (x, y) => this.go({ start: [clamp(Math.round(x * 20) / 20, -2, 2), clamp(Math.round(y * 20) / 20, -1.5, 1.5)] });
    drag(this.plane, (x, y) => {
      const k = W / this.plane.offsetWidth;
      this.plane.focus({ preventScroll: true });
      move(sx.invert(k * x), sy.invert(k * y));
    });
    this.plane.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!by) return;
      event.preventDefault();
      move(this.start[0] + by[0] * 0.05, this.start[1] + by[1] * 0.05);
    });
    const set = (name) => (value) => this.go({ [name]: value });
    this.time = slider("step", { min: 0, max: STEPS, value: STEPS, oninput: (k) => { this.pause(); this.now = k; this.refresh(); } });
    const play = player(this, () => {
      this.now = this.now >= STEPS ? 0 : this.now + 1;
      this.refresh();
      return this.now < STEPS;
    }, 100);
    this.menus = {
      surface: choice("loss surface", Object.entries(SURFACES).map(([k, [name]]) => [k, name]), surface,
        (s) => this.go({ surface: s, start: [...SURFACES[s][3]] })),
      schedule: choice("schedule", Object.keys(SCHEDULES), schedule, set("schedule")) };
    this.sliders = {
      rate: slider("rate", { min: -3, max: 0.5, step: 0.01, value: 0, show: (x) => fmt(rateOf(x), 4), oninput: (x) => set("rate")(rateOf(x)) }),
      momentum: slider("momentum", { min: 0, max: 0.98, step: 0.02, value: momentum, oninput: set("momentum") }) };
    this.chart = h("div");
    this.text = h("p", { class: "say" });
    this.update();
    return [h("div", { class: "all" }, h("div", { class: "parts" }, this.plane,
      h("div", { class: "side" }, Object.values(this.sliders), this.time, play)), this.chart), this.text,
    h("div", { class: "controls" }, Object.values(this.menus))];
  }

  go(state) {
    this.now = STEPS;
    super.go(state);
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

  update() {
    const { start, rate, momentum, schedule, surface, now } = this;
    if (this.painted !== surface) this.paint();
    this.painted = surface;
    for (const key in this.menus) this.menus[key].set(this[key]);
    this.sliders.rate.set(Math.log10(rate));
    this.sliders.momentum.set(momentum);
    this.time.set(now);
    const way = descend(surface, start, rate, momentum, schedule), losses = way.map((p) => p[2]);
    const seen = way.slice(0, now + 1), at = seen.at(-1);
    // Far outside the picture SVG coordinates grow without bound: stop them there.
    const stop = (v) => (Number.isFinite(v) ? clamp(v, -999, 999) : -999);
    const points = seen.map(([x, y]) => [stop(sx(x)), stop(sy(y))]);
    this.line.setAttribute("d", path(points));
    this.dots.replaceChildren(...points.map(([cx, cy]) => h("circle", { cx, cy, r: 2.5 })));
    this.flag.setAttribute("transform", `translate(${sx(start[0]) - 6} ${sy(start[1]) - 6})`);
    const [bx, by] = points.at(-1), away = bx < 0 || bx > W || by < 0 || by > H;
    this.ball.setAttribute("cx", clamp(bx, 9, W - 9)); // at the edge when it has left the picture
    this.ball.setAttribute("cy", clamp(by, 9, H - 9));
    const wide = clamp(this.room > 640 ? this.room - 336 - 240 : this.room, 250, 460), tall = this.room > 640 ? 235 : 150, base = tall - 36;
    const lx = scale([0, STEPS], [46, wide - 10]), ly = scale([LOW, HIGH], [base, 6], true), height = (l) => ly(clamp(l, LOW, HIGH));
    const line = (d, stroke, dash) => h("path", { d, fill: "none", stroke, "stroke-width": dash ? 1 : 2, "stroke-dasharray": dash });
    this.chart.replaceChildren(chart("Loss at each step, and the learning rate's share of its peak", wide, tall,
      axes({ x: lx, y: ly, box: [46, 6, wide - 10, base], xticks: [0, 20, 40, 60], yticks: [1e-4, 0.01, 1, 100],
        xlabel: "step (dashed: the schedule)", ylabel: "", show: (t) => (t === 1e-4 ? "10⁻⁴" : fmt(t)) }),
      h("text", { "text-anchor": "middle", transform: `translate(10 ${base / 2})rotate(-90)` }, "loss"),
      line(path(way.slice(0, STEPS).map((_, k) => [lx(k), base - 50 * SCHEDULES[schedule](k)])), "var(--soft)", "4 3"),
      line(path(losses.slice(0, now + 1).map((l, k) => [lx(k), height(l)])), "var(--blue)"),
      h("circle", { r: 5, fill: "var(--orange)", cx: lx(now), cy: Number.isFinite(at[2]) ? height(at[2]) : 6 })));
    this.plane.setAttribute("aria-label", `${SURFACES[surface][0]}, start at x = ${fmt(start[0])}, ` +
      `y = ${fmt(start[1])}; arrow keys move it`);
    const [word, more] = verdict(losses, Math.hypot(...SURFACES[surface][2](...way.at(-1).slice(0, 2))));
    const text = `Step ${now}: loss ${at[2] < 1e-4 ? "< 0.0001" : at[2] <= 1e4 ? fmt(at[2], 4) : "> 10000"}, first ` +
      `${fmt(losses[0], 3)}${away ? ", outside the picture" : ""}. ${word} with a rate of ${fmt(rate, 4)}${more}.`;
    this.text.textContent = text;
    this.say(text);
  }
}

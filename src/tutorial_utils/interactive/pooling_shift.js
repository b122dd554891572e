import { Figure, button, calm, choice, clamp, drag, h, player } from "./base.js";
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
  const reference = against === "still" ? y0 : moved(y0, n >> times, down / 2 ** times, right / 2 ** times);
  return { y, reference, change: change(y, reference, y0) };
}

const FAR = 8, FULL = 1.6, TOUR = [1, 2, 3, 4, 3, 2, 1];

export class Main extends Figure {
  static css = `.top{display:flex;gap:14px;align-items:center;margin-bottom:10px}.pad{width:min(136px,40cqw);aspect-ratio:1;cursor:grab;flex:none}
.pad canvas,.card canvas{width:100%!important;image-rendering:pixelated}.where{font-weight:600;margin-bottom:6px}
.arrows{display:flex;flex-wrap:wrap;gap:4px;max-width:156px}.arrows button{min-width:36px;padding:0 8px}
.cards{display:grid;grid-template-columns:repeat(4,minmax(0,130px));gap:0 8px}.card canvas{margin-bottom:4px}
.card b{display:block;font-size:13px;line-height:1.2;min-height:1.3em}.track{height:12px;background:var(--panel);border:1px solid var(--line)}
.track i{display:block;height:100%;background:var(--orange)}.card output{font-size:14px;font-weight:650}
.side{flex:1 1 300px}.controls{margin:10px 0 0}@container(width<480px){.card b{font-size:12px}.top{gap:10px}}
@container(width>760px){.all{display:flex;gap:28px;align-items:flex-start}}`;
  static keys = ["name", "times", "against", "right", "down"];
  static tries = [
    ["Two pixels", { right: 2, down: 0, times: 1 }],
    ["Test card", (f) => ({ name: f.names.at(-1), times: 3, right: 1, down: 0 })],
    ["No move", { against: "still", right: 2, down: 0, times: 1 }],
  ];

  draw({ names, side, methods }) {
    Object.assign(this, { names, n: side, name: names[0], times: 1, against: "exact", right: 1, down: 0 });
    const set = (key) => (v) => { this[key] = v; this.refresh(); };
    this.canvas = picture("picture", side, side);
    this.pad = h("div", { class: "pad", tabindex: 0, role: "application" }, this.canvas);
    this.ways = methods.map((method) => {
      const fill = h("i"), value = h("output"), pictures = h("div");
      const box = h("div", { class: "card" }, h("b", {}, method), pictures, h("div", { class: "track" }, fill), value);
      return { method, box, fill, value, pictures };
    });
    let from;
    drag(this.pad, (x, y, event) => {
      this.play.stop();
      if (event.type === "pointerdown") {
        this.pad.focus({ preventScroll: true });
        from = { x, y, right: this.right, down: this.down };
      }
      const pixel = this.pad.offsetWidth / side;
      this.move(from.right + Math.round((x - from.x) / pixel), from.down + Math.round((y - from.y) / pixel));
    });
    this.pad.addEventListener("keydown", (event) => {
      const by = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (!by && event.key !== "Home") return;
      event.preventDefault();
      this.play.stop();
      if (by) this.move(this.right + by[0], this.down + by[1]);
      else this.move(0, 0);
    });
    let at = 0;
    this.play = player(this, () => {
      this.move(TOUR[at++ % TOUR.length], 0);
      return at % TOUR.length > 0;
    }, 900);
    const arrow = (sign, text, right, down) => {
      const b = button(sign, () => { this.play.stop(); this.move(this.right + right, this.down + down); });
      b.setAttribute("aria-label", "move " + text);
      return b;
    };
    const arrows = h("div", { class: "arrows" }, arrow("←", "left", -1, 0), arrow("→", "right", 1, 0),
      arrow("↑", "up", 0, -1), arrow("↓", "down", 0, 1), this.play);
    this.menus = { name: choice("picture", names, names[0], set("name")),
      times: choice("halvings", [1, 2, 3], 1, (v) => set("times")(+v)),
      against: choice("held against", [["exact", "moved along"], ["still", "in place"]],
        "exact", set("against")) };
    this.where = h("p", { class: "where" });
    this.text = h("p", { class: "say" });
    const cards = h("div", { class: "cards" }, this.ways.map((w) => w.box));
    pixels(this).then(async () => {
      const maps = {};
      for (const name of names)
        maps[name] = Array.from(plane(await pixels(this, `[data-picture=${JSON.stringify(name)}]`)), Math.round);
      this.maps = maps;
      this.update();
      if (calm()) return;
      const seen = new IntersectionObserver((found) => {
        if (!found.some((e) => e.isIntersecting)) return;
        seen.disconnect();
        this.play.start();
      }, { threshold: 0.6 });
      seen.observe(this);
    });
    return [h("div", { class: "all" }, h("div", { class: "top" }, this.pad, h("div", {}, this.where, arrows)),
      h("div", { class: "side" }, cards, this.text)),
    h("div", { class: "controls" }, Object.values(this.menus)),
    h("p", { class: "help" }, "Upper row: halved. Lower row and bars: what differs from the halved picture in place, moved " +
      "along, in standard deviations.")];
  }

  move(right, down) {
    this.right = clamp(right, -FAR, FAR);
    this.down = clamp(down, -FAR, FAR);
    this.refresh();
  }

  update() {
    if (!this.maps) return;
    const { n, times, down, right, against } = this, x = this.maps[this.name], side = n >> times;
    for (const key in this.menus) this.menus[key].set(this[key]);
    this.canvas.paint(roll(x, n, down, right));
    const found = this.ways.map((w) => {
      if (this.side !== side) {
        w.out = picture(`${w.method}, output`, side, side);
        w.gap = picture(`${w.method}, change`, side, side);
        w.pictures.replaceChildren(w.out, w.gap);
      }
      const { y, reference, change: size } = compare(x, n, w.method, times, down, right, against);
      w.out.paint(y);
      // Grey where nothing changed; brighter is also more orange, darker also bluer.
      w.gap.paint(y.map((v, i) => clamp((v - reference[i]) / 64, -1, 1)), (v) =>
        [128 + 127 * v, 128 + 70 * v, 128 - 28 * Math.abs(v)]);
      w.value.textContent = size.toFixed(2);
      w.fill.style.width = clamp(size / FULL, 0, 1) * 100 + "%";
      return size;
    });
    this.side = side;
    const where = [[right, "right", "left"], [down, "down", "up"]].filter(([v]) => v)
      .map(([v, a, b]) => `${Math.abs(v)} px ${v > 0 ? a : b}`).join(", ") || "in place";
    this.pad.setAttribute("aria-label", `${this.name}, ${where}; arrow keys move it`);
    this.where.textContent = where;
    const step = 2 ** times, least = this.ways[found.indexOf(Math.min(...found))].method;
    const [, , average, blurred] = found;
    let text = `Moved by ${where}, the output should only move along. Least differs with “${least}”.`;
    if (!(right || down)) text = "In place.";
    else if (right % step === 0 && down % step === 0 && against !== "still")
      text = `${where}: every output just moves along.`;
    else if (average < blurred)
      text += " Averaging is linear: a wave caught as (high, low) or as (middle, middle) has the same mean. The next max " +
        "keeps “high” of one and “middle” of the other.";
    this.text.textContent = text;
    this.say(`${where}. Change: ${this.ways.map((w, i) => `${w.method} ${found[i].toFixed(2)}`).join(", ")}.`);
  }
}

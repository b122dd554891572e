import { Figure, button, fmt, h, slider } from "./base.js";
import { picture, pixels } from "./photo.js";

/** Probabilities of the five largest logits and of all others together, at temperature T. */
export function shares({ top, rest }, T) {
  const [[, most]] = top, power = (z) => Math.exp((z - most) / T);
  const all = [...top.map(([, z]) => power(z)), rest.reduce((s, [z, n]) => s + n * power(z), 0)];
  const sum = all.reduce((s, v) => s + v, 0);
  return all.map((v) => v / sum);
}

export class Main extends Figure {
  static css = `.photos{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:6px;max-width:420px;margin-bottom:10px}
.photos button{padding:3px;font-size:13px;min-width:0}.photos canvas{width:100%!important}
.bars{display:grid;grid-template-columns:minmax(7.5em,auto) 1fr 3.4em;gap:5px 10px;align-items:center;max-width:640px}
.bars div{height:20px;background:var(--panel);border:1px solid var(--line)}.bars i{display:block;height:100%;background:var(--blue)}
.bars .rest i{background:var(--soft)}.bars b{text-align:right;font-variant-numeric:tabular-nums}
.controls{margin:10px 0 0}input[type=range]{width:220px}`;
  static keys = ["photo", "T"];
  static tries = [
    ["Sharper", { T: 0.25 }],
    ["Softer", { T: 4 }],
    ["No class fits", { photo: 3, T: 1 }],
  ];

  draw({ names, photos, photo, temperature }) {
    Object.assign(this, { names, photos, photo, T: temperature });
    this.buttons = names.map((name, k) => {
      const b = button("", () => { this.photo = k; this.refresh(); });
      b.append(h("span", {}, name));
      return b;
    });
    pixels(this).then((all) => {
      const n = all.height;
      this.buttons.forEach((b, k) => {
        const canvas = picture("", n, n);
        canvas.setAttribute("aria-hidden", true);
        canvas.paint(Array(n * n).fill(0), (_, i) => {
          const at = 4 * (Math.floor(i / n) * all.width + k * n + (i % n));
          return [...all.data.subarray(at, at + 3)];
        });
        b.prepend(canvas);
      });
    });
    this.rows = Array.from({ length: 6 }, (_, i) => {
      const fill = h("i"), name = h("span"), value = h("b");
      return { fill, name, value, track: h("div", { class: i > 4 ? "rest" : "" }, fill) };
    });
    this.level = slider("temperature T", { min: -0.6, max: 0.6, step: 0.02, value: 0, show: (x) => fmt(10 ** x),
      oninput: (x) => { this.T = Math.min(4, Math.max(0.25, 10 ** x)); this.refresh(); } });
    this.text = h("p", { class: "say" });
    this.update();
    return [h("div", { class: "photos", role: "group", "aria-label": "photos" }, this.buttons),
      h("div", { class: "bars" }, this.rows.map((r) => [r.name, r.track, r.value])),
      h("div", { class: "controls" }, this.level), this.text];
  }

  update() {
    const { photo, T } = this, stored = this.photos[photo], p = shares(stored, T), [[first]] = stored.top;
    this.level.set(Math.log10(T));
    this.buttons.forEach((b, k) => b.setAttribute("aria-pressed", k === photo));
    this.rows.forEach((r, i) => {
      r.name.textContent = i < 5 ? stored.top[i][0] : "995 others";
      r.fill.style.width = 100 * p[i] + "%";
      r.value.textContent = p[i].toFixed(3);
    });
    const text = `At T = ${fmt(T)} the network gives “${first}” a probability of ${p[0].toFixed(3)}. ` +
      "Temperature moves how sure it sounds, never the order of the classes.";
    this.text.textContent = text;
    this.say(text);
  }
}

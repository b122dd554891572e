import { Figure, button, choice, h, slider } from "./base.js";
import { ownPicture, picture, pixels } from "./photo.js";

/** Random numbers from 0 to 1 that a seed decides (mulberry32). */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** What one random copy does: each kind draws its numbers, also when it is switched off. */
export function recipe(next, kinds, s) {
  const on = (kind) => kinds.includes(kind), between = (a, b) => a + (b - a) * next();
  const area = between(1 - 0.92 * s, 1), ratio = Math.exp(between(-0.29, 0.29) * s), x = next(), y = next();
  const flip = next() < 0.5, turn = between(-1, 1) * (Math.PI / 2) * s;
  const colour = [1, 1, 1].map(() => 1 + between(-0.8, 0.8) * s);
  const hole = [next(), next(), 0.05 + 0.6 * s];
  const width = on("crop") ? Math.min(1, Math.sqrt(area * ratio)) : 1, height = on("crop") ? Math.min(1, Math.sqrt(area / ratio)) : 1;
  return { flip: on("flip") && flip, crop: [x * (1 - width), y * (1 - height), width, height], turn: on("rotation") ? turn : 0,
    colour: on("colour") ? colour : [1, 1, 1], hole: on("erasing") && s > 0 ? hole : null };
}

/** Brightness, contrast and saturation, as factors, of RGBA bytes, in place. */
export function recolour(data, [brightness, contrast, saturation]) {
  let mean = 0;
  const grey = (i) => 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
  for (let i = 0; i < data.length; i += 4) mean += grey(i) * brightness;
  mean /= data.length / 4;
  for (let i = 0; i < data.length; i += 4) {
    const parts = [0, 1, 2].map((k) => (data[i + k] * brightness - mean) * contrast + mean);
    const light = 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2];
    parts.forEach((v, k) => { data[i + k] = light + (v - light) * saturation; });
  }
  return data;
}

export class Main extends Figure {
  static css = `.views{display:grid;grid-template-columns:repeat(3,minmax(0,150px));gap:6px;margin:8px 0}.views canvas{width:100%!important}
.kinds{display:flex;flex-wrap:wrap;gap:5px}.kinds button{padding:3px 9px;font-size:14px;min-height:32px}
@container(width>700px){.views{grid-template-columns:repeat(5,minmax(0,160px))}.views :first-child{grid-row:span 1}}
@container(width<420px){.views{grid-template-columns:repeat(3,minmax(0,94px))}.controls{align-items:end}}`;
  static keys = ["photo", "kinds", "strength", "seed"];
  static tries = [
    ["Gentle", { kinds: ["flip", "crop", "colour"], strength: 0.25 }],
    ["Too strong", { kinds: ["flip", "crop", "colour"], strength: 1 }],
    ["All at once", (f) => ({ kinds: [...f.all], strength: 0.5 })],
  ];

  draw({ names, all, kinds, strength }) {
    Object.assign(this, { names, all, kinds, strength, photo: 0, seed: 1 });
    this.switches = all.map((kind) => button(kind, (on) => {
      this.kinds = all.filter((k) => (k === kind ? on : this.kinds.includes(k)));
      this.refresh();
    }, kinds.includes(kind)));
    this.level = slider("strength", { min: 0, max: 1, step: 0.05, value: strength, oninput: (v) => { this.strength = v; this.refresh(); } });
    this.menu = choice("photo", names.map((n, i) => [i, n]), 0, (v) => { this.photo = +v; this.own = null; this.refresh(); });
    this.views = h("div", { class: "views" });
    this.text = h("p", { class: "say" });
    pixels(this).then((sheet) => {
      const n = (this.n = sheet.height);
      this.sources = names.map((_, k) => {
        const canvas = picture(names[k], n, n), part = canvas.context.createImageData(n, n);
        for (let r = 0; r < n; r++)
          part.data.set(sheet.data.subarray(4 * (r * sheet.width + k * n), 4 * (r * sheet.width + (k + 1) * n)), 4 * r * n);
        canvas.context.putImageData(part, 0, 0);
        return canvas;
      });
      this.update();
    });
    const own = ownPicture((data) => {
      this.own = picture("your own picture", this.n, this.n);
      this.own.context.putImageData(data, 0, 0);
      this.refresh();
    }, () => this.n);
    return [h("div", { class: "kinds", role: "group", "aria-label": "kinds" }, this.switches), this.views, this.text,
      h("div", { class: "controls", style: "margin:8px 0 0" }, button("Draw again", () => { this.seed++; this.refresh(); }), this.level,
        this.menu, own)];
  }

  /** A random copy of the photo as a canvas. */
  copy(source, next, label) {
    const { n, kinds, strength } = this, r = recipe(next, kinds, strength), canvas = picture(label, n, n), c = canvas.context;
    const [x, y, width, height] = r.crop;
    c.fillStyle = "#000";
    c.fillRect(0, 0, n, n);
    c.save();
    c.translate(n / 2, n / 2);
    c.rotate(r.turn);
    if (r.flip) c.scale(-1, 1);
    c.drawImage(source, x * n, y * n, width * n, height * n, -n / 2, -n / 2, n, n);
    c.restore();
    const image = c.getImageData(0, 0, n, n);
    recolour(image.data, r.colour);
    c.putImageData(image, 0, 0);
    if (r.hole) c.fillRect(r.hole[0] * (1 - r.hole[2]) * n, r.hole[1] * (1 - r.hole[2]) * n, r.hole[2] * n, r.hole[2] * n);
    return [canvas, width * height];
  }

  update() {
    this.switches.forEach((b, i) => b.set(this.kinds.includes(this.all[i])));
    this.level.set(this.strength);
    this.menu.set(this.photo);
    if (!this.sources) return;
    const source = this.own ?? this.sources[this.photo] ?? this.sources[0], next = random(this.seed * 7919);
    const first = picture("the photo", this.n, this.n);
    first.context.drawImage(source, 0, 0);
    const found = Array.from({ length: 8 }, (_, i) => this.copy(source, next, `copy ${i + 1}`));
    this.views.replaceChildren(first, ...found.map(([canvas]) => canvas));
    const least = Math.min(...found.map(([, part]) => part));
    const text = `First the photo, then eight copies with ${this.kinds.join(", ") || "nothing"} at strength ${this.strength}` +
      (least < 0.999 ? `; the smallest crop keeps ${Math.round(100 * least)} % of it` : "") + ". Would you still give each the same label?";
    this.text.textContent = text;
    this.say(text);
  }
}

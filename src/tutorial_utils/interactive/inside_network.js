import { Figure, button, choice, clamp, drag, fmt, h } from "./base.js";
import { picture, pixels } from "./photo.js";

/**
 * The receptive field of unit i along one side, after 3 x 3 layers with padding 1 of these strides:
 * the first and last pixel that reach it, the field's width without border, and the stride.
 */
export function field(strides, size, i) {
  const sizes = [size];
  for (const s of strides) sizes.push(Math.floor((sizes.at(-1) - 1) / s) + 1);
  let [first, last, full, stride] = [i, i, 1, 1];
  for (let l = strides.length - 1; l >= 0; l--) {
    first = Math.max(0, first * strides[l] - 1);
    last = Math.min(sizes[l] - 1, last * strides[l] + 1);
  }
  for (const s of strides) {
    full += 2 * stride;
    stride *= s;
  }
  return { first, last, full, stride };
}

/** The value that a level from 0 to 255 stands for. */
export const value = (level, low, high) => low + (level / 255) * (high - low);

const COLOUR = "#ffb000";

export class Main extends Figure {
  static css = `.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(240px,100%),1fr));
gap:14px;max-width:680px}.box{position:relative;aspect-ratio:1;background:var(--panel);border-radius:4px;
cursor:crosshair}.box canvas{width:100%!important;image-rendering:auto}.box.map canvas,
.thumbs canvas{image-rendering:pixelated!important}
.box svg{position:absolute;inset:0;width:100%;height:100%;pointer-events:none;overflow:hidden}
.thumbs{display:grid;grid-template-columns:repeat(6,minmax(0,76px));gap:6px;margin-bottom:12px}
.thumbs button{padding:3px 3px 5px;font-size:12px;min-width:0}
.thumbs canvas{width:100%!important;aspect-ratio:1;margin-bottom:2px}
.cap{margin:0 0 4px}.help{margin:8px 0 0;color:var(--soft);font-size:13px}`;

  draw({ size, strides, stages, stage }) {
    Object.assign(this, { size, strides, stages });
    this.at = [0.35, 0.35]; // where the unit is, as a share of the map's side
    this.number = 0;
    this.thumbs = h("div", { class: "thumbs", role: "group", "aria-label": "channels" });
    this.spot = h("svg", { viewBox: `0 0 ${size} ${size}`, "aria-hidden": "true" });
    this.ring = h("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" });
    this.photo = h("div", { class: "box" }, this.spot);
    this.map = h("div", { class: "box map", tabindex: 0, role: "application",
      "aria-label": "units of the map; arrow keys move" }, this.ring);
    this.name = h("p", { class: "label cap" });
    this.text = h("p", { class: "say" });
    const near = (x, y, box) => this.go(x / box.clientWidth, y / box.clientHeight);
    const hover = (event) => {
      if (event.type === "pointermove" && event.pointerType !== "mouse") return;
      const edge = event.currentTarget.getBoundingClientRect();
      near(event.clientX - edge.left, event.clientY - edge.top, event.currentTarget);
    };
    for (const box of [this.photo, this.map]) box.addEventListener("pointermove", hover);
    this.photo.addEventListener("click", hover);
    drag(this.map, (x, y) => { this.map.focus(); near(x, y, this.map); });
    this.map.addEventListener("keydown", (event) => {
      const n = this.stage[1], far = event.shiftKey ? 8 : 1;
      const move = { ArrowUp: [-far, 0], ArrowDown: [far, 0], ArrowLeft: [0, -far],
        ArrowRight: [0, far], Home: [0, -n], End: [0, n], PageUp: [-n, 0], PageDown: [n, 0] }[event.key];
      if (!move) return;
      event.preventDefault();
      const [r, c] = this.unit();
      this.go((c + move[1] + 0.5) / n, (r + move[0] + 0.5) / n);
    });
    const controls = h("div", { class: "controls" },
      choice("stage", stages.map(([s, n]) => [s, `${s}: ${n} × ${n} units`]), stage,
        (s) => this.build(+s)),
      button("Strongest unit", () => this.strongest()));
    const panel = (caption, box) => h("div", {}, caption, box);
    this.read(stage);
    return [controls, this.thumbs, h("div", { class: "two" },
      panel(h("p", { class: "label cap" }, "photo, with what the unit sees"), this.photo),
      panel(this.name, this.map)), this.text,
    h("p", { class: "help" }, "Point at a unit of the map or at a place of the photo. Keys: arrows, " +
      "with Shift eight at a time, Home, End, Page Up and Page Down.")];
  }

  async read(stage) {
    this.build(stage);
    const [photo, sheet] = await Promise.all([pixels(this), pixels(this, "img + img")]);
    const canvas = picture("A cat's face", photo.width, photo.height);
    canvas.paint(photo.data.filter((_, i) => i % 4 === 0), (_, i) => photo.data.slice(4 * i, 4 * i + 3));
    this.photo.prepend(canvas);
    this.sheet = sheet;
    this.build(this.stage[0]);
  }

  /** Lay out the maps of a stage. */
  build(stage) {
    this.stage = this.stages.find(([s]) => s === stage);
    const [, n, left, top, columns, , channels] = this.stage;
    this.maps = channels.map((_, k) => Array.from({ length: this.sheet ? n * n : 0 }, (_, i) => {
      const row = top + n * Math.floor(k / columns) + Math.floor(i / n);
      return this.sheet.data[4 * (row * this.sheet.width + left + n * (k % columns) + (i % n))];
    }));
    this.buttons = channels.map((channel, k) => {
      const canvas = picture("", n, n);
      canvas.paint(this.maps[k]);
      canvas.setAttribute("aria-hidden", true);
      const b = button("", () => { this.number = k; this.refresh(); });
      b.append(canvas, channel);
      b.setAttribute("aria-label", `channel ${channel}`);
      return b;
    });
    this.thumbs.replaceChildren(...this.buttons);
    this.canvas?.remove();
    this.canvas = picture("feature map", n, n);
    this.map.prepend(this.canvas);
    this.shown = -1;
    this.update();
  }

  /** Row and column of the unit. */
  unit() {
    return [this.at[1], this.at[0]].map((v) => clamp(Math.floor(v * this.stage[1]), 0, this.stage[1] - 1));
  }

  go(x, y) {
    this.at = [clamp(x, 0, 0.9999), clamp(y, 0, 0.9999)];
    this.refresh();
  }

  strongest() {
    const map = this.maps[this.number], n = this.stage[1], i = map.indexOf(Math.max(...map));
    this.go(((i % n) + 0.5) / n, (Math.floor(i / n) + 0.5) / n);
  }

  update() {
    const [stage, n, , , , of, channels, low, high] = this.stage, k = this.number, [r, c] = this.unit();
    if (this.shown !== k) this.canvas.paint(this.maps[(this.shown = k)]);
    this.buttons.forEach((b, j) => b.setAttribute("aria-pressed", j === k));
    const strides = this.strides.slice(0, stage + 1);
    const y = field(strides, this.size, r), x = field(strides, this.size, c), { full, stride } = x;
    const width = x.last - x.first + 1, height = y.last - y.first + 1, s = this.size;
    const box = `M${x.first} ${y.first}h${width}v${height}h${-width}Z`;
    const line = (d, stroke, w) => h("path", { d, fill: "none", stroke, "stroke-width": w,
      "vector-effect": "non-scaling-stroke" });
    this.spot.replaceChildren(
      h("path", { d: `M0 0H${s}V${s}H0Z` + box, "fill-rule": "evenodd", fill: "#000", opacity: 0.55 }),
      line(box, "#000", 5), line(box, COLOUR, 2.5));
    const side = Math.max(100 / n, 3), at = (i) => ((i + 0.5) / n) * 100 - side / 2;
    const ring = `M${at(c)} ${at(r)}h${side}v${side}h${-side}Z`;
    this.ring.replaceChildren(line(ring, "#000", 5), line(ring, COLOUR, 2.5));
    this.name.textContent = `channel ${channels[k]} of stage ${stage}: black ${fmt(low[k])}, white ${fmt(high[k])}`;
    const level = this.maps[k][r * n + c];
    const text = `Stage ${stage} has ${of} channels of ${n} × ${n} units, stride ${stride}. ` +
      `Unit (${r}, ${c}) of channel ${channels[k]}` +
      (level === undefined ? "" : ` has the value ${fmt(value(level, low[k], high[k]))}`) +
      `. It sees rows ${y.first} to ${y.last} and columns ${x.first} to ${x.last} of the photo, ` +
      `${height} × ${width} of its ${s} × ${s} pixels` +
      (height < full || width < full ? `; its full field of ${full} × ${full} is cut off by the border.` : ".");
    this.text.textContent = text;
    this.say(text);
  }
}

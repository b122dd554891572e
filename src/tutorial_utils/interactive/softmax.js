import { Figure, button, choice, clamp, drag, fmt, h, slider } from "./base.js";

/** Softmax of logits / T, its cross-entropy against the target, and the gradient by the logits. */
export function softmax(logits, target, T = 1) {
  const z = logits.map((x) => x / T), top = Math.max(...z);
  const sum = z.reduce((s, x) => s + Math.exp(x - top), 0);
  const p = z.map((x) => Math.exp(x - top) / sum);
  const loss = top + Math.log(sum) - z[target];
  return { p, loss, gradient: p.map((x, i) => (x - (i === target)) / T) };
}

const LOW = -6, HIGH = 6, SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const share = (x) => ((clamp(x, LOW, HIGH) - LOW) / (HIGH - LOW)) * 100;

/** A positive number with three digits, in powers of ten where it is very small or large. */
export function short(x) {
  if (x === 0 || (x >= 0.0005 && x < 9999.5)) return x >= 99.95 ? x.toFixed(0) : x >= 9.995 ? x.toFixed(1) : x >= 1 ? x.toFixed(2) : x.toFixed(3);
  const [a, b] = x.toExponential(1).split("e");
  return `${a}·10${b.replace("+", "").replace("-", "⁻").replace(/[0-9]/g, (d) => SUPER[d])}`;
}

export class Main extends Figure {
  static css = `.rows{display:grid;grid-template-columns:auto minmax(0,1.2fr) 4.2em minmax(0,1fr);gap:4px 12px;align-items:center}
.rows>span{font-size:13px;color:var(--soft)}.name{font-size:14px}.name.target{font-weight:700;text-decoration:underline 2px var(--good)}
.bar,.p{position:relative;height:26px;background:var(--panel);border:1px solid var(--line);border-radius:4px;overflow:hidden}
.bar{cursor:ew-resize}.bar i,.p i{position:absolute;top:4px;bottom:4px;background:var(--blue);border-radius:2px}
.p i{left:0;background:var(--orange)}.bar::after{content:"";position:absolute;left:50%;top:0;bottom:0;border-left:1px solid var(--soft)}
.bar u{position:absolute;top:11px;height:4px;background:var(--orange);box-shadow:0 0 0 1px var(--paper)}
.bar u::after{content:"";position:absolute;top:-4px;border:6px solid transparent}
.up::after{right:-8px;border-left-color:var(--orange)!important}.down::after{left:-8px;border-right-color:var(--orange)!important}
.n{font-size:13px;font-variant-numeric:tabular-nums;white-space:nowrap}.n.e{text-align:right}
.controls{margin:10px 0 0;align-items:end}@container(width<420px){.rows{gap:3px 7px;grid-template-columns:auto minmax(0,1.2fr) 3.6em minmax(0,1fr)}
.n{font-size:12px}}`;
  static keys = ["logits", "T", "target"];
  static tries = [
    ["Confident and wrong", (f) => ({ logits: f.names.map((_, i) => (i === f.names.length - 1 ? -2 : i ? 0 : 5)),
      target: f.names.length - 1, T: 1 })],
    ["Add 1 to all", (f) => ({ logits: f.logits.map((z) => Math.min(z + 1, HIGH)) })],
    ["T = 4", { T: 4 }],
  ];

  draw({ names, logits, target, temperature }) {
    Object.assign(this, { names, logits: [...logits], target, T: temperature });
    this.rows = names.map((name, i) => {
      const fill = h("i"), arrow = h("u"), p = h("i"), value = h("span", { class: "n" });
      const power = h("div", { class: "n e" }), part = h("span", { class: "n" });
      const bar = h("div", { class: "bar", role: "slider", tabindex: 0, "aria-valuemin": LOW,
        "aria-valuemax": HIGH, "aria-label": `logit of ${name}` }, fill, arrow);
      const set = (x) => { this.logits[i] = clamp(Math.round(x * 10) / 10, LOW, HIGH); this.refresh(); };
      drag(bar, (x) => {
        bar.focus({ preventScroll: true });
        set(LOW + (x / bar.offsetWidth) * (HIGH - LOW));
      });
      bar.addEventListener("keydown", (event) => {
        const by = { ArrowUp: 0.1, ArrowRight: 0.1, ArrowDown: -0.1, ArrowLeft: -0.1, PageUp: 1,
          PageDown: -1 }[event.key];
        if (by || event.key === "Home" || event.key === "End") event.preventDefault();
        if (by) set(this.logits[i] + by);
        if (event.key === "Home") set(LOW);
        if (event.key === "End") set(HIGH);
      });
      return { bar, fill, arrow, p, value, power, part, label: h("div", { class: "name" }, name) };
    });
    this.sum = h("p", { class: "say" });
    this.power = h("span", { class: "n e" });
    this.temperature = slider("temperature T", { min: -1, max: 1, step: 0.05, value: Math.log10(this.T),
      show: (x) => fmt(10 ** x), oninput: (x) => { this.T = 10 ** x; this.refresh(); } });
    this.choose = choice("true class", names.map((n, i) => [i, n]), target,
      (i) => { this.target = +i; this.refresh(); });
    const controls = h("div", { class: "controls" }, button("One gradient step", () => {
      const { gradient } = softmax(this.logits, this.target, this.T);
      this.logits = this.logits.map((z, i) => clamp(z - gradient[i], LOW, HIGH));
      this.refresh();
    }), this.choose, this.temperature);
    const box = h("div", { class: "rows" }, ["", "logit z: drag it"].map((t) => h("span", {}, t)), this.power,
      h("span", {}, "probability p"), this.rows.map((r) => [r.label, r.bar, r.power, h("div", { class: "p" }, r.p),
        h("span"), r.value, h("span"), r.part]));
    this.update();
    return [box, this.sum, controls, h("p", { class: "help" }, "Orange arrows: where one gradient step takes each " +
      "logit. The step is y − p" + ", divided by T where T is not 1.")];
  }

  update() {
    const { logits, target, T } = this, { p, loss, gradient } = softmax(logits, target, T);
    const powers = logits.map((z) => Math.exp(z / T)), one = Math.abs(T - 1) < 1e-9;
    this.temperature.set(Math.log10(T));
    this.choose.set(target);
    this.power.textContent = one ? "eᶻ" : "e^(z/T)";
    this.rows.forEach((r, i) => {
      const z = logits[i], zero = share(0), at = share(z), to = share(z - gradient[i]);
      r.fill.style.cssText = `left:${Math.min(zero, at)}%;width:${Math.abs(at - zero)}%`;
      r.arrow.style.cssText = `left:${Math.min(at, to)}%;width:${Math.abs(to - at)}%`;
      r.arrow.hidden = Math.abs(to - at) < 0.3;
      r.arrow.className = to > at ? "up" : "down";
      r.p.style.width = `${p[i] * 100}%`;
      r.value.textContent = `${fmt(z)}, slope ${fmt(gradient[i], 3)}`;
      r.power.textContent = short(powers[i]);
      r.part.textContent = short(p[i]);
      r.label.className = i === target ? "name target" : "name";
      r.bar.setAttribute("aria-valuenow", fmt(z).replace("−", "-"));
      r.bar.setAttribute("aria-valuetext", `${fmt(z)}, probability ${short(p[i])}`);
    });
    const text = `The true class, ${this.names[target]}, has p = ${short(powers[target])} / ` +
      `${short(powers.reduce((s, v) => s + v, 0))} = ${short(p[target])}: the loss is −ln p = ${fmt(loss, 3)} nats. ` +
      `Its slope by each logit is ${one ? "p − y" : "(p − y) / T"}.`;
    this.sum.textContent = text;
    this.say(text);
  }
}

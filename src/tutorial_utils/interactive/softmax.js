import { Figure, clamp, drag, fmt, h, slider, choice } from "./base.js";

/** Softmax of logits / T, its cross-entropy against the target, and the gradient by the logits. */
export function softmax(logits, target, T = 1) {
  const z = logits.map((x) => x / T), top = Math.max(...z);
  const sum = z.reduce((s, x) => s + Math.exp(x - top), 0);
  const p = z.map((x) => Math.exp(x - top) / sum);
  const loss = top + Math.log(sum) - z[target];
  return { p, loss, gradient: p.map((x, i) => (x - (i === target)) / T) };
}

const LOW = -5, HIGH = 5, TALL = 150;

export class Main extends Figure {
  static css = `.bars{display:grid;gap:8px;grid-template-columns:repeat(var(--n),minmax(0,1fr));
flex:1 1 300px}.bar{position:relative;height:${TALL}px;background:var(--panel);
border:1px solid var(--line);border-radius:4px;cursor:ns-resize}
.bar i{position:absolute;left:18%;right:18%;background:var(--blue);border-radius:2px}
.bar::after{content:"";position:absolute;left:0;right:0;top:50%;border-top:1px solid var(--soft)}
.name{text-align:center;font-size:13px}.name.target{font-weight:700;text-decoration:underline}
.p{height:90px;position:relative;border-bottom:1px solid var(--soft)}
.p i{position:absolute;left:18%;right:18%;bottom:0;background:var(--orange)}
.n{text-align:center;font-size:13px;font-variant-numeric:tabular-nums;white-space:nowrap}
.g{color:var(--soft)}@container(width<420px){.bars{gap:4px}.n{font-size:11px}}`;

  draw({ names, logits, target, temperature }) {
    Object.assign(this, { names, logits: [...logits], target, T: temperature });
    this.bars = names.map((name, i) => {
      const fill = h("i"), p = h("i"), value = h("div", { class: "n" });
      const share = h("div", { class: "n" }), slope = h("div", { class: "n g" });
      const bar = h("div", { class: "bar", role: "slider", tabindex: 0, "aria-valuemin": LOW,
        "aria-valuemax": HIGH, "aria-label": `logit of ${name}`, "aria-orientation": "vertical" }, fill);
      const set = (x) => { this.logits[i] = clamp(Math.round(x * 10) / 10, LOW, HIGH); this.refresh(); };
      drag(bar, (_, y) => { bar.focus(); set(HIGH - (y / TALL) * (HIGH - LOW)); });
      bar.addEventListener("keydown", (event) => {
        const by = { ArrowUp: 0.1, ArrowRight: 0.1, ArrowDown: -0.1, ArrowLeft: -0.1, PageUp: 1,
          PageDown: -1 }[event.key];
        if (by || event.key === "Home" || event.key === "End") event.preventDefault();
        if (by) set(this.logits[i] + by);
        if (event.key === "Home") set(LOW);
        if (event.key === "End") set(HIGH);
      });
      const label = h("div", { class: "name" }, name);
      return { bar, fill, p, value, share, slope, label };
    });
    this.sum = h("p", { class: "say" });
    const controls = h("div", { class: "controls" },
      slider("temperature T", { min: -1, max: 1, step: 0.05, value: Math.log10(this.T),
        show: (x) => fmt(10 ** x), oninput: (x) => { this.T = 10 ** x; this.refresh(); } }),
      choice("true class", names.map((n, i) => [i, n]), target,
        (i) => { this.target = +i; this.refresh(); }));
    const box = h("div", { class: "bars", style: `--n:${names.length}` },
      ["label", "bar", "value"].map((k) => this.bars.map((b) => b[k])),
      this.bars.map((b) => h("div", { class: "p" }, b.p)),
      ["share", "slope"].map((k) => this.bars.map((b) => b[k])));
    this.update();
    return [controls, h("div", { class: "parts" }, box), this.sum];
  }

  update() {
    const { p, loss, gradient } = softmax(this.logits, this.target, this.T);
    this.bars.forEach((b, i) => {
      const x = this.logits[i], middle = TALL / 2, tall = (Math.abs(x) / (HIGH - LOW)) * TALL;
      b.fill.style.cssText = `top:${x > 0 ? middle - tall : middle}px;height:${tall}px`;
      b.p.style.height = `${p[i] * 100}%`;
      b.value.textContent = "z = " + fmt(x, 1);
      b.share.textContent = "p = " + fmt(p[i], 3);
      b.slope.textContent = "∂ = " + fmt(gradient[i], 3);
      b.label.className = i === this.target ? "name target" : "name";
      b.bar.setAttribute("aria-valuenow", x);
      b.bar.setAttribute("aria-valuetext", `${fmt(x, 1)}, probability ${fmt(p[i], 3)}`);
    });
    const text = `The true class, ${this.names[this.target]}, has p = ${fmt(p[this.target], 3)}: ` +
      `the loss is −ln p = ${fmt(loss, 3)} nats. ∂ is the loss’s slope by each logit, ` +
      (this.T === 1 ? "p − y." : "(p − y) / T.");
    this.sum.textContent = text;
    this.say(text);
  }
}

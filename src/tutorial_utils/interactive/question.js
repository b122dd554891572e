// A question reads its texts from its fallback (a paragraph and one <details> for each answer) and
// is as plain as they are: the page's own font and ink, so it needs no theme and no base.

const CSS = `
:host{display:block;margin:1em 0}
.box{border:1px solid color-mix(in srgb,currentColor 30%,transparent);border-left:5px solid #0072b2;
border-radius:8px;padding:12px 14px}
p{margin:0}.ask{font-weight:600;margin-bottom:10px}
.answers{display:flex;flex-wrap:wrap;gap:8px}
button{font:inherit;color:inherit;text-align:left;cursor:pointer;min-height:38px;padding:6px 12px;
background:color-mix(in srgb,currentColor 5%,transparent);border-radius:19px;
border:1px solid color-mix(in srgb,currentColor 55%,transparent)}
button:hover{background:color-mix(in srgb,currentColor 12%,transparent)}
button[aria-pressed=true]{border-color:currentColor;box-shadow:inset 0 0 0 1px currentColor}
button:focus-visible{outline:3px solid #d55e00;outline-offset:2px}
i{font-style:normal;margin-left:.5em}.reply:not(:empty){margin-top:10px}
code{font-size:.9em}.key{display:none}
@media print{.box{break-inside:avoid}.reply{display:none}button i{display:none}
.key{display:block;margin-top:10px;font-size:.75em;transform:rotate(180deg)}}`;

export class Main extends (globalThis.HTMLElement || Object) {
  connectedCallback() {
    if (this.shadowRoot) return;
    const make = (tag, name, ...children) => {
      const e = document.createElement(tag);
      e.className = name;
      e.append(...children);
      return e;
    };
    const copy = (e) => [...e.cloneNode(true).childNodes];
    const reply = make("p", "reply"), key = make("p", "key"), answers = make("div", "answers");
    const ask = make("p", "ask", ...copy(this.querySelector("p > b")));
    reply.setAttribute("role", "status");
    for (const details of this.querySelectorAll("details")) {
      const [summary, text] = details.children, right = details.dataset.right;
      const button = make("button", "", ...copy(summary));
      button.type = "button";
      button.setAttribute("aria-pressed", false);
      button.onclick = () => {
        for (const other of answers.children) other.setAttribute("aria-pressed", other === button);
        if (right && !button.querySelector("i")) button.append(make("i", "", right === "1" ? "✓" : "✗"));
        reply.replaceChildren(...copy(text));
      };
      answers.append(button);
      if (right === "1") key.append("Answer: ", ...copy(summary), ". ", ...copy(text));
    }
    const box = make("div", "box", ask, answers, reply, key);
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", this.getAttribute("aria-label"));
    // A notebook takes plain keys as commands: they end here.
    for (const kind of ["keydown", "keypress", "keyup"])
      box.addEventListener(kind, (e) => e.ctrlKey || e.metaKey || e.stopPropagation());
    this.attachShadow({ mode: "open" }).append(make("style", "", CSS), box);
  }
}

// Search finds sections: first those whose title is what was asked, then those that teach it (it is
// bold there), the glossary's word on it, other titles, and the prose that is full of it.
const rank = ([page, anchor, pageTitle, title, text, taught], phrase, words) => {
  const all = `${pageTitle} ${title} ${text}`;
  const count = all.split(new RegExp(phrase, "iu")).length - 1;
  if (!count && !words.every((word) => word.test(all))) return 0;
  const [inTitle, whole] = [phrase, `(?:^|\\|)${phrase}\\p{L}*(?:$|\\|)`].map((p) => new RegExp(p, "iu"));
  const aside = page.endsWith("errata") || /^(Summary|Exercises)$/.test(title);
  const term = anchor.startsWith("#g-");
  const score = term ? (whole.test(taught) ? 65 : 0) : whole.test(title) ? 100 : inTitle.test(title) && !anchor ? 80
    : whole.test(taught) ? 70 : inTitle.test(title) ? 60 : words.every((word) => word.test(title)) ? 40 : 0;
  return (score + (300 * count) / (text.length + 600) + 0.1) * (aside ? 0.001 : 1);
};

const showSections = (query) => {
  // "fine-tuning" finds "finetune", "batch norm" finds "BatchNorm", "normalize" finds "normalise".
  const start = (word) => "(?<![\\p{L}\\p{N}])" + [...word.replace(/(?<=.{4})(ing|ation|es?|s)$/, "")]
    .map((c) => (/[sz]/.test(c) ? "[sz]" : c)).join("[ -]?");
  const plain = query.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const words = plain.map((word) => new RegExp(start(word), "iu"));
  const found = words.length === 0 ? [] : bookSections.map((row) => [rank(row, start(plain.join("")), words), row])
    .filter(([score]) => score > 0).sort((a, b) => b[0] - a[0]).slice(0, 40);
  Search.stopPulse();
  Search.title.textContent = "Search results";
  Search.status.textContent = found.length
    ? `${found.length} section${found.length > 1 ? "s" : ""} found.` : "Nothing found. Try another word, or fewer.";
  for (const [, [page, anchor, pageTitle, title, text]] of found) {
    const link = Object.assign(document.createElement("a"), { href: `${page}.html${anchor}` });
    link.textContent = anchor ? `${pageTitle} › ${title}` : pageTitle;
    const context = Object.assign(document.createElement("p"), { className: "context" });
    const at = Math.max(0, text.search(words[0]) - 80);
    context.textContent = (at ? "… " : "") + text.slice(at ? text.indexOf(" ", at) + 1 : 0, at + 200) + " …";
    const item = document.createElement("li");
    item.append(link, context);
    Search.output.append(item);
  }
};

document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  Search.query = (query) => {
    const index = Object.assign(document.createElement("script"), { src: "_static/book-search.js" });
    index.onload = () => showSections(query);
    document.head.append(index);
  };
});

// One switch on each page shows all folded code, also that of questions, figures and drawings, which
// stand without it otherwise; the choice is remembered.
document.addEventListener("DOMContentLoaded", () => {
  const folds = document.querySelectorAll("article .cell:not(.tag_hide-cell) details.hide");
  const title = document.querySelector("article h1");
  if (!folds.length || !title) return;
  const button = document.createElement("button");
  button.className = "book-code-switch";
  button.type = "button";
  const show = (all) => {
    document.documentElement.classList.toggle("folded", !all);
    button.setAttribute("aria-pressed", all);
    button.textContent = all ? "Fold the code" : "Show all code";
    folds.forEach((fold) => { fold.open = all; });
  };
  let stored = null;
  try { stored = localStorage.getItem("book-code"); } catch { /* no storage here */ }
  show(stored === "all");
  button.addEventListener("click", () => {
    const all = button.getAttribute("aria-pressed") !== "true";
    show(all);
    try { localStorage.setItem("book-code", all ? "all" : ""); } catch { /* no storage here */ }
  });
  title.after(button);
});

// What is wider than its column scrolls, and fades out where it goes on; only then can the keyboard
// reach a formula.
window.addEventListener("load", () => {
  const boxes = "article :is(div.math, mjx-container.wide, pre, .output, .book-table, .pst-scrollable-table-container)";
  const fade = (box) => box.classList.toggle("more", box.scrollLeft < box.scrollWidth - box.clientWidth - 1);
  const look = () => {
    const lines = [...document.querySelectorAll("article :is(p, li) .math > mjx-container")];
    lines.forEach((line) => line.classList.remove("wide", "more"));
    const room = (line) => line.closest("p, li").clientWidth;  // none in a closed fold
    lines.filter((line) => room(line) && line.offsetWidth > room(line))
      .forEach((line) => line.classList.add("wide"));
    const found = [...document.querySelectorAll(boxes)].map((box) => [box, box.scrollWidth - box.clientWidth > 1]);
    const ends = found.map(([box, wide]) => wide && box.scrollLeft < box.scrollWidth - box.clientWidth - 1);
    found.forEach(([box, wide], k) => {
      box.classList.toggle("more", ends[k]);
      box.onscroll = wide ? () => fade(box) : null;
      if (!box.matches(".math, .wide")) return;
      if (wide) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    });
  };
  const drawn = window.MathJax?.startup?.promise;
  if (drawn) drawn.then(look);
  let wait;
  new ResizeObserver(() => { clearTimeout(wait); wait = setTimeout(look, 100); }).observe(document.body);
});

// Paper is light, and shows the solutions; afterwards the page is as it was.
let onScreen = null;
window.addEventListener("beforeprint", () => {
  const folds = [...document.querySelectorAll("article details:not([open])")].filter(
    (fold) => !fold.closest(".tag_hide-input, .book-figure"));
  onScreen ??= { theme: document.documentElement.dataset.theme, folds };
  document.documentElement.dataset.theme = "light";
  folds.forEach((fold) => { fold.open = true; });
  document.querySelectorAll("article .cell_input").forEach((listing) => {
    listing.classList.toggle("long", listing.textContent.split("\n").length > 16);
  });
});
window.addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = onScreen.theme;
  onScreen.folds.forEach((fold) => { fold.open = false; });
  onScreen = null;
});

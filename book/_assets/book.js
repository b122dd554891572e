// Search finds sections: first those whose title has the words, then those whose prose is full of them.
const rank = ([page, anchor, pageTitle, title, text], query, words) => {
  const [head, body] = [title.toLowerCase(), text.toLowerCase()];
  if (!words.every((word) => word.test(`${pageTitle} ${title} ${text}`))) return 0;
  const inTitle = words.every((word) => word.test(title));
  const score = (head === query ? 90 : head.includes(query) ? 60 : inTitle ? 40 : 0) * (anchor ? 1 : 2);
  const dense = (300 * (body.split(query).length - 1)) / (body.length + 600);
  return score + dense + (words.every((word) => word.test(text)) ? 0.1 : 0);
};

const showSections = (query) => {
  const plain = query.toLowerCase().trim();
  const stems = plain.split(/[^\p{L}\p{N}]+/u).filter(Boolean).map((w) => w.replace(/(?<=.{4})(ing|es|s)$/, ""));
  const words = stems.map((stem) => new RegExp(`(?<![\\p{L}\\p{N}])${stem}`, "iu"));
  const found = words.length === 0 ? [] : bookSections.map((row) => [rank(row, plain, words), row])
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

// One switch on each page shows all folded code; the choice is remembered.
document.addEventListener("DOMContentLoaded", () => {
  const folds = document.querySelectorAll("article .cell:not(.tag_hide-cell) details.hide");
  const title = document.querySelector("article h1");
  if (!folds.length || !title) return;
  const button = document.createElement("button");
  button.className = "book-code-switch";
  button.type = "button";
  const show = (all) => {
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

// A formula that is wider than its column scrolls; only then can the keyboard reach it.
window.addEventListener("load", () => {
  const wide = () => document.querySelectorAll("article div.math").forEach((formula) => {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  });
  const drawn = window.MathJax?.startup?.promise;
  if (drawn) drawn.then(wide);
  new ResizeObserver(wide).observe(document.body);
});

// Paper is light, and shows the solutions; afterwards the page is as it was.
let onScreen = null;
window.addEventListener("beforeprint", () => {
  const folds = [...document.querySelectorAll("article details:not([open])")].filter(
    (fold) => !fold.closest(".tag_hide-input, .book-figure"));
  onScreen ??= { theme: document.documentElement.dataset.theme, folds };
  document.documentElement.dataset.theme = "light";
  folds.forEach((fold) => { fold.open = true; });
});
window.addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = onScreen.theme;
  onScreen.folds.forEach((fold) => { fold.open = false; });
  onScreen = null;
});

// A browser lets no page read another one from a folder (file://), so that search does without the
// lines of context that it shows from a server.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

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

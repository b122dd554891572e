// The page: the element <book-lab>, from the first click to a classifier.

const KEPT = 64; // pixels of a thumbnail's side
const UNSURE = 0.75; // an answer below this share is called unsure
const FEW = 5; // photos of a class below which the lab asks for more
const COLOURS = 4; // classes at most

/** A script of the book, run: over file:// the one way to a large file. */
function runScript(address) {
  return new Promise((ok, fail) => {
    const e = make("script", { src: address, onload: () => { e.remove(); ok(); }, onerror: () => { e.remove(); fail(new Error(address)); } });
    document.head.append(e);
  });
}

/** Tell equal photos: a number made of the crop's bytes (FNV-1a). */
function fingerprint(crop) {
  let hash = 2166136261;
  for (let i = 0; i < crop.length; i++) hash = Math.imul(hash ^ crop[i], 16777619);
  return hash >>> 0;
}

/** The photos that a paste or a drop brings, those inside dropped folders as well. */
async function filesOf(transfer) {
  const entries = [...(transfer.items || [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const walk = async (entry) => {
    if (entry.isFile) return [await new Promise((ok, fail) => entry.file(ok, fail))];
    const reader = entry.createReader(), found = [];
    for (;;) { // a reader gives a hundred at a time
      const some = await new Promise((ok, fail) => reader.readEntries(ok, fail));
      if (!some.length) return found;
      for (const one of some) if (!one.name.startsWith(".")) found.push(...await walk(one));
    }
  };
  return (await Promise.all(entries.map(walk))).flat();
}

const list = (names, most = 4) => names.slice(0, most).join(", ") + (names.length > most ? ` and ${names.length - most} more` : "");
const photos = (n) => (n === 1 ? "1 photo" : `${n} photos`);
const save = (blob, name) => {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
};

class BookLab extends (globalThis.HTMLElement || Object) {
  connectedCallback() {
    if (!this.shadowRoot) {
      this.attachShadow({ mode: "open" });
      this.host = make("div", { class: "lab", role: "group", "aria-label": "The lab: a network that learns from your photos" });
      this.host.hidden = true; // until its style is there
      const style = make("link", { rel: "stylesheet", href: FOLDER + "lab.css", onload: () => { this.host.hidden = false; } });
      this.shadowRoot.append(style, this.host);
      // A notebook takes plain keys as commands: they end here.
      for (const kind of ["keydown", "keypress", "keyup"])
        this.shadowRoot.addEventListener(kind, (e) => e.ctrlKey || e.metaKey || e.stopPropagation());
    }
    const plate = this.closest(".text_html"); // the theme lays HTML on a light plate in the dark
    if (plate) Object.assign(plate.style, { background: "none", padding: 0 });
    this.compact = this.hasAttribute("compact");
    this.watchTheme();
    this.welcome();
  }

  disconnectedCallback() {
    this.watcher.disconnect();
    this.close();
  }

  watchTheme() {
    const root = document.documentElement, media = matchMedia("(prefers-color-scheme: dark)");
    const set = () => this.toggleAttribute("dark", root.dataset.theme ? root.dataset.theme === "dark" : media.matches);
    this.watcher = new MutationObserver(set);
    this.watcher.observe(root, { attributes: true });
    media.onchange = set;
    set();
  }

  /** A heading one below the book's own. */
  title(text, level = this.compact ? 2 : 3) { return make(`h${level}`, {}, text); }

  say(text) { this.status.textContent = text; }

  // --- Before anything is loaded. ---

  welcome(problem) {
    this.status = make("p", { role: "status", class: problem ? "status problem" : "status" }, problem || "");
    const go = (text, then, main) => make("button", { type: "button", class: main ? "main" : "", onclick: () => this.load(then) }, text);
    this.start = make("div", { class: "start" },
      go("Use my webcam", () => this.toggleCamera(), true), go("Choose photos", () => this.classes[0].input.focus()),
      go("Try it with ours", () => this.tryOurs()));
    this.host.replaceChildren(make("div", { class: "welcome" },
      make("div", {}, this.title("Show it two things"),
        make("p", {}, "In this page a real network is waiting: MobileNetV2, which learnt to see from 1.2 million photos. Show it a few photos of two things, a mug and a pen perhaps, and it learns to tell them apart, here, before your eyes."),
        this.start, this.status,
        make("p", { class: "small" }, "Your photos stay on this computer: nothing is sent anywhere. A click loads the network, 9 MB, from the book’s own files.")),
      make("div", { class: "still", "aria-hidden": "true" }, still(this))));
  }

  async load(then) {
    for (const button of this.start.children) button.disabled = true;
    this.status.className = "status";
    this.say("Loading the network …");
    this.host.classList.add("busy");
    try {
      if (!globalThis.bookLabWeights) await runScript(FOLDER + "weights.js");
      const { half, names, program, data } = globalThis.bookLabWeights, buffer = bytesOf(data).buffer;
      delete globalThis.bookLabWeights; // 9 MB of text: let go of it
      Object.assign(this, { names, program });
      this.worker = startWorker(`(${bookLab})()`);
      const { fast } = await this.worker.ask("load", { buffer, half, kernel: this.hasAttribute("plain") ? null : bytesOf(KERNEL) }, [buffer]);
      this.fast = fast;
      this.open();
    } catch (error) {
      this.worker?.stop();
      this.worker = null;
      return this.welcome(/weights\.js$/.test(error.message)
        ? "The network’s weights are not beside this page. In the book’s folder run `make book`, then reload the page."
        : `The network could not be started: ${error.message}`);
    } finally { this.host.classList.remove("busy"); }
    then();
  }

  // --- The lab itself. ---

  open() {
    Object.assign(this, { classes: [], queue: [], fitted: null, last: null, asked: 0, notes: [] });
    this.status = make("p", { role: "status", class: "status" });
    this.cards = make("div", { class: "cards" });
    this.more = make("button", { type: "button", onclick: () => this.addClass().field.select() }, "Add a class");
    this.cameraButton = make("button", { type: "button", "aria-pressed": "false", onclick: () => this.toggleCamera() }, "Webcam");
    this.learnt = make("div", { class: "learnt" });
    this.drawAsk();
    const section = (step, title, ...rest) => make("section", { "aria-label": title },
      make("div", { class: "title" }, make("span", { class: "count", "aria-hidden": "true" }, step), this.title(title)), ...rest);
    const parts = [
      make("div", { class: "bar" }, this.status, make("button", { type: "button", onclick: () => this.close() }, "Close the lab")),
      section("1", "Show it photos of each class", this.cards, make("div", { class: "start" }, this.more, this.cameraButton)),
      make("div", { class: "pair" }, section("2", "It learns", this.learnt), section("3", "Ask it about a new photo", this.asking)),
    ];
    if (this.compact) {
      const more = this.getAttribute("more");
      if (more) parts.push(make("p", { class: "small" }, make("a", { href: more }, "Look inside: the whole lab, step by step")));
    } else {
      this.inside = lookInside(() => this.ask(this.last.crop));
      this.versus = make("div", {}, make("p", {}, "Was it the million photos, or would any network of this shape do? Let an untrained one look at the same photos: the same 52 layers, random weights. Only the head is trained, as before."),
        this.versusButton = make("button", { type: "button", onclick: () => this.compare() }, "Compare with an untrained network"), this.versusResult = make("div", { "aria-live": "polite" }));
      parts.push(section("4", "Look inside", this.inside.element), section("5", "Freeze or not?", this.versus), section("6", "Take it along", this.drawTake()));
    }
    parts.push(make("p", { class: "small" }, "The photos stay on this computer, and are gone when you close or leave the page."));
    this.host.replaceChildren(...parts);
    this.addClass();
    this.addClass();
    this.showLearnt();
    this.say(this.fast ? "The network is ready." : "The network is ready. This browser has no WebAssembly SIMD: it works, about ten times slower.");
    this.listen();
  }

  /** Files that miss a card must not make the browser leave the page; a paste goes where the focus is. */
  listen() {
    this.stopListening?.();
    const over = (event) => { if (event.dataTransfer?.types.includes("Files")) event.preventDefault(); };
    const drop = (event) => {
      if (!event.dataTransfer?.files.length || event.defaultPrevented) return;
      event.preventDefault();
      this.say("Drop photos onto one of the classes, or onto the question.");
    };
    const paste = async (event) => {
      const files = await filesOf(event.clipboardData);
      if (!files.length) return;
      const at = this.shadowRoot.activeElement, c = this.classes.find(({ card }) => card.contains(at));
      c ? this.add(c, files) : this.ask(files[0]);
    };
    const events = { dragover: over, drop, paste };
    for (const name in events) document.addEventListener(name, events[name]);
    this.stopListening = () => { for (const name in events) document.removeEventListener(name, events[name]); };
  }

  /** Give everything back: worker, camera, photos. */
  close() {
    this.stopListening?.();
    this.closeCamera();
    this.worker?.stop();
    Object.assign(this, { worker: null, classes: [], queue: [], fitted: null, last: null, ours: null });
    if (this.isConnected) this.welcome();
  }

  // --- Classes and their photos. ---

  addClass(name = `Class ${this.classes.length + 1}`) {
    const c = { name, rows: [], colour: [...Array(COLOURS).keys()].find((k) => !this.classes.some((o) => o.colour === k)) };
    c.field = make("input", { value: name, maxlength: 40, "aria-label": `Name of class ${this.classes.length + 1}`, spellcheck: "false",
      oninput: () => { c.name = c.field.value.trim() || name; this.rename(c); }, onfocus: () => c.field.select() });
    c.count = make("span", { class: "tally" });
    c.remove = make("button", { type: "button", class: "cross", "aria-label": `Remove ${name}`, onclick: () => this.removeClass(c) }, "×");
    c.input = make("input", { type: "file", accept: "image/*", multiple: true, onchange: () => { this.add(c, [...c.input.files]); c.input.value = ""; } });
    c.zone = make("label", { class: "zone" }, c.input, make("span", {}, make("b", {}, "Drop photos"), " here, paste them or ", make("u", {}, "choose")));
    c.video = make("video", { playsinline: true, "aria-hidden": "true" });
    c.video.muted = true;
    c.hold = holdButton("Hold to take photos", () => this.record(c), () => { this.recording = null; });
    c.camera = make("div", { class: "camera", hidden: true }, c.video, c.hold);
    c.list = make("ul", { class: "photos" });
    c.card = make("section", { class: "card", style: `--mine:var(--c${c.colour});--fill:var(--f${c.colour})` },
      make("div", { class: "name" }, c.field, c.count, c.remove), c.camera, c.zone, c.list);
    this.takesDrops(c.card, (files) => this.add(c, files));
    this.classes.push(c);
    this.cards.append(c.card);
    this.rename(c);
    if (this.stream) this.showStream(c);
    return c;
  }

  takesDrops(element, take) {
    const light = (on) => element.classList.toggle("over", on);
    element.addEventListener("dragover", (event) => { event.preventDefault(); light(true); });
    element.addEventListener("dragleave", () => light(false));
    element.addEventListener("drop", async (event) => {
      event.preventDefault();
      light(false);
      const files = await filesOf(event.dataTransfer);
      files.length ? take(files) : this.say("There was no file in that. Save the photo first, then drop it.");
    });
  }

  rename(c) {
    c.card.setAttribute("aria-label", c.name);
    c.remove.setAttribute("aria-label", `Remove ${c.name}`);
    c.input.setAttribute("aria-label", `Photos of ${c.name}`);
    c.hold.setAttribute("aria-label", `Hold to take photos of ${c.name}`);
    this.tally();
    if (this.last) this.answer();
  }

  removeClass(c) {
    this.queue = this.queue.filter((job) => job.c !== c);
    this.classes.splice(this.classes.indexOf(c), 1);
    c.card.remove();
    this.tally();
    this.cards.querySelector("input")?.focus();
    this.train();
  }

  tally() {
    for (const { rows, count, remove } of this.classes) {
      count.textContent = photos(rows.length);
      remove.hidden = this.classes.length <= 2;
    }
    this.more.disabled = this.classes.length >= COLOURS;
  }

  /** Photos (files) into a class: one by one through the worker, then training. */
  async add(c, files) {
    this.queue.push(...files.map((file) => ({ c, file })));
    if (this.adding) return this.adding;
    this.adding = this.work();
    await this.adding;
    this.adding = null;
  }

  async work() {
    const failed = [], twins = [], double = [], worker = this.worker;
    for (let done = 1; this.queue.length; done++) {
      const { c, file } = this.queue.shift();
      this.say(`Looking at photo ${done} of ${done + this.queue.length} …`);
      try {
        const { features, crop } = await worker.ask("see", { photo: file });
        if (worker !== this.worker) return;
        const print = fingerprint(crop), same = (o) => o.rows.some((row) => row.print === print);
        if (!this.classes.includes(c)) continue; // removed meanwhile
        if (same(c)) { twins.push(file.name || "a photo"); continue; }
        const other = this.classes.find((o) => o !== c && same(o));
        if (other) double.push(`${file.name || "A photo"} (${other.name} and ${c.name})`);
        this.addRow(c, { features, print, file, canvas: await thumbnail(crop, KEPT) });
      } catch (error) {
        if (worker !== this.worker) return;
        failed.push(file.name || "a photo");
      }
    }
    this.notes = [
      failed.length && `Not a photo that this browser can read: ${list(failed)}. Skipped.`,
      twins.length && `Already there, not added twice: ${list(twins)}.`,
      double.length && `The same photo in two classes: ${list(double)}. No head can get both right; take one out.`,
    ].filter(Boolean);
    await this.train();
  }

  addRow(c, row) {
    row.mark = make("span", { class: "mark", hidden: true });
    row.item = make("li", {}, row.canvas, row.mark, make("button", { type: "button", class: "cross", "aria-label": `Remove photo ${c.rows.length + 1} of ${c.name}`,
      onclick: () => {
        const i = c.rows.indexOf(row);
        c.rows.splice(i, 1);
        row.item.remove();
        (c.list.children[Math.min(i, c.rows.length - 1)]?.querySelector("button") || c.input).focus();
        this.tally();
        this.train();
      } }, "×"));
    row.canvas.setAttribute("role", "img");
    row.canvas.setAttribute("aria-label", `Photo of ${c.name}`);
    c.rows.push(row);
    c.list.append(row.item);
    this.tally();
  }

  // --- Learning. ---

  /** Fit the head to all photos, as soon as none is on its way; then ask about each, left out. */
  async train() {
    if (this.queue.length) return;
    const used = this.classes.filter((c) => c.rows.length), rows = used.flatMap((c) => c.rows);
    const mine = (this.run = (this.run || 0) + 1), worker = this.worker;
    for (const c of this.classes) for (const row of c.rows) this.mark(row);
    this.versusResult?.replaceChildren();
    if (used.length < 2) {
      this.fitted = null;
      this.showLearnt();
      return this.answer();
    }
    const labels = used.flatMap((c, i) => c.rows.map(() => i)), message = { rows: rows.map((row) => row.features), labels, classes: used.length };
    const first = ({ w, losses }) => {
      if (mine !== this.run || worker !== this.worker) return;
      this.fitted = { used, w, losses: visible(losses), rows, labels, left: undefined };
      this.animate();
      this.answer();
    };
    const { left } = await worker.ask("fit", message, [], first);
    if (mine !== this.run || worker !== this.worker) return;
    Object.assign(this.fitted, { left, right: left && left.filter((p, r) => p.indexOf(Math.max(...p)) === labels[r]).length });
    left?.forEach((p, r) => this.mark(rows[r], p, labels[r], used));
    this.showLearnt();
  }

  mark(row, p, label, used) {
    const best = p ? p.indexOf(Math.max(...p)) : -1, wrong = p && best !== label, unsure = p && !wrong && p[best] < UNSURE;
    row.mark.hidden = !wrong && !unsure;
    row.item.className = wrong ? "wrong" : unsure ? "unsure" : "";
    const text = wrong ? `Left out, it is taken for ${used[best].name}` : unsure ? `Left out, it is unsure: ${percent(p[label])}` : "";
    row.mark.textContent = wrong ? "✗" : unsure ? "?" : "";
    row.mark.setAttribute("title", text);
    row.mark.setAttribute("role", "img");
    row.mark.setAttribute("aria-label", text);
    row.unsure = unsure || wrong;
  }

  /** Draw the loss curve step by step, so that learning is seen; at once for who wants no motion. */
  animate() {
    const { losses } = this.fitted, mine = this.fitted, calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const begin = performance.now(), lasting = calm || this.stream && this.recording ? 0 : 900;
    const draw = () => {
      if (this.fitted !== mine || !this.worker) return;
      const part = lasting ? Math.min(1, (performance.now() - begin) / lasting) : 1;
      this.step = Math.round(part * (losses.length - 1));
      this.showLearnt();
      if (part < 1) requestAnimationFrame(draw);
    };
    draw();
  }

  showLearnt() {
    const fit = this.fitted, notes = this.notes.map((note) => make("p", { class: "problem" }, note));
    if (!fit) {
      const some = this.classes.some((c) => c.rows.length);
      const text = some ? "One class has photos. Show it the other one too: it learns by comparing." : "Two classes with a few photos each, and it begins. Ten of each is a good start.";
      this.learnt.replaceChildren(...notes, make("p", {}, text));
      this.say(some ? "Now photos of another class." : "The network is ready.");
      return;
    }
    const { losses, left, right, used, rows, labels } = fit, steps = losses.length - 1, done = this.step >= steps;
    const parts = [...notes, curve(losses, Math.min(this.step, steps)),
      make("p", {}, `The loss says how badly the right answers surprise the head: ${losses[0].toFixed(2)} is guessing, 0 is certainty.`)];
    if (done && left) {
      const [low, high] = wilson(right, rows.length), most = Math.max(...used.map((c) => c.rows.length));
      const unsure = rows.filter((row) => row.unsure).length;
      parts.push(make("p", { class: "verdict" }, make("b", {}, `${right} of ${rows.length} right`), " when it is asked about each photo after learning only from the others."),
        make("div", { class: "dots", "aria-hidden": "true" }, rows.map((row, r) => make("i", { class: row.item.className || "good", style: `--mine:var(--c${used[labels[r]].colour})` }))),
        make("p", {}, right <= most ? `Guessing the larger class gets ${percent(most / rows.length)}: it cannot tell these classes apart. More photos may help, or things that differ more.`
          : `So on new photos like these, expect between ${low}\u00a0% and ${high}\u00a0%. Guessing the larger class gets ${percent(most / rows.length)}.`,
          unsure ? ` Look at the ${unsure === 1 ? "photo" : `${unsure} photos`} marked ✗ or ? above.` : ""));
      const few = used.filter((c) => c.rows.length < FEW).map((c) => c.name);
      if (few.length) parts.push(make("p", { class: "hint" }, `Few photos so far: ${list(few)}. ${FEW} to 20 of each make it steadier.`));
      if (rows.some((row) => row.file.name === "webcam.jpg"))
        parts.push(make("p", { class: "hint" }, "Photos of one take are much alike, so this number flatters. Move the thing, turn it, change the light; then test it live."));
      const words = `Trained on ${rows.length} photos: ${right} of ${rows.length} right when left out.`;
      this.say(words);
    } else if (done && left === null)
      parts.push(make("p", { class: "hint" }, "One photo cannot be both lesson and test. With two or more in each class it tells how far to trust it."));
    else parts.push(make("p", {}, done ? "Asking about each photo, left out …" : "Learning …"));
    if (done && left === null) this.say(`Trained on ${rows.length} photos.`);
    this.learnt.replaceChildren(...parts);
  }

  // --- Asking. ---

  drawAsk() {
    const input = make("input", { type: "file", accept: "image/*", "aria-label": "A new photo to ask about", onchange: () => { if (input.files[0]) this.ask(input.files[0]); input.value = ""; } });
    this.photo = make("div", { class: "seen" });
    this.bars = make("div", { class: "bars", role: "group", "aria-label": "Its answer" });
    this.theirs = make("div", { class: "bars theirs", role: "group", "aria-label": "ImageNet’s answer" });
    this.where = make("button", { type: "button", "aria-pressed": "false", onclick: () => {
      this.showWhere = !this.showWhere;
      this.where.setAttribute("aria-pressed", String(this.showWhere));
      this.answer();
    } }, "Where does it look?");
    this.tray = make("div", { class: "tray" });
    this.result = make("div", { class: "result", hidden: true }, make("div", {}, this.photo, this.where), make("div", { class: "answers" }, this.bars, this.theirs));
    this.asking = make("div", { class: "asking" }, make("label", { class: "zone" }, input,
      make("span", {}, make("b", {}, "Drop a new photo"), " here, paste it or ", make("u", {}, "choose"))), this.tray, this.result);
    this.takesDrops(this.asking, (files) => this.ask(files[0]));
  }

  /** What is in this photo (a file, a frame, or a crop that was seen before)? */
  async ask(photo, live = false) {
    if (!photo) return;
    const mine = ++this.asked, worker = this.worker;
    try {
      const seen = await worker.ask("see", { [photo.buffer ? "pixels" : "photo"]: photo, inside: this.inside?.open() }, live ? [photo.data.buffer] : []); // a frame is handed over
      if (worker !== this.worker || mine !== this.asked) return;
      this.last = seen;
      this.answer(live);
      return true;
    } catch (error) {
      if (worker === this.worker && !live) this.say(`${photo.name || "That"} is not a photo that this browser can read.`);
    }
  }

  /** Show what the last photo is, by the reader's head and by ImageNet's own. */
  answer(live = false) {
    if (!this.last) return;
    const { features, logits, crop, map } = this.last, fit = this.fitted;
    this.result.hidden = false;
    const bar = (name, p, style = "") => make("div", { class: "answer", style: `--p:${p};${style}` }, make("span", {}, name), make("b", {}, percent(p)));
    let head = null;
    if (fit) {
      const z = logitsOf(fit.w, features, fit.used.length), p = softmax(z), best = p.indexOf(Math.max(...p));
      head = { z, p, w: fit.w };
      const sure = p[best] >= UNSURE, name = fit.used[best].name;
      this.bars.replaceChildren(
        make("p", { class: "verdict" }, sure ? make("b", {}, name) : make("b", {}, "Not sure"), sure ? "" : `, rather ${name}`),
        ...fit.used.map((c, i) => bar(c.name, p[i], `--mine:var(--c${c.colour});--fill:var(--f${c.colour})`)),
        make("p", { class: "small" }, `It knows ${list(fit.used.map((c) => c.name))} and nothing else: it must choose one of them, for any photo.`));
      if (!live) this.say(`${sure ? "Its answer" : "Not sure, rather"}: ${name}, ${percent(p[best])}.`);
    } else this.bars.replaceChildren(make("p", {}, "It has not learnt your classes yet."));
    const p = softmax(logits), top = p.map((_, i) => i).sort((a, b) => p[b] - p[a]).slice(0, 5);
    this.theirs.replaceChildren(make("p", { class: "small" }, "ImageNet’s own head, 1,000 classes:"), ...top.map((i) => bar(this.names[i], p[i])));
    this.where.disabled = !fit;
    const best = head && head.p.indexOf(Math.max(...head.p));
    const label = "The photo’s middle, which is what the network sees";
    this.photo.replaceChildren(fit && this.showWhere
      ? overlay(crop, classMap(map, fit.w, fit.used.length, best), `${label}. Orange: speaks for ${fit.used[best].name}; blue: against.`)
      : picture(crop, 224, 224, label));
    this.inside?.show({ seen: this.last, head, names: fit ? fit.used.map((c) => c.name) : [] });
  }

  // --- Our photos, for readers who have none at hand. ---

  async tryOurs() {
    try {
      if (!globalThis.bookLabPhotos) await runScript(FOLDER + "ours.js");
    } catch { return this.say("The book’s photos are not beside this page: run `make book`."); }
    const file = (kind, text, i) => new File([bytesOf(text)], `${kind}-${i + 1}.jpg`, { type: "image/jpeg" });
    const sets = globalThis.bookLabPhotos, kinds = sets.filter((set) => set.learn.length);
    const open = this.classes.every((c) => !c.rows.length);
    if (!open) return;
    kinds.forEach((set, i) => { this.classes[i].field.value = this.classes[i].name = set.name; this.rename(this.classes[i]); });
    const asks = sets.flatMap((set) => set.ask.map((text, i) => ({ set, file: file(`${set.name}-new`, text, i) })));
    asks.sort((a, b) => fingerprint(new TextEncoder().encode(a.file.name)) - fingerprint(new TextEncoder().encode(b.file.name))); // mixed
    const urls = asks.map((ask) => URL.createObjectURL(ask.file));
    this.tray.replaceChildren(make("p", { class: "small" }, "Ask about one of ours, which it has not learnt from. Two of them are neither:"),
      make("div", { class: "thumbs" }, asks.map(({ file: photo, set }, i) => make("button", { type: "button", "aria-label": `Ask about photo ${i + 1}, a ${set.name}`, onclick: () => this.ask(photo) },
        make("img", { src: urls[i], alt: "", width: KEPT, height: KEPT })))));
    await Promise.all(kinds.map((set, i) => this.add(this.classes[i], set.learn.map((text, j) => file(set.name, text, j)))));
    if (!this.last) this.ask(asks[0].file);
  }

  // --- The webcam. ---

  async toggleCamera() {
    if (this.stream) return this.closeCamera();
    const worker = this.worker;
    this.say("Asking for the camera …");
    try {
      const stream = await openCamera();
      if (worker !== this.worker) return stream.getTracks().forEach((track) => track.stop());
      this.stream = stream;
    } catch (error) {
      return this.say(`No camera: ${error.message || error.name}. Photos work as well: drop, paste or choose them.`);
    }
    this.cameraButton.setAttribute("aria-pressed", "true");
    await Promise.all(this.classes.map((c) => this.showStream(c)));
    this.say("Point the camera at the first thing and hold its button.");
    this.watch();
  }

  showStream(c) {
    c.camera.hidden = !this.stream;
    c.video.srcObject = this.stream;
    return this.stream && c.video.play().catch(() => {});
  }

  closeCamera() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = this.recording = null;
    this.cameraButton?.setAttribute("aria-pressed", "false");
    for (const c of this.classes || []) this.showStream(c);
  }

  /** Answer frame after frame, as fast as the network is; hidden pages rest. */
  async watch() {
    const stream = this.stream;
    for (this.frames = 0; this.stream === stream && this.worker;) {
      await new Promise((ok) => requestAnimationFrame(ok));
      if (this.recording || this.adding || !this.fitted) { await new Promise((ok) => setTimeout(ok, 50)); continue; }
      const video = this.classes[0]?.video;
      if (!video?.videoWidth) continue;
      if (await this.ask(await frameOf(video), true)) this.frames++;
    }
  }

  /** Take photos of a class as long as its button is held, six a second, at most forty in one go. */
  async record(c) {
    if (this.recording) return;
    this.recording = c;
    for (let taken = 0; taken < 40 && (this.recording === c || !taken); taken++) {
      try { this.add(c, [await shoot(c.video)]); }
      catch (error) { this.say(error.message); break; }
      await new Promise((ok) => setTimeout(ok, 160));
    }
    if (this.recording === c) this.recording = null;
  }

  // --- Freeze or not, and what is taken along. ---

  async compare() {
    const fit = this.fitted, worker = this.worker;
    if (!fit?.left) return this.versusResult.replaceChildren(make("p", {}, "Show it two photos or more of each class first."));
    this.versusButton.disabled = true;
    const tell = (text) => this.versusResult.replaceChildren(make("p", {}, text));
    try {
      tell("Making an untrained network …");
      const spread = [0, 1, 2, 3].map((q) => fit.rows[Math.floor((q * (fit.rows.length - 1)) / 3)].file);
      await worker.ask("untrain", { photos: spread });
      const rows = [];
      for (const { file } of fit.rows) {
        tell(`It looks at photo ${rows.length + 1} of ${fit.rows.length} …`);
        rows.push((await worker.ask("seeUntrained", { photo: file })).features);
      }
      const like = fit.rows.map((row) => row.features);
      const { right } = await worker.ask("judge", { rows, labels: fit.labels, classes: fit.used.length, like });
      if (worker !== this.worker || fit !== this.fitted) return;
      const count = rows.length, bar = (name, n) => {
        const [low, high] = wilson(n, count);
        return make("div", { class: "answer", style: `--p:${n / count};--mine:var(--c0);--fill:var(--f0)` }, make("span", {}, `${name} (${low} to ${high}\u00a0% on new photos)`), make("b", {}, `${n} of ${count}`));
      };
      this.untrained = right;
      this.versusResult.replaceChildren(make("div", { class: "bars" }, bar("Pretrained, frozen", fit.right), bar("Untrained, frozen", right)),
        make("p", {}, fit.right > right
          ? `Both heads learnt from the same ${photos(count)}. The difference came with the weights: edges, textures and shapes that a million other photos had taught.`
          : "No difference here: your classes can be told apart by something simple, such as colour or background. Try two things that are more alike."),
        make("p", { class: "small" }, "Judged as above, each photo left out in turn. The random weights are He’s, from a fixed seed; BatchNorm is folded with the statistics of four of your photos, as in the first step of a training; the features are scaled to the same spread as the pretrained ones. See ",
          make("a", { href: "five_steps.html" }, "The five steps"), " for what to freeze."));
    } catch (error) { if (worker === this.worker) tell(`That did not work: ${error.message}`); }
    finally { this.versusButton.disabled = false; }
  }

  drawTake() {
    const need = (act) => async () => {
      if (!this.fitted) return this.say("Train it first: two classes with photos.");
      try { await act(this.fitted); } catch (error) { this.say(`That did not work: ${error.message}`); }
    };
    const button = (text, act) => make("button", { type: "button", onclick: need(act) }, text);
    return make("div", {},
      make("p", {}, "The head is yours: put it onto torchvision’s MobileNetV2 and it gives the same answers in Python. Or take the photos, in a folder for each class, and train more than the head."),
      make("div", { class: "start" },
        button("The head (JSON)", ({ used, w }) => save(new Blob([headJson(used.map((c) => c.name), w)], { type: "application/json" }), "my-classifier.json")),
        button("The Python program", () => save(new Blob([this.program], { type: "text/x-python" }), "classify.py")),
        button("The photos (zip)", async () => save(await zipOf(photoFolders(this.classes.filter((c) => c.rows.length).map((c) => ({ name: c.name, photos: c.rows.map((row) => row.file) })))), "photos.zip"))),
      make("pre", { tabindex: "0", "aria-label": "Commands" }, "python classify.py PHOTO.jpg\ntutorial-utils finetune photos --out run"),
      make("p", { class: "small" }, make("a", { href: "own_photos.html" }, "Your own photos"), " says what the second command does."));
  }
}

/** The picture beside the welcome: what the reader will see, drawn by the page itself. */
function still(lab) {
  const image = lab.querySelector("svg, img");
  return image ? image.cloneNode(true) : "";
}

// The look inside: from the photo to the answer in six steps, each with its chapter.

const number = (v, digits = 2) => v.toFixed(digits).replace("-", "−");

/** The steps: a title, the chapter that explains it, and a function that draws it for what was seen. */
const STEPS = [
  {
    title: "What the network gets", chapter: ["pretraining", "What pretraining gives: preprocessing"],
    draw: ({ seen }) => [
      make("p", {}, "The middle of the photo, 224 × 224 pixels: 150,528 numbers, three for each pixel. What lies outside is never seen."),
      make("div", { class: "row" }, picture(seen.crop, 224, 224, "The photo’s middle, as the network gets it")),
    ],
  },
  {
    title: "Feature maps: what its layers find", chapter: ["convolution", "Convolution"],
    draw: ({ seen }) => [
      make("p", {}, "52 layers look for patterns, each in what the one before has found. Here are six channels of five stages, the ones that vary most. Bright: found here. The maps get smaller, and what they stand for gets larger: first edges, in the end parts of things."),
      seen.stages.map(({ side, channels, shown }) => make("div", { class: "stage" },
        make("span", {}, `${side} × ${side}, ${channels.toLocaleString("en")} channels`),
        make("div", { class: "maps" }, shown.map(({ channel, levels }) =>
          picture(levels, side, side, `Channel ${channel} of ${channels}, ${side} × ${side}`))))),
    ],
  },
  {
    title: "1,280 features: the photo in one row of numbers", chapter: ["pooling", "Pooling"],
    draw: ({ seen }) => {
      const top = seen.features.reduce((a, b) => Math.max(a, b));
      const levels = Uint8ClampedArray.from(seen.features, (v) => 255 * Math.sqrt(v / top));
      const zeros = seen.features.filter((v) => v < 0.01).length;
      return [
        make("p", {}, `The last stage has 1,280 maps of 7 × 7 places. The mean of each is one feature. Together they say what is in the photo, and no longer where. Of these, ${zeros} are almost 0: their pattern is not in your photo.`),
        picture(levels, 128, 10, "1,280 features as a strip of ten rows; bright is large"),
      ];
    },
  },
  {
    title: "The head: what it learnt from your photos", chapter: ["five_steps", "The five steps"], head: true,
    draw: ({ seen, head, names }) => {
      const width = 1281, largest = head.w.reduce((a, v, i) => (i % width < 1280 ? Math.max(a, Math.abs(v)) : a), 1e-9);
      return [
        make("p", {}, `This is all that was trained: for each class one weight per feature and one bias, ${(names.length * 1281).toLocaleString("en")} numbers. The 2.2 million before them stay as ImageNet’s photos left them. Orange speaks for the class, blue against it.`),
        names.map((name, c) => make("div", { class: "stage" }, make("span", {}, name),
          signed(head.w.subarray(c * width, c * width + 1280), 128, 10, `The 1,280 weights of ${name}`, largest))),
        make("p", {}, "A class’s score is its weights times the features, added up, plus its bias:"),
        make("p", { class: "sum" }, names.map((name, c) => {
          const bias = head.w[c * width + 1280];
          return make("span", {}, `${name}: ${number(head.z[c] - bias)} ${bias < 0 ? "−" : "+"} ${number(Math.abs(bias))} = `, make("b", {}, number(head.z[c])));
        })),
      ];
    },
  },
  {
    title: "Softmax: from scores to probabilities", chapter: ["softmax", "Fully connected layers and softmax"], head: true,
    draw: ({ head, names }) => {
      const e = Array.from(head.z, Math.exp), sum = e.reduce((a, b) => a + b);
      const large = (v) => (v < 1e5 && v >= 0.01 ? number(v) : v.toExponential(1));
      const cells = (tag, ...texts) => make("tr", {}, texts.map((t) => make(tag, {}, t)));
      return [
        make("p", {}, "e to the power of each score makes it positive; divided by their sum, they add up to 1. Note what this means: the probabilities share out 100 % among your classes, whatever the photo shows."),
        make("div", { class: "scroll" }, make("table", {}, make("thead", {}, cells("th", "class", "score z", "e^z", "share")),
          make("tbody", {}, names.map((name, c) => cells("td", name, number(head.z[c]), large(e[c]), percent(e[c] / sum)))))),
      ];
    },
  },
  {
    title: "Where the answer came from", chapter: ["attention_maps", "What does it look at?"], head: true,
    draw: ({ seen, head, names }) => {
      const best = head.p.indexOf(Math.max(...head.p)), places = classMap(seen.map, head.w, names.length, best);
      const mean = head.z.reduce((a, b) => a + b) / names.length;
      return [
        make("p", {}, `The features are means over 7 × 7 places, so the score can be taken apart again, place by place. Orange places speak for “${names[best]}”, blue ones against it. This is exact for this network: the mean of the 49 numbers is ${number(places.reduce((a, b) => a + b) / 49)}, and the score less the mean score is ${number(head.z[best] - mean)}.`),
        make("div", { class: "row" }, overlay(seen.crop, places, `The photo; coloured where it speaks for or against ${names[best]}`)),
      ];
    },
  },
];

/** A crop with a map of 7 x 7 places over it. */
function overlay(crop, places, label) {
  const map = signed(places, 7, 7, "");
  map.removeAttribute("role");
  map.removeAttribute("aria-label");
  return make("div", { class: "over" }, picture(crop, 224, 224, label), map);
}

/** The element with all steps; show(what) draws the open ones; open() tells whether any is. */
function lookInside(ask) {
  let current = null;
  const parts = STEPS.map((step, i) => {
    const body = make("div", { class: "step" });
    const details = make("details", { ontoggle: () => { draw(); if (details.open && current && !current.seen.stages.length) ask(); } },
      make("summary", {}, make("b", {}, `${i + 1}`), ` ${step.title}`), body);
    const link = make("p", {}, make("a", { href: `${step.chapter[0]}.html` }, `Chapter: ${step.chapter[1]}`));
    const draw = () => {
      if (!details.open) return;
      const wait = !current ? "Ask about a photo first." : !current.seen.stages.length ? "Looking …" : step.head && !current.head ? "Train it first: two classes with photos." : "";
      body.replaceChildren(...(wait ? [make("p", {}, wait)] : step.draw(current).flat(Infinity)), link);
    };
    return { details, draw };
  });
  return {
    element: make("div", { class: "inside" }, parts.map(({ details }) => details)),
    show: (what) => { current = what; parts.forEach(({ draw }) => draw()); },
    open: () => parts.some(({ details }) => details.open),
  };
}

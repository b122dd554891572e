// The webcam: one stream, shown in every class's card; frames become photos while a button is held.

/** Browsers give a camera to pages on https, on localhost and, mostly, from a folder. */
async function openCamera() {
  if (!navigator.mediaDevices) throw new Error("this browser gives no camera to a page opened in this way");
  const size = { width: { ideal: 640 }, height: { ideal: 480 } };
  // On a phone the camera that looks away from the reader: at the things on the desk.
  return navigator.mediaDevices.getUserMedia({ video: { ...size, facingMode: { ideal: "environment" } } });
}

/**
 * The video's present picture (an ImageData). Chromium keeps each picture that is drawn from a video,
 * a megabyte, until the page is left; so they are copied where the browser can do that.
 */
async function frameOf(video) {
  const { videoWidth: width, videoHeight: height } = video;
  try {
    const frame = new VideoFrame(video), format = { format: "RGBA" }, data = new Uint8ClampedArray(4 * width * height);
    try {
      const { visibleRect: shown, rotation } = frame;
      if (rotation || shown.width !== width || frame.allocationSize(format) !== data.length) throw new Error("turned, or no RGBA");
      await frame.copyTo(data, format);
    } finally { frame.close(); }
    return new ImageData(data, width, height);
  } catch {
    const context = make("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0);
    return context.getImageData(0, 0, width, height);
  }
}

/** One frame as a photo file, so that it can be kept, shown and taken along like any other. */
async function shoot(video) {
  // A button may be held before the camera has sent its first picture.
  if (!video.videoWidth) await new Promise((ok) => video.addEventListener("loadedmetadata", ok, { once: true }));
  const { data, width, height } = await frameOf(video);
  const blob = await new Promise((ok) => picture(data, width, height, "").toBlob(ok, "image/jpeg", 0.92));
  if (!blob) throw new Error("the camera gave no picture");
  return new File([blob], "webcam.jpg", { type: "image/jpeg" });
}

/**
 * A button that works as long as it is held, by finger, mouse or key; a plain click (as a screen
 * reader makes it) counts as one short hold. start() and stop() are called in turn.
 */
function holdButton(text, start, stop) {
  let held = false;
  const begin = (event) => {
    if (held || event.repeat || (event.type === "keydown" && event.key !== " " && event.key !== "Enter")) return;
    event.preventDefault();
    held = true;
    if (event.pointerId !== undefined) button.setPointerCapture(event.pointerId);
    button.focus();
    button.classList.add("held");
    start();
  };
  const end = () => {
    if (!held) return;
    held = false;
    button.classList.remove("held");
    stop();
  };
  const button = make("button", { type: "button", class: "hold", onpointerdown: begin, onkeydown: begin, onpointerup: end,
    onpointercancel: end, onkeyup: end, onblur: end, oncontextmenu: (event) => event.preventDefault(),
    onclick: (event) => { if (event.detail === 0 && !held) { start(); stop(); } } }, text);
  return button;
}

// Sends the current drawing or picture to the server and shows the prediction.
"use strict";

const SENT_SIDE = 280;          // side of the drawing sent to the server, in pixels
const PICTURE_SIDE = 1024;      // longest side of a picture sent to the server, in pixels
const PEN = 0.12;               // stroke width, relative to the drawing's longer side
const THINNEST = 0.02;          // smallest stroke width, relative to the canvas
const THICKEST = 0.1;           // largest stroke width, relative to the canvas
const POLL_MILLISECONDS = 2000;
const TIMEOUT_MILLISECONDS = 8000;
const NOTICE_MILLISECONDS = 6000;
const SPEAK_MILLISECONDS = 800;
const STALE_MILLISECONDS = 300; // time without a newer result until the result is marked
const MAX_BARS = 10;            // with more classes, only the most probable are shown

const element = (id) => document.getElementById(id);
const canvas = element("canvas");
const percent = (share) => `${(100 * share).toFixed(1)}%`;

let strokes = [];               // lists of points [x, y], relative to the canvas's side
let picture = null;             // an ImageBitmap, shown instead of strokes
let stroke = null;              // the stroke in progress
let revision = 0;               // number of the current drawing or picture
let oldest = 0;                 // results for earlier revisions are ignored
let facts = null;               // about the data: {noun, class_names, …}
let model = null;               // the live model: {version, accuracy, …}; null if there is none

const isEmpty = () => !picture && !strokes.length;

// Drawing

// Proportional to the drawing, so that small loops stay open.
function penWidth() {
  const points = strokes.flat();
  const length = (axis) => {
    const [low, high] = points.reduce(
      ([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])], [1, 0]);
    return high - low;
  };
  return Math.min(Math.max(PEN * Math.max(length(0), length(1)), THINNEST), THICKEST);
}

function paint(context, side, color) {
  context.lineWidth = penWidth() * side;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = color;
  for (const points of strokes) {
    const at = (index) => points[Math.min(index, points.length - 1)].map((share) => share * side);
    context.beginPath();
    context.moveTo(...at(0));
    for (let index = 1; index < points.length; index++) {
      const [x, y] = at(index), [nextX, nextY] = at(index + 1);
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    const [x, y] = at(points.length - 1);
    context.lineTo(x + 0.01, y);  // A line of length 0 would draw nothing.
    context.stroke();
  }
}

function show() {
  const side = Math.round(canvas.clientWidth * devicePixelRatio);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, side, side);
  if (picture) {
    const scale = side / Math.max(picture.width, picture.height);
    const width = picture.width * scale, height = picture.height * scale;
    context.drawImage(picture, (side - width) / 2, (side - height) / 2, width, height);
  }
  paint(context, side, getComputedStyle(canvas).color);
  element("hint").hidden = !isEmpty();
  element("clear").disabled = element("undo").disabled = isEmpty();
}

function changed() {
  requestAnimationFrame(show);
  if (isEmpty()) showNothing();
  else classify();
}

function replace(newStrokes, newPicture = null) {
  strokes = newStrokes;
  picture = newPicture;
  stroke = null;
  oldest = revision + 1;
  changed();
}

function clear() {
  replace([]);
  canvas.focus();  // The button that had the focus is now disabled.
}

function undo() {
  if (picture || strokes.length < 2) return clear();
  strokes.pop();
  stroke = null;
  changed();
}

function addPoints(event) {
  const box = canvas.getBoundingClientRect();
  const coalesced = event.getCoalescedEvents?.() ?? [];
  for (const { clientX, clientY } of coalesced.length ? coalesced : [event]) {
    stroke.push([(clientX - box.left) / box.width, (clientY - box.top) / box.height]);
  }
  changed();
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary || !canDraw()) return;
  canvas.setPointerCapture(event.pointerId);
  picture = null;
  stroke = [];
  strokes.push(stroke);
  addPoints(event);
});
canvas.addEventListener("pointermove", (event) => {
  if (stroke && event.isPrimary) addPoints(event);
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, (event) => {
    if (!stroke || !event.isPrimary) return;
    stroke = null;
    changed();
  });
}
canvas.addEventListener("click", () => {
  if (facts && !canDraw()) element("file").click();
});
element("clear").addEventListener("click", clear);
element("undo").addEventListener("click", undo);
addEventListener("keydown", (event) => {
  if (event.key === "Escape") clear();
  if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    undo();
  }
});
new ResizeObserver(show).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);

// Examples and pictures

const examples = document.querySelectorAll("#examples button");

for (const example of examples) {
  const lines = [...example.querySelectorAll("polyline")];
  example.addEventListener("click", () => {
    replace(lines.map(({ points }) => [...points].map(({ x, y }) => [x / 100, y / 100])));
  });
}

function showExamples() {
  for (const example of examples) {
    const { noun, class: name } = example.dataset;
    example.hidden = !canDraw() || noun !== facts.noun || !facts.class_names.includes(name);
  }
  element("examples").hidden = [...examples].every((example) => example.hidden);
}

async function openPicture(file) {
  if (!file) return;
  try {
    replace([], await createImageBitmap(file));
  } catch {
    notify("The browser can't open this file as a picture.");
  }
}

element("file").addEventListener("change", (event) => {
  openPicture(event.target.files[0]);
  event.target.value = "";
});
addEventListener("paste", (event) => openPicture(event.clipboardData.files[0]));
for (const [name, inside] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    document.querySelector(".paper").classList.toggle("dragged", inside);
    if (name === "drop") openPicture(event.dataTransfer.files[0]);
  });
}

function encode() {
  const sent = document.createElement("canvas");
  const context = sent.getContext("2d");
  if (picture) {
    const scale = Math.min(1, PICTURE_SIDE / Math.max(picture.width, picture.height));
    sent.width = Math.max(1, Math.round(picture.width * scale));
    sent.height = Math.max(1, Math.round(picture.height * scale));
    context.drawImage(picture, 0, 0, sent.width, sent.height);
  } else {
    sent.width = sent.height = SENT_SIDE;
    context.fillRect(0, 0, SENT_SIDE, SENT_SIDE);
    paint(context, SENT_SIDE, "white");
  }
  return new Promise((resolve) => sent.toBlob(resolve, "image/png"));
}

// Requests: one at a time, until the newest revision is classified

let classifying = false;

async function classify() {
  revision++;
  age();
  if (classifying) return;
  classifying = true;
  try {
    let sent;
    do {
      sent = revision;
      await classifyOnce(sent);
    } while (sent !== revision && !isEmpty());
  } finally {
    classifying = false;
  }
}

async function classifyOnce(sent) {
  const result = await request("api/classify", { method: "POST", body: await encode() });
  if (!result || sent < oldest) return;
  if (result.declined && stroke) return;  // An unfinished drawing is often declined.
  if (result.error) {
    showNothing("not classified");
    if (picture) notify(result.error);
  } else if (model?.version === result.version) {
    showResult(result);
    if (sent !== revision) age();
  } else {
    await updateModel();  // Updates the classes and classifies again with the new model.
  }
}

async function request(path, options) {
  try {
    const response = await fetch(path, { ...options, signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS) });
    const result = await response.json();
    if (response.status !== 503) return result;
    setState("waiting", "Waiting for the model …");
    setStale("waiting for the model …");
  } catch {
    setState("gone", "No connection to the server");
    setStale("server unreachable");
    notify("Server unreachable. Trying again …", Infinity);
  }
  model = null;  // Makes `updateModel` classify again once a model is available.
  return null;
}

// The classes

const FACTS = ["title", "noun", "class_names", "image_shape"];

const canDraw = () => facts?.image_shape[2] === 1;

function showFacts(described) {
  facts = described;
  const drawable = canDraw();
  const thing = facts.noun === "class" ? "picture" : facts.noun;
  const draw = `Draw ${/^[aeiou]/i.test(thing) ? "an" : "a"} ${thing}`;
  const [height, width] = facts.image_shape;
  element("heading").textContent = drawable ? draw : "Open a picture";
  document.title = `${element("heading").textContent} · ${facts.title}`;
  element("hint").textContent = drawable ? `${draw} here` : "Open, paste or drop a picture";
  canvas.setAttribute("aria-label", drawable ? `${draw} here with mouse, finger or pen` : "The picture");
  canvas.classList.toggle("drawable", drawable);
  element("undo").hidden = !drawable;
  element("seen").alt = `The picture in ${width} by ${height} pixels`;
  element("bars").setAttribute("aria-label", `Probability of each ${facts.noun}`);
  makeBars(facts.class_names);
  showExamples();
  if (!drawable) strokes = [];
  showNothing();
  show();
}

// Results

function makeBars(names) {
  const longest = Math.max(...names.map((name) => name.length));
  element("bars").style.setProperty("--longest", longest);
  element("result").classList.toggle("short", longest <= 2);
  const bar = element("bar").content;
  element("bars").replaceChildren(...names.slice(0, MAX_BARS).map(() => bar.cloneNode(true)));
}

// Sorts only if there are more classes than bars, so that the bars of few classes keep their places.
function showBars(probabilities) {
  const labels = [...probabilities.keys()];
  if (labels.length > MAX_BARS) labels.sort((one, other) => probabilities[other] - probabilities[one]);
  const best = Math.max(...probabilities);
  [...element("bars").children].forEach((bar, index) => {
    const [name, track, value] = bar.children;
    const label = labels[index], share = probabilities[label];
    bar.className = share === best && share > 0 ? "best" : "";
    name.textContent = name.title = facts.class_names[label];
    track.style.setProperty("--share", share);
    value.textContent = best > 0 ? percent(share) : "";
  });
}

function showText(text, label, note) {
  element("class").textContent = text;
  element("class").dataset.label = label;
  element("class").style.setProperty("--length", text.length);
  element("note").textContent = note;
  setStale("");
}

function showResult({ label, class_name, probabilities, image, declined }) {
  element("seen").src = image;
  element("seen").hidden = false;
  element("unseen").hidden = true;
  element("result").classList.toggle("declined", Boolean(declined));
  showBars(probabilities);
  if (declined) {
    const text = `Not a clear ${facts.noun}: ${declined}`;
    showText(text, label, "probabilities are unreliable");
    speak(text);
  } else {
    const confidence = percent(probabilities[label]);
    showText(class_name, label, `${confidence} confidence`);
    speak(`${class_name}, ${confidence}`);
  }
}

function showNothing(note = canDraw() ? "nothing drawn yet" : "no picture yet") {
  showText("–", "", note);
  element("result").classList.remove("declined");
  element("seen").hidden = true;
  element("unseen").hidden = false;
  if (facts) showBars(Array(facts.class_names.length).fill(0));
  speak("");
}

let aging = null;

function age() {
  aging ??= setTimeout(setStale, STALE_MILLISECONDS, "classifying …");
}

// Shows why the result is outdated; "" removes the mark.
function setStale(reason) {
  clearTimeout(aging);
  aging = null;
  const outdated = element("class").dataset.label ? "Outdated: " : "";
  const text = reason && `${outdated}${reason}`;
  element("result").classList.toggle("stale", Boolean(text));
  if (element("stale").textContent === text) return;
  element("stale").textContent = text;
  speak(text);
}

let speaking;

function speak(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => { element("spoken").textContent = text; }, SPEAK_MILLISECONDS);
}

// The server's state

let noticed;

function notify(text, milliseconds = NOTICE_MILLISECONDS) {
  if (element("notice").textContent !== text) element("notice").textContent = text;
  clearTimeout(noticed);
  if (milliseconds < Infinity) noticed = setTimeout(notify, milliseconds, "");
}

function setState(kind, text) {
  if (document.body.dataset.state === "gone" && kind !== "gone") notify("");
  element("dot").className = kind;
  element("model").textContent = text;
  document.body.dataset.state = kind;
}

function showModel(described) {
  const before = model;
  if (FACTS.some((name) => JSON.stringify(described[name]) !== JSON.stringify(facts?.[name]))) {
    showFacts(described);
  }
  if (described.version === null) {
    model = null;
    setState("waiting", described.loading
      ? "Loading the model …" : "Waiting for a model. Push one with “make run”.");
    return;
  }
  model = described;
  const parts = [model.title, `model version ${model.version}`];
  if (model.accuracy !== null) parts.push(`${(100 * model.accuracy).toFixed(2)}% accuracy on test images`);
  if (model.created) parts.push(`pushed ${new Date(model.created).toLocaleDateString([], { dateStyle: "medium" })}`);
  setState("ready", parts.join(" · "));
  if (before && before.version !== model.version) {
    notify(`Model version ${model.version} is now live.`);
  }
  if (before?.version !== model.version) changed();
}

async function updateModel() {
  const described = await request("api/model");
  if (described) showModel(described);
}

async function poll() {
  if (!document.hidden) await updateModel();
  setTimeout(poll, POLL_MILLISECONDS);
}

show();
showNothing();
poll();

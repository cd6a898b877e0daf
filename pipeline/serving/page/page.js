// The page: sends a drawing, as it grows, or a picture to the server, and shows the predictions.
"use strict";

const SENT_SIDE = 280;          // pixels of the drawing that is sent
const PICTURE_SIDE = 1024;      // longest side of a picture that is sent
const PEN = 0.075;              // width of the pen, as a share of the side
const POLL_MILLISECONDS = 2000;
const TIMEOUT_MILLISECONDS = 8000;
const NOTICE_MILLISECONDS = 6000;
const SPEAK_MILLISECONDS = 800;
const MOST_BARS = 10;           // of more classes, the likeliest are shown

const element = (id) => document.getElementById(id);
const canvas = element("canvas");
const percent = (share) => `${(100 * share).toFixed(1)}%`;

let strokes = [];               // lists of points [x, y], as shares of the side
let picture = null;             // an ImageBitmap, instead of strokes
let stroke = null;              // the one that is being drawn
let generation = 0;             // grows when the drawing or picture is removed
let facts = null;               // about the classes and pictures: {noun, class_names, …}
let model = null;               // the live model: {version, accuracy, …}; null if there is none

// Drawing

function paint(context, side, color) {
  context.lineWidth = PEN * side;
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
    context.lineTo(x + 0.01, y);  // A line of no length would leave no dot.
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
  const empty = !picture && !strokes.length;
  element("hint").hidden = !empty;
  element("clear").disabled = element("undo").disabled = empty;
}

function changed() {
  requestAnimationFrame(show);
  if (picture || strokes.length) ask();
  else forget();
}

function clear() {
  strokes = [];
  picture = stroke = null;
  changed();
}

function undo() {
  if (picture) picture = null;
  else strokes.pop();
  stroke = null;
  changed();
}

function addPoints(event) {
  const box = canvas.getBoundingClientRect();
  const coalesced = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
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
    if (event.isPrimary) stroke = null;
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

// Pictures

async function openPicture(file) {
  if (!file) return;
  try {
    const opened = await createImageBitmap(file);
    strokes = [];
    stroke = null;
    picture = opened;
    changed();
  } catch {
    notify("This file is not a picture that the browser can open.");
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

// Requests: one at a time, and the newest drawing always last

let asking = false;
let outdated = false;

async function ask() {
  outdated = true;
  if (asking) return;
  asking = true;
  try {
    while (outdated) {
      outdated = false;
      await askOnce();
    }
  } finally {
    asking = false;
  }
}

async function askOnce() {
  const asked = generation;
  const body = await encode();
  const answer = await request("api/classify", { method: "POST", body });
  if (asked !== generation || !answer) return;
  if (answer.error) {
    showNothing();
    if (picture) notify(answer.error);
  } else if (model && model.version === answer.version) {
    showAnswer(answer);
  } else {
    await look(); // The model has changed, and perhaps the classes: this classifies again.
  }
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS) });
    const answer = await response.json();
    if (response.status === 503) {
      model = null; // The next look finds it, and classifies again.
      setState("waiting", "Waiting for the model …");
      return null;
    }
    return answer;
  } catch {
    model = null;
    setState("gone", "No connection to the server");
    notify("Server unreachable. Trying again …", Infinity);
    return null;
  }
}

// The classes

const FACTS = ["title", "noun", "class_names", "image_shape"];

const canDraw = () => facts && facts.image_shape[2] === 1;

function showFacts(answer) {
  facts = answer;
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
  if (!drawable) strokes = [];
  showNothing();
  show();
}

// Predictions

let bars = [];

function makeBars(names) {
  const longest = Math.max(...names.map((name) => name.length));
  element("bars").style.setProperty("--longest", longest);
  document.querySelector(".answer").classList.toggle("short", longest <= 2);
  bars = names.slice(0, MOST_BARS).map(() => {
    const item = document.createElement("li");
    const [name, track, value] = ["name", "track", "value"].map((kind) => {
      const part = document.createElement("span");
      part.className = kind;
      item.append(part);
      return part;
    });
    const bar = document.createElement("span");
    track.append(bar);
    return { item, name, bar, value };
  });
  element("bars").replaceChildren(...bars.map(({ item }) => item));
}

// Ranked only if there are more classes than bars, so that the bars of a few stay in place.
function showBars(probabilities) {
  const labels = [...probabilities.keys()];
  if (labels.length > MOST_BARS) labels.sort((one, other) => probabilities[other] - probabilities[one]);
  const best = Math.max(...probabilities);
  bars.forEach(({ item, name, bar, value }, index) => {
    const label = labels[index], share = probabilities[label];
    item.className = share === best && share > 0 ? "best" : "";
    name.textContent = name.title = facts.class_names[label];
    bar.style.setProperty("--share", share);
    value.textContent = best > 0 ? percent(share) : "";
  });
}

function showClass(name, label, note) {
  element("class").textContent = name;
  element("class").dataset.label = label;
  element("class").style.setProperty("--length", name.length);
  element("confidence").textContent = note;
}

function showAnswer({ label, class_name, probabilities, image }) {
  const confidence = percent(probabilities[label]);
  showClass(class_name, label, `${confidence} confidence`);
  element("seen").src = image;
  element("seen").hidden = false;
  element("unseen").hidden = true;
  showBars(probabilities);
  speak(`${class_name}, ${confidence}`);
}

function showNothing() {
  showClass("–", "", canDraw() ? "nothing drawn yet" : "no picture yet");
  element("seen").hidden = true;
  element("unseen").hidden = false;
  if (facts) showBars(Array(facts.class_names.length).fill(0));
  speak("");
}

function forget() {
  generation++;
  outdated = false;
  showNothing();
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
  element("notice").hidden = !text;
  clearTimeout(noticed);
  if (milliseconds < Infinity) noticed = setTimeout(notify, milliseconds, "");
}

function setState(kind, text) {
  if (document.body.dataset.state === "gone" && kind !== "gone") notify("");
  element("dot").className = kind;
  element("model").textContent = text;
  document.body.dataset.state = kind;
}

function showModel(answer) {
  const before = model;
  if (!facts || FACTS.some((name) => JSON.stringify(answer[name]) !== JSON.stringify(facts[name]))) showFacts(answer);
  if (answer.version === null) {
    model = null;
    setState("waiting", answer.loading
      ? "Loading the model …" : "Waiting for a model: push one with “make run”.");
    return;
  }
  model = answer;
  const parts = [model.title, `model version ${model.version}`];
  if (model.accuracy !== null) parts.push(`${(100 * model.accuracy).toFixed(2)}% accuracy on test images`);
  if (model.created) parts.push(`pushed ${new Date(model.created).toLocaleDateString([], { dateStyle: "medium" })}`);
  setState("ready", parts.join(" · "));
  element("model").dataset.version = model.version;
  if (before && before.version !== model.version) {
    notify(`The model has changed: version ${model.version} is live now.`);
  }
  if ((!before || before.version !== model.version) && (picture || strokes.length)) ask();
}

async function look() {
  const answer = await request("api/model");
  if (answer) showModel(answer);
}

async function keepLooking() {
  if (!document.hidden) await look();
  setTimeout(keepLooking, POLL_MILLISECONDS);
}

show();
keepLooking();

// The page of the playground. It shows the frames that the server sends, and sends what the user
// chooses. All settings are in the address after "#", so a link describes a whole experiment.
"use strict";

const $ = (id) => document.getElementById(id);
const form = $("settings").elements;
const COLOURS = ["#e08214", "#2b7bba", "#009e73", "#cc79a7", "#e6d800", "#5b3fb0"];
const WORK = { settings: "Building the network …", start: "Computing …", step: "Computing …", epoch: "Computing …" };
const KINDS = { float32: Float32Array, int8: Int8Array, uint8: Uint8Array };

let known = null; // what the server has sent about the settings
let settings = {}; // the values of all settings
let run = 0; // the number of this training run, because frames of an earlier run may still arrive
let data = null; // the data of this training run
let frame = null; // the newest frame
let rows = []; // [epoch, loss, test loss, test accuracy] for each epoch
let running = false;
let units = []; // the units of the network, each with its place on the canvas
let selected = null; // the unit whose picture is enlarged
let drawnClass = 0; // the class of the next point that the user draws
let cursor = null; // the place of the next point, if the user moves it with the keyboard
let pixels = null; // the image that the network reads
let waiting = null; // the timer of the text that says what the server does
let drawingIsPlanned = false;
let frameIsNew = false;
let imageIsNew = false;
let stepsSpoken = 0; // screen readers have been told the result after this number of steps
let pointsAreNew = true; // the points stand on a canvas of their own, because they seldom change

// ---------------------------------------------------------------- connection

const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const socket = new WebSocket(`${scheme}//${location.host}/training`);
socket.binaryType = "arraybuffer";
const CONTROLS = "fieldset, #reset, #speed, #network-part button, #output-part button";

function send(command, value = null, more = {}) {
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ do: command, value, ...more }));
  if (command in WORK) waitFor(WORK[command]);
}

/** Return a message with its arrays: the bytes are the size of the JSON, the JSON and the arrays. */
function unpack(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const message = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  let start = 4 + size;
  for (const name of message.arrays) {
    const [kind, length] = message[name];
    const end = start + length * KINDS[kind].BYTES_PER_ELEMENT;
    message[name] = new KINDS[kind](buffer.slice(start, end));
    start = end;
  }
  return message;
}

socket.addEventListener("message", (event) => {
  const message = unpack(event.data);
  if (message.run === undefined || message.run === run) handlers[message.kind](message);
});
socket.addEventListener("close", (event) => {
  setRunning(false);
  setReady(false);
  for (const control of document.querySelectorAll(CONTROLS)) control.disabled = true;
  show(`The connection is closed${event.reason ? `: ${event.reason}` : ""}. Reload the page to start again.`);
});

const handlers = {
  welcome(message) {
    known = message;
    buildForm();
    readAddress();
  },
  start(message) {
    data = message;
    pointsAreNew = true;
    $("code").textContent = message.code;
    setReady(true);
    if (source().side) buildImages();
    planDrawing();
  },
  frame(message) {
    frame = message;
    frameIsNew = true;
    waitFor("");
    rows.push(...message.rows);
    if (message.status !== "running") {
      setRunning(false);
      speakResult(message.status);
    }
    if (message.status === "finished") {
      setReady(false);
      show(`All ${settings.epochs} epochs are done. Press Reset to start again.`);
    }
    planDrawing();
  },
  stopped(message) {
    setRunning(false);
    setReady(false);
    show(`Training ended: ${message.text}`);
  },
  refused(message) {
    if (!data) send("pause"); // the server still has the last training run
    waitFor("");
    show(message.text);
  },
};

function show(text) {
  $("message").textContent = text;
  $("message").hidden = !text;
}

function setRunning(now) {
  running = now;
  $("start").textContent = now ? "Pause" : "Start";
}

/** Say what the server does, if it takes longer than half a second. */
function waitFor(text) {
  clearTimeout(waiting);
  $("waiting").textContent = "";
  if (text) waiting = setTimeout(() => ($("waiting").textContent = text), 500);
}

/** Enable the buttons that train if there is something to train. */
function setReady(ready) {
  waitFor("");
  for (const name of ["start", "step", "epoch"]) $(name).disabled = !ready;
}

/** Tell screen readers the result. */
function speakResult(status) {
  if (frame.steps === stepsSpoken) return;
  stepsSpoken = frame.steps;
  const last = rows.at(-1);
  const accuracy = last && last[3] !== null ? `, test accuracy ${percent(last[3])}` : "";
  speak(`Training ${status} at step ${frame.steps}. ${last ? `Epoch ${last[0]}, test loss ${short(last[2])}${accuracy}.` : ""}`);
}

const speak = (text) => ($("spoken").textContent = text);

// ---------------------------------------------------------------- settings

const source = () => known.sources[settings.data];
const numberOfClasses = () => source().classes ?? settings.classes;

/** Return the losses that fit the data. The first one is the default. */
function losses() {
  const kind = { 0: "regression", 2: "two classes" }[numberOfClasses()] ?? "several classes";
  return known.losses[kind];
}

function buildForm() {
  for (const input of form) {
    const field = known.fields[input.name];
    if (!field) continue;
    for (const choice of field.choices ?? []) if (choice) input.append(new Option(choice));
    if (input.type === "number" || input.type === "range") {
      input.min = field.least;
      input.max = field.most;
    }
    input.addEventListener("input", () => showValue(input));
    input.addEventListener("change", () => {
      const value = field.choices ? input.value : input.valueAsNumber;
      if (fits(field, value)) return change({ [input.name]: value });
      fillForm(); // shows the value that is still used
      show(`${input.labels[0].firstChild.textContent.trim()}: expected a ${field.whole ? "whole " : ""}number from ${field.least} to ${field.most}.`);
    });
  }
}

/** Return whether a value passes the check of its field. */
function fits(field, value) {
  if (field.choices) return field.choices.includes(value);
  if (field.item) return value.length <= field.most && value.every((item) => fits(field.item, item));
  if (field.row) return value.length === field.row.length && value.every((item, i) => fits(field.row[i], item));
  return value >= field.least && value <= field.most && (!field.whole || Number.isInteger(value));
}

/** Show the value of a slider next to its name. */
function showValue(input, value = input.value) {
  const place = input.closest("label").querySelector(".value");
  if (place) place.textContent = value;
}

/** Change some settings, write them to the address and begin a new training run. */
function change(values) {
  Object.assign(settings, values);
  if (!losses().includes(settings.loss) || settings.loss === losses()[0]) settings.loss = "";
  begin();
  writeAddress();
}

/** Send the settings to the server, which builds the model and waits. */
function begin() {
  if (socket.readyState !== WebSocket.OPEN) return;
  settings.points = settings.points.filter((point) => point[2] < settings.classes);
  run += 1;
  data = frame = selected = cursor = null;
  rows = [];
  stepsSpoken = 0;
  pointsAreNew = true;
  showTitle();
  show("");
  setRunning(false);
  setReady(false); // until the server has built the model
  $("code").textContent = "";
  fillForm();
  arrange();
  if (settings.data === "drawn" && settings.points.length < 4) {
    data = ofDrawnPoints();
    send("pause"); // the server still has the last training run
    show("Draw at least four points in the plane: choose a class and click, or use the arrow keys and Enter.");
  } else {
    send("settings", settings, { run });
    send("speed", Number($("speed").value));
  }
  draw();
}

/** Show the settings in the form, and hide the controls that do not matter. */
function fillForm() {
  form.loss.replaceChildren(...losses().map((loss) => new Option(loss)));
  const shown = { ...settings, loss: settings.loss || losses()[0] };
  for (const input of form) {
    if (!(input.name in known.fields)) continue;
    input.value = shown[input.name];
    showValue(input, shown[input.name]);
  }
  const visible = (name, is) => (form[name].closest("label").hidden = !is);
  for (const name of ["samples", "noise"]) visible(name, source().arguments.includes(name));
  visible("classes", source().classes === null);
  visible("momentum", settings.optimizer === "SGD");
  for (const part of document.querySelectorAll(".of-classes")) part.hidden = !numberOfClasses();
  for (const part of document.querySelectorAll(".of-planes")) part.hidden = Boolean(source().side);
  $("plane").hidden = Boolean(source().side);
  $("plane").classList.toggle("flat", source().inputs === 1);
  $("digit").hidden = !source().side;
  const drawn = settings.data === "drawn";
  $("drawing").hidden = !drawn;
  $("surface").classList.toggle("drawn", drawn);
  $("surface").tabIndex = drawn ? 0 : -1;
  $("surface").setAttribute("role", drawn ? "application" : "img"); // an application gets the arrow keys
  buildLayerButtons();
  buildClassButtons();
}

// ---------------------------------------------------------------- address

const LISTS = {
  hidden: [(units) => units.join(","), (text) => text.split(",").filter(Boolean).map(Number)],
  points: [
    (points) => points.map((point) => point.join(",")).join(";"),
    (text) => text.split(";").filter(Boolean).map((point) => point.split(",").map(Number)),
  ],
};

function writeAddress() {
  const write = (name, value) => (LISTS[name] ? LISTS[name][0](value) : String(value));
  const parts = Object.keys(known.fields)
    .map((name) => [name, write(name, settings[name])])
    .filter(([name, text]) => text !== write(name, known.defaults[name]));
  if ($("speed").value !== "100") parts.push(["speed", $("speed").value]);
  history.replaceState(null, "", `#${parts.map((part) => part.join("=")).join("&")}`);
}

/** Take the settings from the address. Nothing is trained before the user presses a button. */
function readAddress() {
  if (!known) return;
  settings = structuredClone(known.defaults);
  $("speed").value = "100";
  const wrong = [];
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    const field = Object.hasOwn(known.fields, name) ? known.fields[name] : null;
    const value = !field ? null : LISTS[name] ? LISTS[name][1](text) : field.choices ? text : Number(text);
    if (name === "speed" && [...$("speed").options].some((option) => option.value === text)) $("speed").value = text;
    else if (field && fits(field, value)) settings[name] = value;
    else wrong.push(`${name}=${text}`);
  }
  if (settings.loss && !losses().includes(settings.loss)) wrong.push(`loss=${settings.loss}`);
  if (!losses().includes(settings.loss)) settings.loss = "";
  begin();
  if (wrong.length) show(`This part of the link does not work here: ${wrong.join(", ").slice(0, 200)}.`);
}
window.addEventListener("hashchange", readAddress);

// ---------------------------------------------------------------- buttons

$("start").addEventListener("click", () => {
  send(running ? "pause" : "start");
  setRunning(!running);
});
$("step").addEventListener("click", () => send("step"));
$("epoch").addEventListener("click", () => {
  send("epoch");
  setRunning(true);
});
$("reset").addEventListener("click", begin);
$("speed").addEventListener("change", () => {
  writeAddress();
  send("speed", Number($("speed").value));
});
$("settings").addEventListener("submit", (event) => event.preventDefault());

/** Let a button copy a text. The button says so for a moment. */
function copies(button, text) {
  const label = button.textContent;
  const say = (result) => {
    button.textContent = result;
    setTimeout(() => (button.textContent = label), 1500);
  };
  button.addEventListener("click", () => navigator.clipboard.writeText(text()).then(() => say("Copied"), () => say("Not allowed")));
}
copies($("copy"), () => $("code").textContent);
copies($("link"), () => location.href);

function makeButton(text, label, press) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
  if (label) button.setAttribute("aria-label", label);
  button.addEventListener("click", press);
  return button;
}

/** Build the buttons that add and remove layers and units. */
function buildLayerButtons() {
  const hidden = settings.hidden;
  const focused = document.activeElement?.getAttribute("aria-label");
  const pair = (less, count, more, what) => {
    const group = document.createElement("span");
    group.className = "controls";
    const [minus, plus] = [
      makeButton("−", `Remove ${what}`, () => change({ hidden: less })),
      makeButton("+", `Add ${what}`, () => change({ hidden: more })),
    ];
    minus.disabled = !fits(known.fields.hidden, less) || hidden.length === 0;
    plus.disabled = !fits(known.fields.hidden, more);
    group.append(minus, count, plus);
    return group;
  };
  const { length } = hidden;
  const parts = [pair(hidden.slice(0, -1), `${length} hidden layer${length === 1 ? "" : "s"}`, [...hidden, hidden.at(-1) ?? 4], "a hidden layer")];
  if (length) parts.push("units:");
  hidden.forEach((width, i) => {
    parts.push(pair(hidden.with(i, width - 1), String(width), hidden.with(i, width + 1), `a unit, layer ${i + 1}`));
  });
  $("layers").replaceChildren(...parts);
  for (const button of $("layers").querySelectorAll("button")) {
    if (button.getAttribute("aria-label") === focused) button.focus();
  }
}

// ---------------------------------------------------------------- canvases and colours

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isExtreme = (x) => x !== 0 && (Math.abs(x) < 0.001 || Math.abs(x) >= 10000);
const short = (x) => (x === null || x === undefined ? "–" : isExtreme(x) ? x.toExponential(1) : x.toFixed(3));
const percent = (x) => (x === null || x === undefined ? "–" : `${(100 * x).toFixed(1)} %`);
const bounded = (x, least, most) => Math.max(least, Math.min(most, x));

/** Return the drawing context of an empty canvas, with as many pixels as the screen shows. */
function cleared(canvas) {
  const scale = Math.min(window.devicePixelRatio || 1, 2);
  const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  return context;
}

/** A canvas off the page, to paint values pixel by pixel. */
class Sheet {
  canvas = document.createElement("canvas");
  context = this.canvas.getContext("2d", { willReadFrequently: true });

  /** Paint `count` pixels in rows of this width. `colourOf` returns the packed colour of pixel `i`. */
  paint(count, width, colourOf) {
    const height = count / width;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
      this.image = new ImageData(width, height);
      this.cells = new Uint32Array(this.image.data.buffer);
    }
    for (let i = 0; i < count; i++) this.cells[i] = colourOf(i);
    this.context.putImageData(this.image, 0, 0);
  }

  /** Draw the square number `i` from the top into a square of another canvas. */
  draw(context, i, x, y, size) {
    const { width } = this.canvas;
    context.drawImage(this.canvas, 0, i * width, width, width, x, y, size, size);
  }
}
const inputSheet = new Sheet();
const unitSheet = new Sheet();
const dotSheet = new Sheet(); // one pixel for each unit after layer 1, if the network reads images
const outputSheet = new Sheet();

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const mix = (colour, share) => theme.back.map((part, i) => part + share * (colour[i] - part));
/** Return a colour as one number, in the order of bytes that an ImageData has on common machines. */
const packed = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
const table = (colourOf) => Uint32Array.from({ length: 256 }, (_, byte) => packed(colourOf(byte)));
const signed = (value) => theme.signed[value & 255];

const theme = {};
function readTheme() {
  for (const name of ["text", "soft", "edge", "plus", "minus"]) theme[name] = css(`--${name}`);
  theme.back = rgb(css("--back"));
  const [plus, minus] = [rgb(theme.plus), rgb(theme.minus)];
  theme.signed = table((byte) => (byte < 128 ? mix(plus, byte / 127) : mix(minus, (256 - byte) / 127)));
  theme.classes = COLOURS.map((hex) => table((byte) => mix(rgb(hex), (0.75 * byte) / 255)));
  theme.grey = table((byte) => [byte, byte, byte]);
  pointsAreNew = true;
  if (known) draw();
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readTheme);
readTheme();

function line(context, points) {
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

/** Draw values from -range to range as a graph in a square. */
function drawGraph(context, values, range, left, top, size, colour = theme.plus) {
  const y = (value) => top + size / 2 - (value / range) * (size / 2 - 2);
  context.save();
  context.beginPath();
  context.rect(left, top, size, size);
  context.clip();
  context.strokeStyle = theme.edge;
  line(context, [[left, y(0)], [left + size, y(0)]]);
  context.strokeStyle = colour;
  context.lineWidth = 2;
  line(context, Array.from(values, (value, i) => [left + (i / (values.length - 1)) * size, y(value)]));
  context.restore();
}

// ---------------------------------------------------------------- drawing

function planDrawing() {
  if (!drawingIsPlanned) requestAnimationFrame(draw);
  drawingIsPlanned = true;
}

/** Draw the newest frame, or an empty network if there is none. */
function draw() {
  drawingIsPlanned = false;
  if (frameIsNew) send("next"); // so that the server can prepare the next frame meanwhile
  if (imageIsNew) send("image", Array.from(pixels, (value) => value / 255));
  frameIsNew = imageIsNew = false;
  if (frame) paintSheets();
  drawNetwork();
  if (source().side) drawReading();
  else drawSurface();
  drawGradients();
  drawCurves();
  showNumbers();
  document.body.dataset.frames = Number(document.body.dataset.frames ?? 0) + 1;
}

function showNumbers() {
  const [epoch, loss, testLoss, testAccuracy] = rows.at(-1) ?? [0, null, null, null];
  $("number-epoch").textContent = epoch;
  $("number-steps").textContent = frame?.steps ?? 0;
  $("number-loss").textContent = short(loss);
  $("number-val_loss").textContent = short(testLoss);
  $("number-val_accuracy").textContent = percent(testAccuracy);
}

new ResizeObserver(() => {
  if (!known) return;
  arrange();
  pointsAreNew = true;
  planDrawing();
}).observe($("scroll"));

// ---------------------------------------------------------------- network

/** Choose the places of all units on the canvas. */
function arrange() {
  const { side, inputs } = source();
  const outputs = numberOfClasses() > 2 ? numberOfClasses() : 1;
  const widths = [side ? 1 : inputs, ...settings.hidden, outputs];
  const most = Math.max(...widths);
  const size = most > 10 ? 28 : 40;
  const [width, height] = [Math.max($("scroll").clientWidth, widths.length * (size + 22)), most * (size + 8) + 24];
  $("network").style.width = `${width}px`;
  $("network").style.height = `${height}px`;
  $("network").setAttribute("aria-label", `A network with the layers ${widths.join(", ")}`);
  units = widths.flatMap((count, layer) => {
    const last = layer === widths.length - 1;
    const x = 2 + (layer / (widths.length - 1)) * (width - size - 4);
    const name = layer === 0 ? (side ? "image" : "input") : last ? "output" : `layer ${layer}`;
    return Array.from({ length: count }, (_, unit) => {
      const y = 20 + (height - 20) / 2 + (unit - count / 2) * (size + 8) + 4;
      return { layer, unit, last, name, x, y, size };
    });
  });
  $("picture-key").textContent = side
    ? "Layer 1 shows its weights. Later layers show their outputs for the image."
    : `A picture shows a unit's output ${inputs === 1 ? "along the horizontal axis" : "in the plane"}.`;
}

/** Return the values of a hidden unit's graph, from -127 to 127. */
function graphOf(unit) {
  const start = (units.indexOf(unit) - 1) * data.grid;
  return frame.pictures.subarray(start, start + data.grid);
}

function drawNetwork() {
  const context = cleared($("network"));
  if (frame) drawWeights(context);
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "center";
  context.imageSmoothingEnabled = !source().side; // pixels of images, and units of one pixel, are squares
  for (const unit of units) {
    const { x, y, size } = unit;
    context.fillStyle = `rgb(${theme.back})`;
    context.fillRect(x, y, size, size);
    if (frame) drawUnit(context, unit);
    context.lineWidth = unit === selected ? 3 : 1;
    context.strokeStyle = unit === selected ? theme.text : theme.edge;
    context.strokeRect(x, y, size, size);
    context.fillStyle = theme.soft;
    if (unit.unit === 0) context.fillText(unit.name, bounded(x + size / 2, 22, $("network").clientWidth - 22), y - 7);
  }
}

/** Paint all pictures of a frame. The pictures of a sheet stand one below the other. */
function paintSheets() {
  const { side, inputs } = source();
  const { pictures } = frame;
  if (side) {
    inputSheet.paint(pixels.length, side, (i) => theme.grey[pixels[i]]);
    const count = settings.hidden[0] ?? numberOfClasses(); // layer 1 may be the output
    unitSheet.paint(count * side ** 2, side, (i) => signed(pictures[i]));
    const later = [...pictures.subarray(count * side ** 2), ...probabilities(0).map((share) => Math.round(127 * share))];
    dotSheet.paint(later.length, 1, (i) => signed(later[i]));
  } else if (inputs === 2) {
    const n = data.grid;
    const along = (i) => signed(Math.round((254 * i) / (n - 1) - 127));
    // The inputs grow to the right and upwards.
    inputSheet.paint(2 * n * n, n, (i) => (i < n * n ? along(i % n) : along(2 * n - 1 - Math.floor(i / n))));
    if (pictures.length) unitSheet.paint(pictures.length, n, (i) => signed(pictures[i]));
    if (!numberOfClasses()) return;
    const labels = new Uint8Array(n * n);
    const certainty = new Uint8Array(n * n);
    for (let i = 0; i < n * n; i++) {
      const shares = probabilities(i);
      const [second, first] = shares.toSorted((a, b) => a - b).slice(-2);
      labels[i] = shares.indexOf(first);
      certainty[i] = 255 * (first - second);
    }
    // The first picture of the output shows all classes, the others one class each.
    const back = packed(theme.back);
    const count = numberOfClasses() > 2 ? 1 + numberOfClasses() : 1;
    outputSheet.paint(count * n * n, n, (i) => {
      const [picture, cell] = [Math.floor(i / n / n), i % (n * n)];
      return picture && picture - 1 !== labels[cell] ? back : theme.classes[labels[cell]][certainty[cell]];
    });
  }
}

/** Return the probabilities of all classes in row `i` of the outputs. */
function probabilities(i) {
  const { outputs } = frame;
  if (numberOfClasses() === 2) {
    const share = settings.loss === "MSELoss" ? bounded(outputs[i], 0, 1) : 1 / (1 + Math.exp(-outputs[i]));
    return [1 - share, share];
  }
  const row = Array.from(outputs.subarray(i * numberOfClasses(), (i + 1) * numberOfClasses()));
  const largest = Math.max(...row);
  const powers = row.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

function drawUnit(context, unit) {
  const { side, inputs } = source();
  const index = units.indexOf(unit);
  const place = [unit.x, unit.y, unit.size];
  if (unit.layer === 0) {
    if (inputs === 1) drawGraph(context, [-1, 1], 1, ...place);
    else inputSheet.draw(context, index, ...place);
  } else if (side && unit.layer === 1) unitSheet.draw(context, unit.unit, ...place);
  else if (side) dotSheet.draw(context, index - 1 - settings.hidden[0], ...place);
  else if (!unit.last && inputs === 1) drawGraph(context, graphOf(unit), 127, ...place);
  else if (!unit.last) unitSheet.draw(context, index - inputs, ...place);
  else if (!numberOfClasses()) drawGraph(context, frame.outputs, known.plane, ...place);
  else outputSheet.draw(context, numberOfClasses() > 2 ? unit.unit + 1 : 0, ...place);
}

/** Draw the weights as lines: the sign by colour and dashes, the size by width. */
function drawWeights(context) {
  const first = source().side ? 2 : 1; // the weights of the first layer may be shown as images
  let next = 0;
  for (const to of units) {
    if (to.layer < first) continue;
    for (const from of units) {
      if (from.layer !== to.layer - 1) continue;
      const weight = frame.weights[next++];
      if (Math.abs(weight) < 0.02) continue;
      context.strokeStyle = weight < 0 ? theme.minus : theme.plus;
      context.setLineDash(weight < 0 ? [5, 3] : []);
      context.lineWidth = Math.min(6, 0.3 + 1.6 * Math.abs(weight));
      context.globalAlpha = Math.min(0.9, 0.15 + Math.abs(weight) / 2);
      const [left, right] = [from.x + from.size, to.x];
      const [start, end, middle] = [from.y + from.size / 2, to.y + to.size / 2, (left + right) / 2];
      context.beginPath();
      context.moveTo(left, start);
      context.bezierCurveTo(middle, start, middle, end, right, end);
      context.stroke();
    }
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** Enlarge the picture of a unit in place of the output, or show the output again. */
function select(unit) {
  if (unit === selected || source().side) return;
  selected = unit;
  showTitle();
  planDrawing();
}

function showTitle() {
  const name = selected && `${selected.name[0].toUpperCase()}${selected.name.slice(1)}, unit ${selected.unit + 1}`;
  $("output-title").textContent = name ?? "Output";
}

function selectAt(event) {
  const { left, top } = $("network").getBoundingClientRect();
  const [x, y] = [event.clientX - left, event.clientY - top];
  const inside = (unit) => x >= unit.x && x < unit.x + unit.size && y >= unit.y && y < unit.y + unit.size;
  select(units.find(inside) ?? null);
}
$("network").addEventListener("pointermove", selectAt);
$("network").addEventListener("pointerdown", selectAt);
$("network").addEventListener("pointerleave", (event) => event.pointerType !== "touch" && select(null)); // a finger leaves
$("network").addEventListener("blur", () => select(null));
$("network").addEventListener("keydown", (event) => {
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Escape: null }[event.key];
  if (move === undefined) return;
  event.preventDefault();
  if (move === null) return select(null);
  const { layer, unit } = selected ?? { layer: 1 - move[0], unit: -move[1] };
  const column = units.filter((other) => other.layer === layer + move[0]);
  if (!column.length) return;
  select(column[bounded(unit + move[1], 0, column.length - 1)]);
  speak($("output-title").textContent);
});

// ---------------------------------------------------------------- output in the plane

function drawSurface() {
  const canvas = $("surface");
  const context = cleared(canvas);
  if (frame) drawPlane(context, canvas.clientWidth);
  if (pointsAreNew) drawPoints();
  pointsAreNew = false;
  const accuracy = rows.length && rows.at(-1)[3] !== null ? `, test accuracy ${percent(rows.at(-1)[3])}` : "";
  canvas.setAttribute("aria-label", `${$("output-title").textContent} after ${frame?.steps ?? 0} steps${accuracy}`);
}

/** Draw the output of the network, or of the selected unit, as it is in the whole plane. */
function drawPlane(context, size) {
  const hidden = selected && selected.layer > 0 && !selected.last;
  const flat = source().inputs === 1;
  if (hidden && flat) drawGraph(context, graphOf(selected), 127, 0, 0, size, theme.minus);
  else if (hidden) unitSheet.draw(context, units.indexOf(selected) - 2, 0, 0, size);
  else if (selected?.layer === 0 && !flat) inputSheet.draw(context, selected.unit, 0, 0, size);
  else if (numberOfClasses()) outputSheet.draw(context, 0, 0, 0, size);
  else drawGraph(context, frame.outputs, known.plane, 0, 0, size, theme.minus);
}

/** Return the place of a point of the plane on a square canvas. */
const toCanvas = ([x, y], size) => [(x / known.plane + 1) * (size / 2), (1 - y / known.plane) * (size / 2)];

/** Draw the data. Each class has a colour and a shape. Training points are filled. */
function drawPoints() {
  const context = cleared($("points"));
  const size = $("points").clientWidth;
  const count = data?.y.length ?? 0;
  const step = Math.ceil(count / 1000); // more points would hide the surface
  for (let i = 0; i < count; i += step) {
    const label = numberOfClasses() ? data.y[i] : 1;
    const point = source().inputs === 1 ? [data.x[i], data.y[i]] : [data.x[2 * i], data.x[2 * i + 1]];
    mark(context, toCanvas(point, size), label, i < data.train, count > 600 ? 2.4 : 3.4);
  }
  if (cursor) {
    const [x, y] = toCanvas(cursor, size);
    context.strokeStyle = theme.text;
    context.lineWidth = 1.5;
    line(context, [[x - 9, y], [x + 9, y]]);
    line(context, [[x, y - 9], [x, y + 9]]);
  }
  $("point-key").textContent = settings.data === "drawn"
    ? "Click to add a point of the chosen class, or use the arrow keys and Enter. Test points are hollow."
    : "Filled points are training data, hollow points are test data.";
}

function mark(context, [x, y], label, filled, radius) {
  const corners = [0, 4, 3, 4, 5, 6][label];
  const turn = [0, Math.PI / 4, -Math.PI / 2, 0, -Math.PI / 2, 0][label];
  context.beginPath();
  if (!corners) context.arc(x, y, radius, 0, 2 * Math.PI);
  for (let k = 0; k < corners; k++) {
    const angle = turn + (2 * Math.PI * k) / corners;
    context.lineTo(x + 1.3 * radius * Math.cos(angle), y + 1.3 * radius * Math.sin(angle));
  }
  context.closePath();
  context.lineWidth = 1.4;
  context.fillStyle = filled ? COLOURS[label] : `rgb(${theme.back})`;
  context.strokeStyle = filled ? "#1c2330" : COLOURS[label]; // the surface has almost the same colour
  context.fill();
  context.stroke();
}

// ---------------------------------------------------------------- points that the user draws

function ofDrawnPoints() {
  const x = settings.points.flatMap(([a, b]) => [a, b]);
  return { x, y: settings.points.map((point) => point[2]), train: settings.points.length };
}

function buildClassButtons() {
  if (settings.data !== "drawn") return;
  drawnClass = Math.min(drawnClass, settings.classes - 1);
  const buttons = Array.from({ length: settings.classes }, (_, label) => {
    const button = makeButton(`class ${label + 1}`, null, () => {
      drawnClass = label;
      buildClassButtons();
      $("drawing").children[label].focus();
    });
    button.style.borderColor = COLOURS[label];
    button.setAttribute("aria-pressed", String(label === drawnClass));
    return button;
  });
  const remove = makeButton("Remove all points", null, () => change({ points: [] }));
  $("drawing").replaceChildren(...buttons, remove);
}

function addPoint(x, y) {
  const inside = (value) => Math.round(100 * bounded(value, -known.plane, known.plane)) / 100;
  const kept = settings.points.slice(1 - known.fields.points.most);
  const place = cursor;
  change({ points: [...kept, [inside(x), inside(y), drawnClass]] });
  cursor = place;
}

$("surface").addEventListener("pointerdown", (event) => {
  if (settings.data !== "drawn") return;
  const { left, top, width } = $("surface").getBoundingClientRect();
  const unit = (2 * known.plane) / width;
  addPoint((event.clientX - left) * unit - known.plane, known.plane - (event.clientY - top) * unit);
});
$("surface").addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1], Enter: [0, 0] };
  if (settings.data !== "drawn" || !(event.key in moves)) return;
  event.preventDefault();
  cursor = (cursor ?? [0, 0]).map((value, i) => bounded(value + moves[event.key][i], -known.plane, known.plane));
  if (event.key === "Enter") addPoint(...cursor);
  speak(`${event.key === "Enter" ? `Point ${settings.points.length} at ` : ""}${cursor.map((value) => value.toFixed(1)).join(", ")}`);
  pointsAreNew = true;
  planDrawing();
});

// ---------------------------------------------------------------- digits that the user draws

function buildImages() {
  const cells = source().side ** 2;
  const count = data.images.length / cells;
  const sheet = new Sheet();
  sheet.paint(data.images.length, source().side, (i) => theme.grey[data.images[i]]);
  const buttons = Array.from({ length: count }, (_, i) => {
    const image = data.images.subarray(i * cells, (i + 1) * cells);
    const button = makeButton("", `Test image ${i + 1}`, () => read(image));
    const canvas = Object.assign(document.createElement("canvas"), { width: source().side, height: source().side });
    sheet.draw(canvas.getContext("2d"), i, 0, 0, source().side);
    button.append(canvas);
    return button;
  });
  $("images").replaceChildren(...buttons);
  pixels = data.images.subarray(0, cells);
}

/** Let the network read an image, given as numbers from 0 to 255, before the page is drawn again. */
function read(image) {
  pixels = image;
  imageIsNew = true;
  planDrawing();
}

function drawReading() {
  const pad = $("pad");
  const context = cleared(pad);
  context.imageSmoothingEnabled = false;
  if (!frame) return fillBars($("bars"), []);
  inputSheet.draw(context, 0, 0, 0, pad.clientWidth);
  const shares = probabilities(0);
  fillBars($("bars"), shares.map((share, label) => [String(label), share, percent(share)]));
  const best = shares.indexOf(Math.max(...shares));
  $("bars").setAttribute("aria-label", `The network reads a ${best}, with a probability of ${percent(shares[best])}`);
}

/** Brighten the pixels near the mouse. */
function stroke(event) {
  if (!pixels) return;
  const { side } = source();
  const { left, top, width } = $("pad").getBoundingClientRect();
  const [x, y] = [event.clientX - left, event.clientY - top].map((place) => (place / width) * side);
  read(pixels.map((value, i) => {
    const distance = Math.hypot((i % side) + 0.5 - x, Math.floor(i / side) + 0.5 - y);
    return Math.max(value, 255 * bounded(1.4 - (10 * distance) / side, 0, 1));
  }));
}
$("pad").addEventListener("pointerdown", (event) => {
  $("pad").setPointerCapture(event.pointerId);
  stroke(event);
});
$("pad").addEventListener("pointermove", (event) => event.buttons && stroke(event));
$("clear").addEventListener("click", () => pixels && read(pixels.map(() => 0)));

// ---------------------------------------------------------------- gradients and curves

function drawGradients() {
  const layers = settings.hidden.length + 1;
  fillBars($("gradients"), Array.from({ length: layers }, (_, i) => {
    const size = frame?.steps ? frame.gradients[i] : undefined;
    const share = size ? (Math.log10(size) + 6) / 6 : 0;
    const text = size === undefined ? "–" : size === null ? "infinite" : size === 0 ? "0" : size.toExponential(1);
    return [i === layers - 1 ? "output" : `layer ${i + 1}`, share, text];
  }));
}

/** Show a list of [name, share, text] as bars. */
function fillBars(place, bars) {
  while (place.children.length > bars.length) place.lastChild.remove();
  while (place.children.length < bars.length) {
    const bar = Object.assign(document.createElement("div"), { className: "bar" });
    const track = Object.assign(document.createElement("span"), { className: "track" });
    track.append(Object.assign(document.createElement("span"), { className: "fill" }));
    bar.append(document.createElement("span"), track, document.createElement("span"));
    place.append(bar);
  }
  bars.forEach(([name, share, text], i) => {
    const [label, track, value] = place.children[i].children;
    label.textContent = name;
    value.textContent = text;
    track.firstChild.style.transform = `scaleX(${bounded(share, 0, 1)})`;
  });
}

/** Draw the losses on a logarithmic axis at the left, and the test accuracy on an axis at the right. */
function drawCurves() {
  const canvas = $("curves");
  const context = cleared(canvas);
  const last = rows.at(-1);
  if (!last) return;
  const [left, right, top, bottom] = [46, canvas.clientWidth - (numberOfClasses() ? 46 : 8), 8, canvas.clientHeight - 20];
  const step = Math.ceil(rows.length / (right - left)); // about one row for each pixel
  const shown = rows.filter((_, i) => i % step === 0 || i === rows.length - 1);
  const logs = shown.flatMap((row) => [row[1], row[2]]).filter((loss) => loss > 0).map(Math.log10);
  const [low, high] = [Math.max(-8, Math.min(...logs)), Math.max(...logs)];
  const range = Math.max(0.3, high - low);
  const x = (row) => left + ((row[0] - 1) / Math.max(1, last[0] - 1)) * (right - left);
  const y = (share) => top + share * (bottom - top);
  context.fillStyle = theme.soft;
  context.font = "11px system-ui, sans-serif";
  for (const share of [0, 0.5, 1]) {
    context.strokeStyle = theme.edge;
    line(context, [[left, y(share)], [right, y(share)]]);
    const loss = 10 ** (high - share * range);
    context.fillText(isExtreme(loss) ? loss.toExponential(1) : Number(loss.toPrecision(2)), 4, y(share) + 4);
    if (numberOfClasses()) context.fillText(`${100 - 100 * share} %`, right + 6, y(share) + 4);
  }
  context.textAlign = "right";
  context.fillText(`epoch ${last[0]}`, right, bottom + 15);
  context.textAlign = "left";
  const curve = (column, share, colour, dashes) => {
    const points = shown.filter((row) => row[column] !== null).map((row) => [x(row), y(share(row[column]))]);
    context.strokeStyle = colour;
    context.setLineDash(dashes);
    context.lineWidth = 2;
    line(context, points);
    context.setLineDash([]);
    context.lineWidth = 1;
  };
  const ofLoss = (loss) => (high - Math.max(low, Math.log10(loss))) / range;
  curve(3, (accuracy) => 1 - accuracy, theme.plus, [2, 4]);
  curve(1, ofLoss, theme.text, []);
  curve(2, ofLoss, theme.minus, [7, 4]);
}

"use strict";
// All text comes from data and is set as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const count = data.places.length;
const at = (id) => document.getElementById(id);
const canvas = at("map"), pen = canvas.getContext("2d"), tip = at("tip");
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
  "#56b4e9", "#7b3294", "#5b4a2f", "#b2182b", "#8cae1f"];
const UNKNOWN = "#a9b1b9", SHOWN = COLOURS.length;
const every = Array.from({length: count}, (_, k) => k);

// A column's distinct values, the most frequent first, and what colours them.
function column([name, raw]) {
  const counts = new Map();
  for (const value of raw) counts.set(value, (counts.get(value) || 0) + 1);
  const values = [...counts.keys()].filter((value) => value !== "");
  values.sort((a, b) => counts.get(b) - counts.get(a) ||
    a.localeCompare(b, "en", {numeric: true}));
  const numbers = values.map(Number);
  const scale = values.length > SHOWN && numbers.every(Number.isFinite);
  const low = scale ? numbers.reduce((a, b) => Math.min(a, b)) : 0;
  const high = scale ? numbers.reduce((a, b) => Math.max(a, b)) : 0;
  const colours = new Map([["", UNKNOWN]]);
  values.forEach((value, k) => {
    const t = (Number(value) - low) / (high - low);
    colours.set(value, scale ?
      `hsl(${250 - 200 * t} 60% ${30 + 25 * t}%)` :
      values.length <= SHOWN ? COLOURS[k] :
      `hsl(${(k * 137.5) % 360} 65% ${38 + 12 * (k % 3)}%)`);
  });
  return {name, raw, counts, values, colours, scale, low, high};
}
const columns = data.columns.map(column);
// The last two are always the patient and the row.
const patients = columns[columns.length - 2].raw;
const rows = columns[columns.length - 1].raw;

const bounds = [0, 1].map((axis) => {
  const values = data.places.map((place) => place[axis]);
  return [Math.min(...values), Math.max(...values)];
});
const middle = bounds.map(([low, high]) => (low + high) / 2);
const view = {scale: 1, x: middle[0], y: middle[1]};
let shown = columns[0], only = null, hovered = -1, selected = -1;
let width = 0, height = 0;

function place(k) {
  const side = (Math.min(width, height) - 28) * view.scale;
  const [x, y] = data.places[k];
  return [width / 2 + (x - view.x) * side, height / 2 + (y - view.y) * side];
}
const seen = (k) => only === null || shown.raw[k] === only;

function dot(k, radius) {
  const [x, y] = place(k);
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  width = canvas.clientWidth;
  height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const even = 0.3 * Math.min(width, height) / Math.sqrt(count);
  const radius = Math.max(2, Math.min(5, even)) * view.scale ** 0.4;
  for (const bright of [false, true]) {
    pen.globalAlpha = bright ? 0.85 : 0.13;
    for (const k of every) {
      if (seen(k) !== bright) continue;
      pen.fillStyle = bright ? shown.colours.get(shown.raw[k]) : "#5a6570";
      dot(k, radius);
      pen.fill();
    }
  }
  pen.globalAlpha = 1;
  pen.strokeStyle = "#1c2126";
  if (selected >= 0) {
    pen.lineWidth = 1;
    for (const k of data.nearest[selected]) {
      pen.beginPath();
      pen.moveTo(...place(selected));
      pen.lineTo(...place(k));
      pen.stroke();
      dot(k, radius + 2);
      pen.stroke();
    }
    pen.lineWidth = 3;
    dot(selected, radius + 4);
    pen.stroke();
  }
  if (hovered >= 0) {
    pen.lineWidth = 2;
    dot(hovered, radius + 3);
    pen.stroke();
  }
  canvas.style.touchAction = view.scale > 1 ? "none" : "pan-y";
  showTip();
}

const picture = (k) => `data:image/jpeg;base64,${data.thumbnails[k]}`;
const told = (value) => value === "" ? "not known" : value;
const title = (k) => `Row ${rows[k]}`;

function showTip() {
  tip.hidden = hovered < 0;
  if (hovered < 0) return;
  const [x, y] = place(hovered);
  tip.firstChild.src = picture(hovered);
  tip.lastChild.textContent =
    `${title(hovered)}, ${shown.name}: ${told(shown.raw[hovered])}`;
  const left = x + 14 + tip.offsetWidth > width ? x - 14 - tip.offsetWidth : x + 14;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top =
    `${Math.max(0, Math.min(y - 20, height - tip.offsetHeight))}px`;
}

function added(parent, tag, text) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function marked(parent, colour) {
  added(parent, "i").style.background = colour;
}

// The button that was pressed is gone; the keyboard goes on at the map.
const toMap = () => canvas.focus({preventScroll: true});

function select(k) {
  selected = k;
  at("selected").hidden = k < 0;
  at("how").hidden = k >= 0;
  for (const id of ["facts", "near"]) at(id).replaceChildren();
  if (k >= 0) {
    at("name").textContent = title(k);
    at("picture").src = picture(k);
    at("picture").alt = title(k);
    columns.forEach(({name, raw}, which) => {
      if (raw[k] === "") return;
      added(at("facts"), "dt", name);
      const button = added(added(at("facts"), "dd"), "button", raw[k]);
      button.title = "Show images with this value alone";
      button.onclick = () => toMap(colourBy(which, raw[k]));
    });
    data.nearest[k].forEach((other, place) => {
      const button = added(added(at("near"), "li"), "button");
      added(button, "img").src = picture(other);
      button.firstChild.alt = title(other);
      const caption = added(button, "span");
      marked(caption, shown.colours.get(shown.raw[other]));
      const like = data.cosines[k][place].toFixed(2);
      caption.append(`${told(shown.raw[other])} (${like})`);
      button.onclick = () => toMap(select(other));
    });
    if (!data.nearest[k].length) added(at("near"), "li", "None.");
  }
  remember();
  draw();
}

// How often the nearest images of other patients have an image's value, and
// how often all images of other patients do: means over images.
function agreement() {
  const own = new Map();  // Images of a patient with a value.
  const ofPatient = new Map();
  const key = (k) => JSON.stringify([patients[k], shown.raw[k]]);
  const known = every.filter((k) => shown.raw[k] !== "");
  for (const k of known) {
    own.set(key(k), (own.get(key(k)) || 0) + 1);
    ofPatient.set(patients[k], (ofPatient.get(patients[k]) || 0) + 1);
  }
  let share = 0, chance = 0, used = 0;
  for (const k of known) {
    const near = data.nearest[k].filter((n) => shown.raw[n] !== "");
    if (!near.length) continue;
    used += 1;
    share += near.filter((n) => shown.raw[n] === shown.raw[k]).length / near.length;
    chance += (shown.counts.get(shown.raw[k]) - own.get(key(k))) /
      (known.length - ofPatient.get(patients[k]));
  }
  const several = shown.values.length > 1 && shown.values.length <= count / 2;
  if (!used || shown.scale || !several || shown.raw === patients) return "";
  const percent = (part) => `${(100 * part / used).toFixed(1)}%`;
  return `The same among nearest images of other patients: ${percent(share)}` +
    `; by chance ${percent(chance)}`;
}

function colourBy(which, alone = null) {
  shown = columns[which];
  only = alone;
  at("by").value = which;
  at("agreement").textContent = agreement();
  const legend = at("legend");
  legend.replaceChildren();
  if (shown.scale) {
    added(legend, "span", shown.low);
    added(legend, "span").className = "scale";
    added(legend, "span", shown.high);
  }
  const listed = shown.scale ? [] : shown.values.slice(0, SHOWN);
  const more = shown.values.length - listed.length;
  if (shown.counts.has("")) listed.push("");
  if (only !== null && !listed.includes(only)) listed.unshift(only);
  for (const value of listed) {
    const button = added(legend, "button");
    marked(button, shown.colours.get(value));
    added(button, "span", `${told(value)}: ${shown.counts.get(value)}`);
    button.setAttribute("aria-pressed", only === value);
    button.onclick = () => {
      only = only === value ? null : value;
      for (const other of legend.querySelectorAll("button"))
        other.setAttribute("aria-pressed", other === button && only !== null);
      hovered = -1;
      draw();
    };
  }
  if (!shown.scale && more > 0) added(legend, "span", `and ${more} more`);
  select(selected);
}

// The image and the column are in the address, to be sent or opened again.
function remember() {
  const words = new URLSearchParams({by: shown.name});
  if (selected >= 0) words.set("image", selected);
  history.replaceState(null, "", `#${words}`);
}

function nearestTo(x, y, most) {
  let best = -1, least = most * most;
  for (const k of every) {
    if (!seen(k)) continue;
    const [px, py] = place(k);
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [best, least] = [k, distance];
  }
  return best;
}

// The next image that lies rather in a direction than aside of it.
function step(dx, dy) {
  const from = hovered >= 0 ? hovered : selected;
  if (from < 0) return nearestTo(width / 2, height / 2, Infinity);
  const [x, y] = place(from);
  let best = from, least = Infinity;
  for (const k of every) {
    const [px, py] = place(k);
    const ahead = (px - x) * dx + (py - y) * dy;
    const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
    const cost = ahead + 2 * aside;
    if (seen(k) && k !== from && ahead > 0 && ahead >= aside && cost < least)
      [best, least] = [k, cost];
  }
  return best;
}

function zoom(factor, x = width / 2, y = height / 2) {
  const before = (Math.min(width, height) - 28) * view.scale;
  view.scale = Math.max(1, Math.min(60, view.scale * factor));
  const after = (Math.min(width, height) - 28) * view.scale;
  view.x += (x - width / 2) * (1 / before - 1 / after);
  view.y += (y - height / 2) * (1 / before - 1 / after);
  if (view.scale === 1) [view.x, view.y] = middle;
  draw();
}

function point(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left - 1, event.clientY - box.top - 1];
}

const fingers = new Map();
let moved = 0;
canvas.onpointerdown = (event) => {
  canvas.setPointerCapture(event.pointerId);
  if (!fingers.size) moved = 0;
  fingers.set(event.pointerId, point(event));
};
canvas.onpointermove = (event) => {
  const [x, y] = point(event);
  const last = fingers.get(event.pointerId);
  if (!last) {
    hovered = nearestTo(x, y, 22);
    draw();
    return;
  }
  moved += Math.hypot(x - last[0], y - last[1]);
  const other = [...fingers].find(([id]) => id !== event.pointerId);
  fingers.set(event.pointerId, [x, y]);
  if (other) {
    const apart = ([px, py]) => Math.hypot(px - other[1][0], py - other[1][1]);
    zoom(apart([x, y]) / Math.max(apart(last), 1), ...other[1]);
  } else if (view.scale > 1 && moved > 5) {
    const side = (Math.min(width, height) - 28) * view.scale;
    view.x -= (x - last[0]) / side;
    view.y -= (y - last[1]) / side;
    draw();
  }
};
canvas.onpointerup = (event) => {
  const tapped = fingers.size === 1 && moved <= 5;
  fingers.delete(event.pointerId);
  if (!tapped) return;
  hovered = -1;
  select(nearestTo(...point(event), event.pointerType === "mouse" ? 22 : 32));
};
canvas.onpointercancel = (event) => fingers.delete(event.pointerId);
canvas.onpointerleave = canvas.onblur = () => {
  hovered = -1;
  draw();
};
canvas.addEventListener("wheel", (event) => {
  // The page scrolls, unless the map was chosen.
  if (!event.ctrlKey && document.activeElement !== canvas) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 400), ...point(event));
}, {passive: false});

const KEYS = {
  ArrowLeft: () => hovered = step(-1, 0),
  ArrowRight: () => hovered = step(1, 0),
  ArrowUp: () => hovered = step(0, -1),
  ArrowDown: () => hovered = step(0, 1),
  Enter: () => select(hovered >= 0 ? hovered : selected),
  Escape: () => select(hovered = -1),
  "+": () => zoom(1.5),
  "=": () => zoom(1.5),
  "-": () => zoom(1 / 1.5),
  0: () => zoom(0),
};
canvas.onkeydown = (event) => {
  if (!KEYS[event.key] || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  KEYS[event.key]();
  draw();
  at("said").textContent = hovered < 0 ? "" : tip.lastChild.textContent;
};
at("closer").onclick = () => zoom(1.5);
at("wider").onclick = () => zoom(1 / 1.5);
at("all").onclick = () => zoom(0);

columns.forEach(({name}, k) => {
  added(at("by"), "option", name).value = k;
});
at("by").onchange = () => colourBy(Number(at("by").value));
const words = new URLSearchParams(location.hash.slice(1));
const asked = columns.findIndex(({name}) => name === words.get("by"));
const varied = columns.findIndex(({values}) => values.length > 1);
const first = Number(words.get("image") ?? -1);
if (Number.isInteger(first) && first < count) selected = Math.max(first, -1);
colourBy(asked >= 0 ? asked : Math.max(varied, 0));
new ResizeObserver(draw).observe(canvas.parentElement);

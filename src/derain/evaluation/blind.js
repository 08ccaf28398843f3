"use strict";
const one = (id) => document.getElementById(id);
const content = JSON.parse(one("content").textContent);
const { models, photographs } = content;
const NONE = "none"; // no output is better than the photograph
const UNSURE = "unsure";
const STORE = `derain blind ${content.id}`;

// What is kept in the browser: the order of the outputs and the choice, for every photograph
const shuffled = (length) => {
  const order = [...Array(length).keys()];
  for (let last = length - 1; last > 0; last--) {
    const other = Math.floor((crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32) * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
};
const fresh = () => ({
  started: new Date().toISOString(),
  orders: photographs.map(() => shuffled(models.length)),
  choices: photographs.map(() => null), // a place in `models`, NONE or UNSURE
  at: 0,
  revealed: false,
});
const kept = () => {
  try {
    return JSON.parse(localStorage.getItem(STORE));
  } catch {
    return null;
  }
};
const keep = () => {
  try {
    localStorage.setItem(STORE, JSON.stringify(state));
  } catch {
    one("volatile").hidden = false;
  }
};
let state = kept() ?? fresh();

// The photograph that is judged
const slider = document.querySelector("before-after");
let shown = 0; // which of the outputs, in the order of this photograph

const output = (place) => {
  shown = place;
  const [order, choice] = [state.orders[state.at], state.choices[state.at]];
  one("output").src = photographs[state.at].outputs[order[place]];
  one("output").alt = one("tag").textContent = `output ${place + 1}`;
  one("choose").innerHTML = `Choose output ${place + 1} <kbd>Enter</kbd>`;
  [...one("outputs").children].forEach((button, n) => {
    button.setAttribute("aria-pressed", String(n === place));
    button.classList.toggle("chosen", choice === order[n]);
    button.setAttribute("aria-label", `output ${n + 1}${choice === order[n] ? ", chosen" : ""}`);
  });
};

const photograph = (at) => {
  state.at = Math.min(photographs.length - 1, Math.max(0, at));
  keep();
  const { width, height, rainy } = photographs[state.at];
  const [order, choice] = [state.orders[state.at], state.choices[state.at]];
  slider.style.setProperty("--w", width);
  slider.style.setProperty("--h", height);
  one("rainy").src = rainy;
  slider.split = 0;
  slider.reset();
  one("place").textContent = `Photograph ${state.at + 1} of ${photographs.length}`;
  one("progress").max = photographs.length;
  one("progress").value = judged().length;
  one("none").setAttribute("aria-pressed", String(choice === NONE));
  one("unsure").setAttribute("aria-pressed", String(choice === UNSURE));
  one("previous").disabled = state.at === 0;
  one("next").disabled = state.at === photographs.length - 1;
  one("finish").disabled = !judged().length;
  one("finish").classList.toggle("main", judged().length === photographs.length);
  output(Math.max(0, order.indexOf(choice)));
  slider.range.focus({ preventScroll: true });
};

const judged = () => state.choices.filter((choice) => choice !== null);
const choose = (choice) => {
  state.choices[state.at] = choice;
  const after = state.choices.findIndex((other, n) => n > state.at && other === null);
  const first = state.choices.indexOf(null);
  photograph(after >= 0 ? after : first >= 0 ? first : state.at);
  if (first < 0) one("finish").focus();
};
const chooseShown = () => choose(state.orders[state.at][shown]);

// The result
/** The Wilson score interval of a share: [lower, upper], 95 % by default. */
const wilson = (count, total, z = 1.959964) => {
  const middle = (count + z ** 2 / 2) / (total + z ** 2);
  const half = (z / (total + z ** 2)) * Math.sqrt((count * (total - count)) / total + z ** 2 / 4);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
};
const nameOf = (choice) =>
  choice === NONE ? "none is better" : choice === UNSURE ? "cannot tell" : models[choice] ?? "";
const counts = () => {
  const told = judged().filter((choice) => choice !== UNSURE);
  const rows = [...models.keys(), NONE].map((choice) => {
    const count = told.filter((other) => other === choice).length;
    return { name: nameOf(choice), count, interval: told.length ? wilson(count, told.length) : [0, 1] };
  });
  rows.sort((a, b) => b.count - a.count);
  return { told: told.length, unsure: judged().length - told.length, rows };
};

const row = (...cells) => {
  const line = document.createElement("tr");
  cells.forEach((cell, n) => {
    const box = document.createElement(n ? "td" : "th");
    if (!n) box.scope = "row";
    box.append(cell);
    line.append(box);
  });
  return line;
};
const reveal = () => {
  state.revealed = true;
  keep();
  one("judge").hidden = true;
  one("result").hidden = false;
  const { told, unsure, rows } = counts();
  const percent = (share) => `${Math.round(100 * share)} %`;
  one("headline").textContent = `${told} of ${photographs.length} photographs were decided`
    + `${unsure ? `, ${unsure} could not be told` : ""}.`;
  one("counts").replaceChildren(...rows.map(({ name, count, interval: [low, high] }) => {
    const bar = document.createElement("div");
    bar.className = "bar-of";
    bar.innerHTML = `<i style="left:${100 * low}%;right:${100 - 100 * high}%"></i>`
      + `<b style="left:${told ? (100 * count) / told : 0}%"></b>`;
    const line = row(name, count, told ? percent(count / told) : "", `${Math.round(100 * low)} to ${percent(high)}`, bar);
    for (const n of [1, 2, 3]) line.cells[n].className = "n";
    line.className = "measured";
    return line;
  }));
  one("method").textContent = "Share of the photographs that were decided, with the Wilson score interval."
    + ` Choosing blindly among ${models.length} outputs gives each ${percent(1 / models.length)}.`
    + " Intervals that overlap leave open which of two models is better.";
  one("every").replaceChildren(...photographs.map(({ name }, n) =>
    row(name, nameOf(state.choices[n]), state.orders[n].map((model) => models[model]).join(", "))));
  document.querySelector("#result h2").focus();
};

const record = () => ({
  page: content.id,
  started: state.started,
  models,
  counts: Object.fromEntries(counts().rows.map(({ name, count, interval }) => [name, { count, interval }])),
  photographs: photographs.map(({ name }, n) => ({
    name,
    shown: state.orders[n].map((model) => models[model]),
    chosen: state.choices[n] === null ? null : models[state.choices[n]] ?? state.choices[n],
  })),
});
one("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${JSON.stringify(record(), null, 2)}\n`], { type: "application/json" }));
  link.download = `blind-${content.id}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
});
const judge = () => {
  one("result").hidden = true;
  one("judge").hidden = false;
  photograph(state.at);
};
one("again").addEventListener("click", () => {
  if (!confirm("Delete these choices and start again?")) return;
  state = fresh();
  judge();
});

// Buttons and keys
models.forEach((_, n) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = n + 1;
  button.addEventListener("click", () => output(n));
  one("outputs").append(button);
});
one("last").textContent = models.length;
const actions = {
  choose: chooseShown,
  none: () => choose(NONE),
  unsure: () => choose(UNSURE),
  previous: () => photograph(state.at - 1),
  next: () => photograph(state.at + 1),
  finish: () => {
    const left = photographs.length - judged().length;
    const sure = `${left} photographs are not judged yet. Once the names are shown, choices cannot be changed.`;
    if (!left || confirm(sure)) reveal();
  },
};
for (const [id, action] of Object.entries(actions)) one(id).addEventListener("click", action);

const KEYS = { n: "none", t: "unsure", p: "previous", s: "next" };
let split = null; // where the line was before the photograph was looked at
addEventListener("keydown", (event) => {
  if (one("judge").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  const onButton = event.target.tagName === "BUTTON";
  const digit = Number(event.key);
  if (digit >= 1 && digit <= models.length) output(digit - 1);
  else if (event.key === "ArrowUp" && !event.shiftKey) output((shown + models.length - 1) % models.length);
  else if (event.key === "ArrowDown" && !event.shiftKey) output((shown + 1) % models.length);
  else if (event.key === "Enter" && !onButton) { if (!event.repeat) chooseShown(); }
  else if (event.key === " " && !onButton) {
    split ??= slider.split;
    slider.split = 100;
  } else if (KEYS[event.key.toLowerCase()]) {
    if (!event.repeat) one(KEYS[event.key.toLowerCase()]).click();
  } else return;
  event.preventDefault();
  event.stopPropagation();
}, { capture: true });
addEventListener("keyup", (event) => {
  if (event.key !== " " || split === null) return;
  slider.split = split;
  split = null;
});

if (state.revealed) reveal();
else judge();

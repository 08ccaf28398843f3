// Puts the page together.

import { saveAll } from "./downloads.js";
import { release } from "./images.js";
import { isClip, listen, refusal } from "./intake.js";
import { list } from "./list.js";
import { Item, Queue } from "./queue.js";
import { download, Gone, offers } from "./server.js";
import { Viewer } from "./viewer.js";
import { bytes, megapixels, state } from "./words.js";

const find = (id) => document.getElementById(id);
const queue = new Queue();
const choice = find("model");
let server = null; // what GET /v1/models answers

function model() {
  return server?.models.find(({ name }) => name === choice.value) ?? { name: "", about: "" };
}

const viewer = new Viewer(queue, { model });
const rows = list(queue, (item) => {
  choose(item);
  viewer.reveal();
});

function choose(item) {
  viewer.show(item);
  rows.mark(item);
}

function take(files, options) {
  if (!server) return notify("The server has not answered yet; please try again in a moment.");
  if (!queue.hold) notify(""); // what was said before is old
  const items = files.map((file) => new Item(file, model().name, { clip: isClip(file), ...options }));
  for (const item of items) {
    const problem = refusal(item.file, server);
    if (problem) queue.refuse(item, problem);
    else queue.add(item);
  }
  if (!viewer.item || !queue.items.includes(viewer.item)) choose(items[0]);
}

// What stands around the list

function notify(text) { find("notice").textContent = text; }

function count() {
  const { items } = queue;
  const done = items.filter((item) => item.state === "done");
  find("welcome").hidden = items.length > 0;
  find("work").hidden = items.length === 0;
  find("count").textContent = `${done.length} of ${items.length} done`;
  find("zip").disabled = done.length === 0;
}

function speak(item) {
  const ended = item.state === "done" || item.state === "failed";
  if (ended && item.spoken !== item.state) {
    const why = item.state === "failed" ? `. ${item.problem.message}` : "";
    find("spoken").textContent = `${item.name}: ${state(item)}${why}`;
  }
  item.spoken = item.state;
}

queue.addEventListener("add", ({ detail }) => { count(); speak(detail); });
queue.addEventListener("change", ({ detail }) => { count(); speak(detail); });
queue.addEventListener("remove", ({ detail: item }) => {
  release(item);
  count();
  if (item !== viewer.item) return;
  if (queue.items.length) choose(queue.items[0]);
  else viewer.close();
});
queue.addEventListener("hold", () => notify({
  busy: "The server is busy. What waits is sent again by itself.",
  gone: "The server does not answer. Finished results stay here; the rest goes on when it is back.",
}[queue.hold?.reason] ?? ""));

find("clear").addEventListener("click", () => {
  for (const item of [...queue.items]) queue.remove(item);
  document.querySelector("#welcome .main").focus();
});
find("zip").addEventListener("click", async ({ target }) => {
  target.disabled = true;
  try {
    const done = queue.items.filter((item) => item.state === "done");
    await saveAll(done, (text) => { target.textContent = text; });
  } catch (error) {
    notify(`The archive could not be made. ${error.message}`);
  }
  target.textContent = "Download all";
  target.disabled = false;
});
find("example").addEventListener("click", async () => {
  try {
    take([await download("/example.jpg", "example.jpg")], { example: true });
  } catch (error) {
    notify(error.message || error.title);
  }
});
choice.addEventListener("change", () => {
  find("about").textContent = model().about;
  viewer.update();
});
addEventListener("beforeunload", (event) => {
  const atStake = (item) => !item.example && !item.saved && item.state !== "failed";
  if (queue.items.some(atStake)) event.preventDefault();
});
listen(take);

async function start() {
  try {
    server = await offers();
  } catch (error) {
    notify(error.message || error.title);
    if (error instanceof Gone) setTimeout(start, 2000);
    return;
  }
  notify("");
  choice.replaceChildren(...server.models.map(({ name }) => new Option(name)));
  choice.value = server.default;
  choice.disabled = false;
  find("about").textContent = model().about;
  queue.limit(server.limits.jobs);
  find("files").accept = `image/*,${server.formats.read.map(suffix)}${server.video ? ",video/*" : ""}`;
  find("limits").textContent =
    `Up to ${bytes(server.limits.bytes)} and ${megapixels(server.limits.pixels)} an image`
    + (server.video ? `; clips up to ${bytes(server.clip_limits.bytes)} and ${server.clip_limits.seconds / 60} minutes` : "");
  const here = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  find("where").textContent = here
    ? "Removes rain from photographs. They stay on this computer."
    : `Removes rain from photographs. They go to ${location.hostname} and nowhere else.`;
}

function suffix(format) { return format.startsWith(".") ? format : `.${format.toLowerCase()}`; }

start();

// The image that is looked at: before and after, its strength, what happened to it.

import "./slider.js";
import { beyond } from "./beyond.js";
import { original, pair, release } from "./images.js";
import { saveOne } from "./downloads.js";
import { showProgress } from "./list.js";
import { Player } from "./player.js";
import * as words from "./words.js";

const place = document.getElementById("viewer");

/** Shows one item of a queue at a time. */
export class Viewer {
  item = null;
  #seen = null; // what the stage shows: the item's result, or null

  constructor(queue, { model }) {
    Object.assign(this, { queue, model });
    place.append(document.getElementById("view").content.cloneNode(true));
    this.slider = place.querySelector("before-after");
    this.strength = place.querySelector(".strength input");
    this.tools = place.querySelector(".tools");
    this.saving = place.querySelector(".save");
    this.player = new Player(place);
    this.player.after.addEventListener("loadedmetadata", ({ target }) => { // turned, as it is shown
      this.slider.style.setProperty("--w", target.videoWidth);
      this.slider.style.setProperty("--h", target.videoHeight);
    });

    this.strength.addEventListener("input", () => {
      this.item.strength = Number(this.strength.value);
      this.#blend();
    });
    this.saving.addEventListener("click", () => this.#save());
    place.querySelector(".retry").addEventListener("click", () => queue.again(this.item));
    place.querySelector(".drop-it").addEventListener("click", () => queue.remove(this.item));
    place.querySelector(".again").addEventListener("click", () => {
      release(this.item);
      queue.again(this.item, model().name);
    });
    queue.addEventListener("change", ({ detail: item }) => { if (item === this.item) this.update(); });
    queue.addEventListener("hold", () => this.update());
  }

  show(item) {
    this.item = item;
    this.strength.value = item.strength;
    this.update();
  }

  /** Show nothing any more. */
  close() {
    this.item = this.#seen = null;
    this.player.empty();
  }

  /** Bring the image into sight, where it lies above or below the list. */
  reveal() { place.scrollIntoView({ block: "nearest" }); }

  /** Show the item as it is now. */
  update() {
    const { item } = this;
    if (!item) return;
    place.dataset.state = item.state;
    place.dataset.kind = item.clip ? "clip" : "image";
    place.querySelector("#title").textContent = item.name;
    this.#message();
    this.tools.disabled = item.state !== "done";
    this.#facts();
    if (item.state === "done") {
      this.#blend();
      this.#stage();
    } else {
      this.#seen = null;
      this.player.empty();
      this.#original();
    }
    this.#again();
  }

  #message() {
    const { item } = this;
    place.querySelector(".what").textContent = words.state(item, this.queue.hold);
    place.querySelector(".why").textContent = item.problem?.message ?? "";
    place.querySelector(".retry").hidden = !item.problem || item.problem.final;
    showProgress(place.querySelector(".message progress"), item);
  }

  /** What the browser can show of the item before it is done. */
  async #original() {
    const { item } = this;
    const image = place.querySelector(".waiting");
    if (image.dataset.of === item.id) return;
    image.dataset.of = item.id;
    image.hidden = true;
    const address = await original(item);
    if (image.dataset.of !== item.id || !address) return;
    image.src = address;
    image.hidden = false;
  }

  async #stage() {
    const { item } = this;
    if (this.#seen === item.result) return;
    this.#seen = item.result;
    place.dataset.shown = "loading";
    this.player.empty();
    const { width, height } = item.result.facts;
    this.slider.style.setProperty("--w", width);
    this.slider.style.setProperty("--h", height);
    let before;
    let after;
    try {
      [before, after] = await pair(item);
    } catch {
      if (this.#seen === item.result) place.dataset.shown = "no";
      return;
    }
    if (this.#seen !== item.result) return; // another was chosen meanwhile
    if (item.clip) {
      this.player.load(before, after);
    } else {
      for (const name of [".before", ".under"]) place.querySelector(`img${name}`).src = before;
      place.querySelector("img.after").src = after;
    }
    place.dataset.shown = "yes";
    this.#blend();
    this.slider.split = 50;
    this.slider.reset();
  }

  /**
   * The result over the image before, as opaque as the strength: the blend that strength means. What
   * lies beyond the result is drawn.
   */
  #blend() {
    const { strength } = this.item;
    const [after, before] = ["img.after", "img.before"].map((name) => place.querySelector(name));
    after.style.opacity = Math.min(strength / 100, 1);
    const canvas = place.querySelector(".beyond");
    canvas.hidden = strength <= 100 || this.item.clip || place.dataset.shown !== "yes";
    if (!canvas.hidden) this.#draw(canvas, before, after);
    place.querySelector(".strength output").textContent = `${strength}\u00a0%`;
    this.saving.textContent = strength === 100 ? "Download" : `Download, ${strength}\u00a0%`;
    this.saving.disabled = false;
    this.#facts();
  }

  /** Draw once both images are there, and then what is wanted by then. */
  async #draw(canvas, before, after) {
    const { item } = this;
    await Promise.all([before.decode(), after.decode()]).catch(() => {});
    if (item !== this.item || item.strength <= 100 || canvas.hidden) return;
    beyond(canvas, before, after, item.strength / 100);
    canvas.dataset.strength = item.strength;
  }

  #facts() {
    place.querySelector(".facts").replaceChildren(...words.facts(this.item).map(([name, text]) => {
      const group = document.createElement("div");
      group.append(element("dt", name), element("dd", text));
      return group;
    }));
  }

  #again() {
    const { name } = this.model();
    const offered = this.item.state === "done" && name !== this.item.model;
    place.querySelector(".again").hidden = !offered;
    place.querySelector(".again").textContent = `Again with ${name}`;
  }

  async #save() {
    const { item } = this;
    const tell = (text) => {
      if (item !== this.item) return;
      this.saving.textContent = text;
      this.saving.disabled = true;
    };
    try {
      await saveOne(item, tell);
      if (item === this.item) this.#blend();
    } catch (error) {
      tell("Download failed");
    }
  }
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

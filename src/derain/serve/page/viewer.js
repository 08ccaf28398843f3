// The image that is looked at: before and after, its strength, what happened to it.

import "./slider.js";
import { original, pair, release } from "./images.js";
import { saveOne } from "./downloads.js";
import { showProgress } from "./list.js";
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

  /** Bring the image into sight, where it lies above or below the list. */
  reveal() { place.scrollIntoView({ block: "nearest" }); }

  /** Show the item as it is now. */
  update() {
    const { item } = this;
    if (!item) return;
    place.dataset.state = item.state;
    place.querySelector("#title").textContent = item.name;
    this.#message();
    this.tools.disabled = item.state !== "done";
    this.#facts();
    if (item.state === "done") {
      this.#blend();
      this.#stage();
    } else {
      this.#seen = null;
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
    place.querySelector(".before").src = before;
    place.querySelector(".under").src = before;
    place.querySelector(".after").src = after;
    place.dataset.shown = "yes";
    this.slider.split = 50;
    this.slider.reset();
  }

  /** The result over the image before, as opaque as the strength: the blend that strength means. */
  #blend() {
    const { strength } = this.item;
    place.querySelector(".after").style.opacity = strength / 100;
    place.querySelector(".strength output").textContent = `${strength}\u00a0%`;
    this.saving.textContent = strength === 100 ? "Download" : `Download, ${strength}\u00a0%`;
    this.saving.disabled = false;
    this.#facts();
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

// <before-after>: two images under a line that one moves, with zoom and pan. The page of
// `derain serve` loads this file; the HTML report of `derain evaluate` holds a copy of its text.
//
// It works on what it contains: a .stage with .layer, .layer.over (the left side) and an
// <input type="range">, and beside it buttons with data-zoom="in" or "out" and an <output>.
// Mouse and fingers: drag the line, drag the zoomed image, double click, Ctrl + wheel, pinch.
// Keys: arrows move the line, + and - zoom, Shift + arrows move the zoomed image, 0 resets.
customElements.define("before-after", class extends HTMLElement {
  static LARGEST = 16; // times

  #zoom = 1;
  #x = 0;
  #y = 0;
  #fingers = new Map(); // pointer -> its place in the stage

  connectedCallback() {
    this.stage = this.querySelector(".stage");
    this.range = this.querySelector("input[type=range]");
    this.range.addEventListener("input", () => { this.split = this.range.value; });
    this.range.addEventListener("keydown", (event) => this.#press(event));
    this.stage.addEventListener("pointerdown", (event) => this.#down(event));
    this.stage.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the focus
    this.stage.addEventListener("dblclick", (event) => {
      this.zoomTo(this.#zoom > 1 ? 1 : 4, ...this.#at(event));
    });
    this.stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoomTo(this.#zoom * Math.exp(-event.deltaY / 300), ...this.#at(event));
    }, { passive: false });
    for (const button of this.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => this.#step(button.dataset.zoom === "in" ? 2 : 0.5));
    }
    this.split = this.range.value;
    this.#show();
  }

  /** Percent of the stage that shows the left image. */
  get split() { return Number(this.range.value); }
  set split(percent) {
    this.range.value = percent;
    this.stage.style.setProperty("--split", `${this.range.value}%`);
  }

  /** Show the whole image again. */
  reset() { this.zoomTo(1, 0, 0); }

  /** Zoom so that what is at (x, y) of the stage stays there. */
  zoomTo(zoom, x, y) {
    zoom = Math.min(this.constructor.LARGEST, Math.max(1, zoom));
    this.#x = x - ((x - this.#x) * zoom) / this.#zoom;
    this.#y = y - ((y - this.#y) * zoom) / this.#zoom;
    this.#zoom = zoom;
    this.#show();
  }

  #step(factor) {
    const { width, height } = this.stage.getBoundingClientRect();
    this.zoomTo(this.#zoom * factor, width / 2, height / 2);
  }

  #pan(x, y) {
    this.#x += x;
    this.#y += y;
    this.#show();
  }

  #show() {
    const { width, height } = this.stage.getBoundingClientRect();
    this.#x = Math.min(0, Math.max(this.#x, width * (1 - this.#zoom)));
    this.#y = Math.min(0, Math.max(this.#y, height * (1 - this.#zoom)));
    this.stage.style.setProperty("--zoom", this.#zoom);
    this.stage.style.setProperty("--x", `${this.#x}px`);
    this.stage.style.setProperty("--y", `${this.#y}px`);
    this.stage.classList.toggle("zoomed", this.#zoom > 1);
    this.querySelector("output").textContent = `${Math.round(10 * this.#zoom) / 10}×`;
  }

  #at(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #press(event) {
    const step = 0.1 * this.stage.clientWidth;
    const panning = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (event.shiftKey && panning[event.key]) this.#pan(...panning[event.key]);
    else if (event.key === "+" || event.key === "=") this.#step(2);
    else if (event.key === "-") this.#step(0.5);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }

  #down(event) {
    if (event.button) return;
    const width = this.stage.clientWidth;
    const [x] = this.#at(event);
    const onLine = Math.abs(x - (width * this.split) / 100) < 24;
    const panning = this.#zoom > 1 && !onLine;
    this.#fingers.set(event.pointerId, this.#at(event));
    if (!panning && this.#fingers.size === 1) this.split = (100 * x) / width;
    this.stage.setPointerCapture(event.pointerId);
    this.range.focus({ preventScroll: true });

    const move = (moved) => {
      if (moved.pointerId !== event.pointerId) return;
      const before = this.#fingers.get(event.pointerId);
      const now = this.#at(moved);
      this.#fingers.set(event.pointerId, now);
      const other = [...this.#fingers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) this.#pinch(other, before, now);
      else if (panning) this.#pan(now[0] - before[0], now[1] - before[1]);
      else this.split = (100 * now[0]) / width;
    };
    const stop = (ended) => {
      if (ended.pointerId !== event.pointerId) return;
      this.#fingers.delete(event.pointerId);
      this.stage.removeEventListener("pointermove", move);
      this.stage.removeEventListener("pointerup", stop);
      this.stage.removeEventListener("pointercancel", stop);
    };
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("pointerup", stop);
    this.stage.addEventListener("pointercancel", stop);
  }

  #pinch(fixed, before, now) {
    const distance = ([x, y]) => Math.hypot(x - fixed[0], y - fixed[1]);
    this.zoomTo((this.#zoom * distance(now)) / Math.max(1, distance(before)), ...fixed);
  }
});

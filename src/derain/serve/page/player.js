// Two clips played as one: before and after, under the same slider.

const APART = 0.04; // seconds by which they may differ: a frame

/** Plays the videos of a stage; the one after rain leads, with its sound. */
export class Player {
  /** @param {Element} place  Holds video.before, video.after and .player with its controls. */
  constructor(place) {
    this.before = place.querySelector("video.before");
    this.after = place.querySelector("video.after");
    this.button = place.querySelector(".play");
    this.seek = place.querySelector(".seek");
    this.clock = place.querySelector(".clock");
    this.button.addEventListener("click", () => (this.after.paused ? this.play() : this.pause()));
    this.seek.addEventListener("input", () => this.go(Number(this.seek.value)));
    for (const name of ["play", "pause", "ended", "timeupdate", "seeked", "loadedmetadata"]) {
      this.after.addEventListener(name, () => this.#show());
    }
    this.after.addEventListener("ended", () => this.before.pause());
  }

  /** Show two clips by their addresses, at their start. */
  load(before, after) {
    for (const [video, address] of [[this.before, before], [this.after, after]]) {
      if (video.src !== address) video.src = address;
      video.currentTime = 0;
    }
    this.seek.value = 0;
  }

  play() {
    this.before.currentTime = this.after.ended ? 0 : this.after.currentTime;
    return Promise.all([this.before.play(), this.after.play()]).catch(() => this.pause());
  }

  pause() {
    this.before.pause();
    this.after.pause();
    this.before.currentTime = this.after.currentTime;
  }

  go(seconds) { for (const video of [this.before, this.after]) video.currentTime = seconds; }

  /** Give the clips up, and with them the browser's memory of them. */
  empty() {
    for (const video of [this.before, this.after]) {
      if (!video.hasAttribute("src")) continue;
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
  }

  #show() {
    const { currentTime: now, duration, paused } = this.after;
    const length = Number.isFinite(duration) ? duration : 0;
    if (Math.abs(this.before.currentTime - now) > APART) this.before.currentTime = now;
    this.button.textContent = paused ? "Play" : "Pause";
    this.seek.max = length;
    this.seek.value = now;
    this.seek.setAttribute("aria-valuetext", `${time(now)} of ${time(length)}`);
    this.clock.textContent = `${time(now)} / ${time(length)}`;
  }
}

function time(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const images = JSON.parse(document.getElementById("images").textContent);

for (const image of all("img[data-image]")) image.src = images[image.dataset.image];

// Light or dark: as the system has it, until the button is pressed
document.getElementById("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});

// Tabs: the n-th button of a group shows its n-th panel
for (const group of all(".group")) {
  const tabs = all('[role="tab"]', group);
  const panels = all(".panel", group);
  tabs.forEach((tab, n) => tab.addEventListener("click", () => {
    tabs.forEach((other, m) => {
      other.setAttribute("aria-selected", String(m === n));
      panels[m].hidden = m !== n;
    });
  }));
}

// Sorting: cells without a value stay at the end
const valueOf = (row, column) => {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  if (text === "inf") return Infinity;
  return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
};
for (const table of all("table.sortable")) {
  const heads = all('th[scope="col"]', table);
  heads.forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const known = head.getAttribute("aria-sort");
      const first = head.classList.contains("n") ? "descending" : "ascending";
      const order = known === first ? (first === "ascending" ? "descending" : "ascending") : first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const rows = all("tbody tr", table).map((row) => [valueOf(row, column), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * (a < b ? -1 : a > b ? 1 : 0);
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); }
    });
  });
}

// Before and after, with zoom
for (const figure of all("figure")) {
  const stage = figure.querySelector(".stage");
  const range = figure.querySelector("input[type=range]");
  const output = figure.querySelector("output");
  const view = { zoom: 1, x: 0, y: 0 };

  const split = (percent) => {
    range.value = percent;
    stage.style.setProperty("--split", `${range.value}%`);
  };
  const show = () => {
    const { width, height } = stage.getBoundingClientRect();
    view.x = Math.min(0, Math.max(view.x, width * (1 - view.zoom)));
    view.y = Math.min(0, Math.max(view.y, height * (1 - view.zoom)));
    stage.style.setProperty("--zoom", view.zoom);
    stage.style.setProperty("--x", `${view.x}px`);
    stage.style.setProperty("--y", `${view.y}px`);
    stage.classList.toggle("zoomed", view.zoom > 1);
    output.textContent = `${Math.round(10 * view.zoom) / 10}×`;
  };
  const zoomTo = (zoom, x, y) => {
    zoom = Math.min(16, Math.max(1, zoom));
    view.x = x - ((x - view.x) * zoom) / view.zoom;
    view.y = y - ((y - view.y) * zoom) / view.zoom;
    view.zoom = zoom;
    show();
  };
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top, box.width];
  };

  range.addEventListener("input", () => split(range.value));
  stage.addEventListener("pointerdown", (event) => {
    const [x, , width] = at(event);
    const onLine = Math.abs(x - (width * range.value) / 100) < 24;
    const pan = view.zoom > 1 && !onLine;
    if (!pan) split((100 * x) / width);
    stage.setPointerCapture(event.pointerId);
    const start = { x: event.clientX - view.x, y: event.clientY - view.y };
    const move = (moved) => {
      if (pan) {
        view.x = moved.clientX - start.x;
        view.y = moved.clientY - start.y;
        show();
      } else split((100 * at(moved)[0]) / width);
    };
    stage.addEventListener("pointermove", move);
    const stop = () => stage.removeEventListener("pointermove", move);
    stage.addEventListener("pointerup", stop, { once: true });
    stage.addEventListener("pointercancel", stop, { once: true });
    range.focus({ preventScroll: true });
  });
  stage.addEventListener("dblclick", (event) => {
    const [x, y] = at(event);
    zoomTo(view.zoom > 1 ? 1 : 4, x, y);
  });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const [x, y] = at(event);
    zoomTo(view.zoom * Math.exp(-event.deltaY / 300), x, y);
  }, { passive: false });
  for (const button of all("[data-zoom]", figure)) {
    button.addEventListener("click", () => {
      const { width, height } = stage.getBoundingClientRect();
      zoomTo(view.zoom * (button.dataset.zoom === "in" ? 2 : 0.5), width / 2, height / 2);
    });
  }
  for (const button of all("[data-left]", figure)) {
    button.addEventListener("click", () => {
      const kind = button.dataset.left;
      const image = figure.querySelector(".over img");
      image.src = images[image.dataset[kind]];
      image.alt = kind;
      figure.querySelector(".tag.left").textContent = button.textContent;
      for (const other of all("[data-left]", figure)) {
        other.setAttribute("aria-pressed", String(other === button));
      }
    });
  }
  figure.querySelector("[data-wide]").addEventListener("click", (event) => {
    const wide = figure.classList.toggle("wide");
    event.target.textContent = wide ? "reduce" : "enlarge";
    view.zoom = 1;
    show();
  });
}

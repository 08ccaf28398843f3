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

// Each side of a slider shows what is chosen for it, and a figure may take the whole width
for (const figure of all("figure")) {
  for (const select of all("[data-side]", figure)) {
    const side = select.dataset.side;
    const image = figure.querySelector(side === "left" ? ".over img" : ".layer:not(.over) img");
    const show = () => {
      image.src = images[select.value];
      image.alt = select.selectedOptions[0].textContent;
      figure.querySelector(`.tag.${side}`).textContent = image.alt;
    };
    select.addEventListener("change", show);
    show(); // a browser that reloads the page keeps what was chosen
  }
  figure.querySelector("[data-wide]").addEventListener("click", (event) => {
    const wide = figure.classList.toggle("wide");
    event.target.textContent = wide ? "reduce" : "enlarge";
    figure.querySelector("before-after").reset();
  });
}

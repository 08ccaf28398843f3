"""The pages in a real browser: Debian's Chromium, without a window and without a network."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

pytest.importorskip("playwright", reason="the pages' tests need playwright (derain[dev])")

from playwright.sync_api import sync_playwright

from derain.data.layouts import Found, find_set
from derain.evaluation import blind, report, tables
from derain.evaluation.evaluate import Plan, evaluate
from derain.evaluation.models import EvaluationModel, rainy_input
from derain.io.pairs import PairPath

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
PATIENCE = 120_000  # milliseconds, far above what a page needs, as the machine may be busy

# Uses the page as a reader would and writes down what became of it
PROBE = """
<script>
addEventListener("load", async () => {
  const seen = {errors: window.seenErrors};
  const one = (selector, root = document) => root.querySelector(selector);
  const images = all("img[data-image]");
  await Promise.all(images.map((image) => image.decode()));
  seen.images = images.map((image) => [image.naturalWidth, image.naturalHeight]);
  seen.loaded = performance.getEntriesByType("resource").map((entry) => entry.name)
    .filter((name) => !name.startsWith("data:"));
  seen.wide = document.documentElement.scrollWidth - innerWidth;

  const rows = () => all("table.summary tbody th", one("#rain100h"));
  const names = () => rows().map((cell) => cell.textContent);
  const heads = all("table.summary th[scope=col]", one("#rain100h"));
  const by = (text) => heads.find((head) => head.textContent === text);
  seen.before = names();
  by("PSNR").click();
  seen.descending = names();
  by("PSNR").click();
  seen.ascending = names();
  seen.sorted = by("PSNR").getAttribute("aria-sort");

  const tabs = all(".group", one("#rain100h"))[0];
  all("[role=tab]", tabs)[1].click();
  seen.panels = all(".panel", tabs).map((panel) => getComputedStyle(panel).display !== "none");

  const figure = one("figure"), stage = one(".stage", figure);
  const left = () => getComputedStyle(one(".over", figure)).clipPath;
  seen.split = [left()];
  const range = one("input[type=range]", figure);
  range.value = 20;
  range.dispatchEvent(new Event("input"));
  seen.split.push(left());
  const box = () => { const b = one(".over img", figure).getBoundingClientRect(); return b.width; };
  const width = box();
  one("[data-zoom=in]", figure).click();
  one("[data-zoom=in]", figure).click();
  seen.zoom = [box() / width, one("output", figure).textContent];
  const place = stage.getBoundingClientRect();
  stage.dispatchEvent(new MouseEvent("dblclick", {clientX: place.left, clientY: place.top}));
  seen.unzoomed = box() / width;
  const before = one(".over img", figure).src;
  const choose = (side, text) => {
    const select = one(`[data-side=${side}]`, figure);
    select.value = [...select.options].find((option) => option.textContent === text).value;
    select.dispatchEvent(new Event("change"));
  };
  choose("left", "ground truth");
  seen.truth = [one(".over img", figure).src !== before, one(".tag.left", figure).textContent];
  choose("left", "half");
  choose("right", "most");
  const shown = all(".layer img", figure);
  seen.models = [shown[0].alt, shown[1].alt, shown[0].src !== shown[1].src,
    one(".tag.right", figure).textContent];

  const ground = () => getComputedStyle(document.body).backgroundColor;
  seen.themes = [ground()];
  one("#theme").click();
  seen.themes.push(ground());
  one("#theme").click();
  seen.themes.push(ground());
  const note = document.createElement("pre");
  note.id = "seen";
  note.textContent = JSON.stringify(seen);
  document.body.append(note);
});
</script>
"""
ERRORS = """<script>
window.seenErrors = [];
addEventListener("error", (event) => seenErrors.push(event.message));
</script>"""


def browse(page: Path) -> dict[str, Any]:
    """What the script of a page has written down of it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)
        tab = browser.new_page(viewport={"width": 1280, "height": 1000})
        tab.set_default_timeout(PATIENCE)
        tab.goto(page.as_uri())
        note = tab.wait_for_selector("#seen", state="attached")
        assert note
        return json.loads(note.text_content() or "")


@pytest.fixture
def page(
    world: Path, engine: Any, make_model: Callable[..., EvaluationModel], tmp_path: Path
) -> Path:
    stronger = replace(engine, fraction=0.9, record=replace(engine.record, name="most"))
    models = [rainy_input(), make_model(engine), make_model(stronger, "most")]
    results = evaluate(models, [find_set(world, "rain100h")], Plan(), world.parent / "cache")
    html = report.render(tables.build(results, everyone=True), {"derain": "0.0"})
    html = html.replace("<head>", "<head>" + ERRORS).replace("</body>", PROBE + "</body>")
    path = tmp_path / "report.html"
    path.write_text(html, "utf-8")
    return path


needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: apt-get install chromium"
)


@pytest.mark.slow
@needs_chromium
def test_the_report_works_in_chromium(page: Path) -> None:
    seen = browse(page)
    assert seen["errors"] == []
    assert seen["loaded"] == []
    assert seen["images"] == [[64, 48]] * 12  # three times restored and rainy, of two models
    assert seen["wide"] <= 0  # nothing sticks out of the window

    first, *others = seen["before"]
    assert first == "rainy input"
    assert others[:2] == ["most", "half"]
    assert seen["descending"][:3] == ["most", "half", "rainy input"]
    assert seen["ascending"][:3] == ["rainy input", "half", "most"]
    assert seen["ascending"][3:] == seen["before"][3:]  # without a value: they stay below
    assert seen["sorted"] == "ascending"

    assert seen["panels"] == [False, True, False]
    assert seen["split"][0] != seen["split"][1]
    assert seen["zoom"] == [pytest.approx(4, abs=0.01), "4×"]
    assert seen["unzoomed"] == pytest.approx(1, abs=0.01)
    assert seen["truth"] == [True, "ground truth"]
    assert seen["models"] == ["most", "half", True, "most"]
    light, dark, again = seen["themes"]
    assert light == again != dark


# Judges four photographs with the keyboard, comes back later, and looks at the result
JUDGED = [(8, 10), (0, 30), (30, 30), (17, 29)]
JUDGE = (
    f"<script>const JUDGED = {json.dumps(JUDGED)};</script>"
    + """
<script>
addEventListener("load", async () => {
  const press = (key, more = {}) => {
    const event = new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true, ...more});
    document.activeElement.dispatchEvent(event);
  };
  const kept = JSON.parse(sessionStorage.getItem("seen"));
  const named = () => models.filter((name) => document.body.innerText.includes(name));
  const visible = () => photographs[state.at].outputs.indexOf(one("output").src);
  if (!kept) {
    const seen = {errors: window.seenErrors, named: named(), keys: [], splits: [], at: []};
    seen.focus = document.activeElement === slider.range;
    for (const key of ["2", "1", "ArrowDown", "ArrowDown", "ArrowUp"]) {
      press(key);
      seen.keys.push([shown, state.orders[state.at][shown] === visible()]);
    }
    const width = one("output").getBoundingClientRect().width;
    press("+");
    seen.zoom = one("output").getBoundingClientRect().width / width;
    seen.splits.push(slider.split);
    press(" ");
    seen.splits.push(slider.split);
    document.activeElement.dispatchEvent(new KeyboardEvent("keyup", {key: " ", bubbles: true}));
    seen.splits.push(slider.split);

    const choose = (model) => {
      press(String(state.orders[state.at].indexOf(model) + 1));
      press("Enter");
    };
    choose(0);
    seen.at.push(state.at);
    press("p");
    seen.at.push(state.at);
    seen.remembered = visible();
    choose(1);  // a changed mind; on to the next that is not judged
    seen.at.push(state.at);
    press("n");
    press("t");
    seen.loaded = performance.getEntriesByType("resource").map((entry) => entry.name)
      .filter((name) => !name.startsWith("data:"));
    seen.wide = document.documentElement.scrollWidth - innerWidth;
    seen.orders = state.orders;
    sessionStorage.setItem("seen", JSON.stringify(seen));
    location.reload();
    return;
  }
  const seen = {...kept, choices: [...state.choices], kept: state.orders};
  seen.last = state.at;
  press(String(state.orders[state.at].indexOf(1) + 1));
  press("Enter");
  seen.finish = document.activeElement.id;
  seen.unnamed = named();
  document.activeElement.click();
  seen.revealed = named();
  const text = (row) => [...row.cells].map((cell) => cell.textContent);
  seen.rows = [...one("counts").rows].map(text);
  seen.wilson = JUDGED.map(([count, total]) => wilson(count, total));
  let blob;
  URL.createObjectURL = (made) => { blob = made; return "#"; };
  one("save").click();
  seen.saved = JSON.parse(await blob.text());
  const note = document.createElement("pre");
  note.id = "seen";
  note.textContent = JSON.stringify(seen);
  document.body.append(note);
});
</script>
"""
)


def drawn(found: Found) -> list[tuple[Found, PairPath]]:
    return blind.photographs([found], 9)


@pytest.mark.slow
@needs_chromium
def test_the_blind_page_works_in_chromium(
    world: Path, engine: Any, make_model: Callable[..., EvaluationModel], tmp_path: Path
) -> None:
    found = find_set(world, "Rain100H/rainy:real")
    stronger = replace(engine, fraction=0.9, record=replace(engine.record, name="most"))
    models = [make_model(engine), make_model(stronger, "most")]
    html = blind.render(models, drawn(found), world.parent / "cache")
    html = html.replace("<head>", "<head>" + ERRORS).replace("</body>", JUDGE + "</body>")
    (tmp_path / "blind.html").write_text(html, "utf-8")
    seen = browse(tmp_path / "blind.html")
    assert seen["errors"] == []
    assert seen["loaded"] == []
    assert seen["wide"] <= 0
    assert seen["named"] == seen["unnamed"] == []  # until the end

    assert seen["focus"]
    assert seen["keys"] == [[1, True], [0, True], [1, True], [0, True], [1, True]]
    assert seen["zoom"] == pytest.approx(2, abs=0.01)
    assert seen["splits"] == [0, 100, 0]
    assert seen["at"] == [1, 0, 1]
    assert seen["remembered"] == 0
    assert all(sorted(order) == [0, 1] for order in seen["orders"])

    assert seen["kept"] == seen["orders"]  # after a reload
    assert seen["choices"] == [1, "none", "unsure", None]
    assert seen["last"] == 3
    assert seen["finish"] == "finish"
    assert seen["revealed"] == ["half", "most"]
    assert [row[:4] for row in seen["rows"]] == [
        ["most", "2", "67 %", "21 to 94 %"],
        ["none is better", "1", "33 %", "6 to 79 %"],
        ["half", "0", "0 %", "0 to 56 %"],
    ]
    for (low, high), (count, total) in zip(seen["wilson"], JUDGED, strict=True):
        expected = binomtest(count, total).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert seen["saved"]["counts"]["most"]["count"] == 2
    photographs = seen["saved"]["photographs"]
    assert [p["chosen"] for p in photographs] == ["most", "none", "unsure", "most"]
    assert [p["name"] for p in photographs] == [f"rainy/{i.name}" for _, i in drawn(found)]
    for photograph, order in zip(photographs, seen["orders"], strict=True):
        assert photograph["shown"] == [models[n].name for n in order]

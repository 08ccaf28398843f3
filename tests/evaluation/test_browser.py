"""The report in a real browser: Debian's Chromium, without a window and without a network."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from derain.data.layouts import find_set
from derain.evaluation import report, tables
from derain.evaluation.evaluate import Plan, evaluate
from derain.evaluation.models import EvaluationModel, rainy_input

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=4000",
    "--window-size=1280,1000",
)  # fmt: skip

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
  one("[data-left=clean]", figure).click();
  seen.truth = [one(".over img", figure).src !== before, one(".tag.left", figure).textContent];

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


def browse(page: Path, profile: Path, *flags: str) -> str:
    command = [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={profile}", "--dump-dom"]
    done = subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def page(
    world: Path, engine: Any, make_model: Callable[..., EvaluationModel], tmp_path: Path
) -> Path:
    models = [rainy_input(), make_model(engine)]
    results = evaluate(models, [find_set(world, "rain100h")], Plan(), world.parent / "cache")
    html = report.render(tables.build(results, everyone=True), {"derain": "0.0"})
    html = html.replace("<head>", "<head>" + ERRORS).replace("</body>", PROBE + "</body>")
    path = tmp_path / "report.html"
    path.write_text(html, "utf-8")
    return path


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
def test_the_report_works_in_chromium(page: Path, tmp_path: Path) -> None:
    dom = browse(page, tmp_path / "profile")
    match = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)
    assert match, "the page's own script did not run to its end"
    seen = json.loads(unescape(match[1]))
    assert seen["errors"] == []
    assert seen["loaded"] == []
    assert seen["images"] == [[64, 48]] * 6  # three times restored and rainy
    assert seen["wide"] <= 0  # nothing sticks out of the window

    first, *others = seen["before"]
    assert first == "rainy input"
    assert others[0] == "half"
    assert seen["descending"][:2] == ["half", "rainy input"]
    assert seen["ascending"][:2] == ["rainy input", "half"]
    assert seen["ascending"][2:] == seen["before"][2:]  # without a value: they stay below
    assert seen["sorted"] == "ascending"

    assert seen["panels"] == [False, True, False]
    assert seen["split"][0] != seen["split"][1]
    assert seen["zoom"] == [pytest.approx(4, abs=0.01), "4×"]
    assert seen["unzoomed"] == pytest.approx(1, abs=0.01)
    assert seen["truth"] == [True, "ground truth"]
    light, dark, again = seen["themes"]
    assert light == again != dark

"""The page in a real browser, Debian's Chromium, before a real `derain serve`."""

import base64
import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("playwright", reason="the page's tests need playwright (derain[dev])")

from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright
from tests.serve.conftest import Running

CHROMIUM = shutil.which("chromium")
AXE = "axe-core@4.14.1"
EXAMPLE = (Path(__file__).resolve().parents[2] / "examples" / "rainy.jpg").read_bytes()
RAINY = cv2.imdecode(np.frombuffer(EXAMPLE, np.uint8), cv2.IMREAD_COLOR)
assert RAINY is not None
SMALL = cv2.imencode(".jpg", RAINY[:120, :180])[1].tobytes()  # done at once
LARGE = cv2.imencode(".jpg", cv2.resize(RAINY, (1200, 800)))[1].tobytes()  # takes seconds
DEEP = cv2.imencode(".png", RAINY[:120, :160].astype(np.uint16) * 257)[1].tobytes()
BROKEN = SMALL[:900]
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
PATIENCE = 60_000  # ms; the machine may be busy
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]

# Adds up every layout shift, also those that follow an input and count for nothing elsewhere.
SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifts += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
DROP = """(files) => {
  const data = new DataTransfer();
  for (const [name, type, text] of files) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  const drop = { dataTransfer: data, bubbles: true, cancelable: true };
  document.body.dispatchEvent(new DragEvent("drop", drop));
}"""


@pytest.fixture(scope="module", name="browser")
def browser_fixture() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=flags)


Visit = Callable[..., Page]


@pytest.fixture(name="visit")
def visit_fixture(browser: Browser) -> Iterator[Visit]:
    """Open the page of a server; every script error on it fails the test."""
    contexts = []
    errors: list[str] = []

    def open_page(
        server: Running,
        viewport: dict[str, int] = DESK,
        hear: Callable[[Request], None] = lambda request: None,
        **options: Any,
    ) -> Page:
        context = browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(SHIFTS)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", hear)
        page.goto(f"{server.address}/")
        expect(page.locator("#model")).to_be_enabled()
        return page

    expect.set_options(timeout=PATIENCE)
    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="module", name="axe")
def axe_fixture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, out of npm's registry."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("axe")
    if npm is None:
        pytest.skip("no npm to fetch axe-core with")
    done = subprocess.run(
        [npm, "pack", AXE, "--silent"], cwd=folder, capture_output=True, timeout=120, check=False
    )
    if done.returncode:
        pytest.skip(f"npm could not fetch {AXE}")
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder, filter="data")
    return (folder / "package" / "axe.min.js").read_text("utf-8")


def drop(page: Page, *files: tuple[str, bytes], type: str = "") -> None:
    page.evaluate(DROP, [(name, type, base64.b64encode(data).decode()) for name, data in files])


def row(page: Page, name: str) -> Locator:
    return page.locator("#rows li").filter(has=page.get_by_text(name, exact=True))


def wait_for(page: Page, name: str, state: str) -> Locator:
    found = row(page, name)
    expect(found).to_have_attribute("data-state", state)
    return found


def look_at(page: Page, name: str) -> None:
    row(page, name).locator(".pick").click()
    expect(
        page.locator("#viewer[data-shown=yes] .layer :is(img, video).before:visible")
    ).to_be_visible()


def download(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.locator(button).click()
    path = waiting.value.path()
    return waiting.value.suggested_filename, path.read_bytes()


def violations(page: Page, axe: str) -> list[str]:
    """What axe-core finds, in the light and in the dark."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe)
    found: list[str] = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        seen = page.evaluate("() => axe.run()")
        assert len(seen["passes"]) > 20  # it has looked
        found += [f"{v['id']}: {[n['html'] for n in v['nodes']]}" for v in seen["violations"]]
    return found


def overhang(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_a_first_visit_is_light_and_asks_nobody_else(server: Running, visit: Visit) -> None:
    asked: list[Request] = []
    page = visit(server, hear=lambda request: asked.append(request))
    page.wait_for_load_state("networkidle")
    sizes = [request.sizes() for request in asked]
    weight = sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)
    assert f"{server.address}/v1/models" in [request.url for request in asked]
    assert 20_000 < weight < 100_000

    page.get_by_role("button", name="Try the example").click()
    wait_for(page, "example.jpg", "done")
    look_at(page, "example.jpg")
    expect(page.locator(".facts")).to_contain_text("440 × 300 pixels")
    own = (server.address, f"blob:{server.address}")
    assert all(request.url.startswith(own) for request in asked)
    shifts = page.evaluate("window.shifts")
    assert shifts < 0.01


def test_of_three_dropped_images_the_broken_one_fails_alone(
    server: Running, visit: Visit, tmp_path: Path, derain: Any
) -> None:
    images = {"street.jpg": SMALL, "broken.jpg": BROKEN, "deep.png": DEEP}
    for name, data in images.items():
        (tmp_path / name).write_bytes(data)
    page = visit(server)
    drop(page, *images.items())
    wait_for(page, "street.jpg", "done")
    wait_for(page, "deep.png", "done")
    broken = wait_for(page, "broken.jpg", "failed")
    broken.locator(".pick").click()
    expect(page.locator(".message .why")).to_contain_text("amaged")
    expect(page.locator("#title")).to_have_text("broken.jpg")

    derain("restore", tmp_path / "street.jpg", tmp_path / "deep.png", "--jobs", 1)
    look_at(page, "deep.png")
    expect(page.locator(".facts")).to_contain_text("PNG, 16 bits")
    name, data = download(page, ".save")
    assert data == (tmp_path / name).read_bytes()
    look_at(page, "street.jpg")
    name, data = download(page, ".save")
    assert data == (tmp_path / "street_derained.jpg").read_bytes()
    name, archive = download(page, "#zip")
    assert name == "derained.zip"
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert files.testzip() is None
        assert files.namelist() == ["street_derained.jpg", "deep_derained.png"]
        for name in files.namelist():
            assert files.read(name) == (tmp_path / name).read_bytes()


def seen(page: Page) -> NDArray[np.float64]:
    """What the stage shows, in its middle third, where nothing lies over the image."""
    shot = np.frombuffer(page.locator(".stage").screenshot(), np.uint8)
    shown = cv2.imdecode(shot, cv2.IMREAD_COLOR)
    assert shown is not None
    height, width = (length // 3 for length in shown.shape[:2])
    return shown[height:-height, width:-width].astype(float)


def test_both_sides_show_their_image_and_strength_blends_them(
    server: Running, visit: Visit
) -> None:
    page = visit(server)
    drop(page, ("a.jpg", SMALL))
    wait_for(page, "a.jpg", "done")
    look_at(page, "a.jpg")
    slider = page.locator(".stage input")
    slider.fill("100")
    before = seen(page)
    slider.fill("0")
    after = seen(page)
    restored = cv2.imdecode(np.frombuffer(download(page, ".save")[1], np.uint8), cv2.IMREAD_COLOR)
    assert restored is not None
    assert RAINY is not None
    change = RAINY[:120, :180].astype(float) - restored
    expected = change[40:-40, 60:-60].mean()
    assert expected > 10
    assert (before - after).mean() == pytest.approx(expected, rel=0.1)
    for percent in (60, 150, 105):
        page.get_by_label("Strength").fill(str(percent))
        if percent > 100:
            canvas = page.locator(".beyond")
            expect(canvas).to_be_visible()
            expect(canvas).to_have_attribute("data-strength", str(percent))
        else:
            expect(page.locator(".beyond")).to_be_hidden()
        blend = np.clip(before + percent / 100 * (after - before), 0, 255)
        assert np.abs(seen(page) - blend).mean() < 1.5, percent
    above = np.clip(before + 1.5 * (after - before), 0, 255)
    assert np.abs(above - after).mean() > 3  # which a slider that ends at 100 % would not show


def test_strength_is_seen_at_once_and_downloaded_as_restore_writes_it(
    server: Running, visit: Visit, tmp_path: Path, derain: Any
) -> None:
    (tmp_path / "a.jpg").write_bytes(SMALL)
    derain("restore", tmp_path / "a.jpg", "--strength", 0.6)
    page = visit(server)
    drop(page, ("a.jpg", SMALL))
    wait_for(page, "a.jpg", "done")
    look_at(page, "a.jpg")
    page.get_by_label("Strength").focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("img.after")).to_have_css("opacity", "0.6")
    assert download(page, ".save")[1] == (tmp_path / "a_derained.jpg").read_bytes()
    derain("restore", tmp_path / "a.jpg", "--strength", 1.3, "--overwrite")
    page.get_by_label("Strength").fill("130")
    assert download(page, ".save")[1] == (tmp_path / "a_derained.jpg").read_bytes()
    page.get_by_label("Model").select_option("mspfn-lite")
    expect(page.locator("#about")).to_contain_text("MSPFN")
    page.get_by_role("button", name="Again with mspfn-lite").click()
    expect(page.locator(".facts")).to_contain_text("mspfn-lite, ")


def test_the_slider_follows_mouse_and_keys(server: Running, visit: Visit) -> None:
    page = visit(server)
    drop(page, ("a.jpg", SMALL))
    wait_for(page, "a.jpg", "done")
    look_at(page, "a.jpg")
    stage = page.locator(".stage")
    box = stage.bounding_box()
    assert box

    def split() -> float:
        clip = page.locator(".over").evaluate("e => getComputedStyle(e).clipPath")
        line = page.locator(".line").bounding_box()
        assert line
        assert "inset" in clip
        return (line["x"] + 1 - box["x"]) / box["width"]

    def zoomed() -> float:
        image = page.locator("img.before").bounding_box()
        assert image
        return image["width"] / box["width"]

    middle = box["y"] + box["height"] / 2
    assert split() == pytest.approx(0.5, abs=0.01)
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.2 * box["width"], middle, steps=3)
    page.mouse.up()
    assert split() == pytest.approx(0.2, abs=0.01)
    for _ in range(4):
        page.keyboard.press("ArrowRight")  # the slider has the focus
    assert split() == pytest.approx(0.22, abs=0.01)

    page.keyboard.press("+")
    assert zoomed() == pytest.approx(2, abs=0.01)
    before = page.locator("img.before").bounding_box()
    page.keyboard.press("Shift+ArrowRight")
    after = page.locator("img.before").bounding_box()
    assert before
    assert after
    assert after["x"] - before["x"] == pytest.approx(-0.1 * box["width"], abs=1)
    page.mouse.move(box["x"] + 0.7 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"] + 30, middle + 20, steps=3)
    page.mouse.up()
    panned = page.locator("img.before").bounding_box()
    assert panned
    assert panned["x"] - after["x"] == pytest.approx(30, abs=1)
    assert panned["y"] - after["y"] == pytest.approx(20, abs=1)
    page.keyboard.press("0")
    assert zoomed() == pytest.approx(1, abs=0.01)
    page.mouse.dblclick(box["x"] + 0.7 * box["width"], middle)
    assert zoomed() == pytest.approx(4, abs=0.01)


def test_what_cannot_be_done_is_said_and_the_rest_goes_on(server: Running, visit: Visit) -> None:
    page = visit(server)
    tiff = cv2.imencode(".tif", np.full((64, 80, 3), 90, np.uint8))[1].tobytes()
    drop(page, ("IMG_1.HEIC", b"abc"), ("a.mp4", b"abc"), ("empty.jpg", b""), ("scan.tif", tiff))
    page.evaluate("""() => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(64_000_001)], "huge.png"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
    }""")
    for name, why in {
        "IMG_1.HEIC": "Save it as JPEG", "empty.jpg": "no bytes", "huge.png": "up to 64 MB",
    }.items():  # fmt: skip
        wait_for(page, name, "failed").locator(".pick").click()
        expect(page.locator(".message .why")).to_contain_text(why)
        expect(page.locator(".retry")).to_be_hidden()
    wait_for(page, "scan.tif", "done")
    look_at(page, "scan.tif")  # no browser shows TIFF: the server has drawn it
    assert page.locator("img.before").evaluate("i => [i.naturalWidth, i.naturalHeight]") == [80, 64]
    assert page.locator("#spoken").text_content()


def test_everything_is_reached_by_keyboard(server: Running, visit: Visit) -> None:
    page = visit(server)

    def press_until(selector: str, key: str = "Tab") -> None:
        for _ in range(30):
            page.keyboard.press(key)
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"{key} does not reach {selector}")

    press_until("[data-choose=files]")
    press_until("#example")
    page.keyboard.press("Enter")
    wait_for(page, "example.jpg", "done")
    drop(page, ("b.jpg", SMALL), ("c.jpg", SMALL))
    wait_for(page, "c.jpg", "done")
    press_until(".pick")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#title")).to_have_text("b.jpg")
    page.keyboard.press("Delete")
    expect(page.locator("#rows li")).to_have_count(2)
    assert page.evaluate("document.activeElement.className") == "pick"
    for selector in (
        "#zip",
        "#clear",
        ".stage input",
        "[data-zoom=in]",
        ".strength input",
        ".save",
    ):
        press_until(selector)


def test_axe_finds_nothing_in_any_state(server: Running, visit: Visit, axe: str) -> None:
    page = visit(server, reduced_motion="reduce")
    motion = "e => getComputedStyle(e).transitionDuration"
    assert page.locator("#example").evaluate(motion) == "0s"
    assert violations(page, axe) == []
    drop(page, ("large.jpg", LARGE), ("next.jpg", SMALL), ("broken.jpg", BROKEN))
    wait_for(page, "large.jpg", "running")
    assert violations(page, axe) == []
    wait_for(page, "broken.jpg", "failed").locator(".pick").click()
    assert violations(page, axe) == []
    wait_for(page, "next.jpg", "done")
    look_at(page, "next.jpg")
    page.locator("[data-zoom=in]").click()
    assert violations(page, axe) == []


def test_a_phone_shows_it_without_scrolling_sideways(server: Running, visit: Visit) -> None:
    page = visit(server, PHONE, has_touch=True)
    assert overhang(page) <= 0
    long = "a long name of an image from the holidays in Norway.jpg"
    drop(page, (long, SMALL), ("broken.jpg", BROKEN))
    assert overhang(page) <= 0
    wait_for(page, "broken.jpg", "failed").locator(".pick").click()
    assert overhang(page) <= 0
    wait_for(page, long, "done")
    look_at(page, long)
    page.get_by_label("Strength").fill("40")
    assert overhang(page) <= 0
    for button in page.locator("button:visible").all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= 24
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]


def test_a_full_queue_is_waited_for_and_a_dead_server_costs_no_result(
    start: Callable[..., Running], visit: Visit, axe: str
) -> None:
    small = start("--queue=1")
    page = visit(small, reduced_motion="reduce")
    drop(page, ("a.jpg", SMALL), ("b.jpg", SMALL), ("c.jpg", SMALL))
    expect(page.get_by_text(re.compile("Server busy, again in .* s")).first).to_be_visible()
    assert violations(page, axe) == []
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        wait_for(page, name, "done")

    drop(page, ("large.jpg", LARGE))
    wait_for(page, "large.jpg", "running")
    small.process.kill()
    expect(page.locator("#notice")).to_contain_text("does not answer")
    wait_for(page, "large.jpg", "waiting")
    assert violations(page, axe) == []
    look_at(page, "a.jpg")
    name, data = download(page, ".save")
    assert name == "a_derained.jpg"
    assert data.startswith(b"\xff\xd8\xff")

    small.process.wait()
    start("--port", small.address.rpartition(":")[2])
    wait_for(page, "large.jpg", "done")
    expect(page.locator("#notice")).to_be_hidden()

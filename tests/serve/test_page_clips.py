"""Clips on the page, in a real browser."""

import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="the page's tests need playwright (derain[dev])")
pytest.importorskip("av", reason='needs pip install "derain[video]"')

from playwright.sync_api import Page, expect
from tests.serve.conftest import Running
from tests.serve.test_page import (  # noqa: F401  (fixtures, which pytest finds by their names)
    CHROMIUM,
    PHONE,
    SMALL,
    Visit,
    axe_fixture,
    browser_fixture,
    download,
    drop,
    look_at,
    overhang,
    violations,
    visit_fixture,
    wait_for,
)
from tests.video.clips import make, needs_ffmpeg

pytestmark = [
    pytest.mark.slow,
    needs_ffmpeg,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]

TIMES = "() => [...document.querySelectorAll('.stage video')].map((v) => v.currentTime)"


def until(page: Page, condition: str) -> None:
    """Wait for an expression of the page; `wait_for_function` polls by `eval`, which it forbids."""
    end = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(50)


def test_before_and_after_of_a_clip_play_as_one(
    server: Running,
    visit: Visit,
    axe: str,
    tmp_path: Path,
    derain: Any,
) -> None:
    clip = make(tmp_path / "street.mp4", frames=40, picture="testsrc2=size=96x64:rate=20")
    assert derain("restore", clip, "-o", tmp_path / "dry.mp4")[0] == 0
    page: Page = visit(server, reduced_motion="reduce")
    broken = clip.read_bytes()[:900]
    drop(page, ("street.mp4", clip.read_bytes()), ("broken.mp4", broken), type="video/mp4")
    drop(page, ("a.jpg", SMALL))
    expect(page.get_by_text(r"Frame").first).to_be_visible()
    assert violations(page, axe) == []
    wait_for(page, "a.jpg", "done")
    wait_for(page, "broken.mp4", "failed").locator(".pick").click()
    expect(page.locator(".message .why")).not_to_be_empty()
    wait_for(page, "street.mp4", "done")
    look_at(page, "street.mp4")
    expect(page.locator(".facts")).to_contain_text("Frames40")
    expect(page.locator(".facts")).to_contain_text("96 × 64 pixels")
    expect(page.get_by_label("Strength")).to_be_hidden()
    assert page.locator(".stage img:visible").count() == 0
    assert violations(page, axe) == []

    expect(page.locator(".clock")).to_have_text("0:00 / 0:02")
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"Math.min(...({TIMES})()) > 0")
    expect(page.locator(".clock")).to_have_text("0:02 / 0:02")  # it has played to its end
    expect(page.locator(".play")).to_have_text("Play")
    page.get_by_label("Position in the clip").fill("1.05")
    until(page, f"({TIMES})().every((t) => Math.abs(t - 1.05) < 0.001)")
    page.locator(".stage input").fill("20")
    assert "80%" in page.locator(".over").evaluate("e => getComputedStyle(e).clipPath")

    name, data = download(page, ".save")
    assert name == "street_derained.mp4"
    assert data == (tmp_path / "dry.mp4").read_bytes()
    with zipfile.ZipFile(BytesIO(download(page, "#zip")[1])) as files:
        assert files.read("street_derained.mp4") == data
    look_at(page, "a.jpg")
    assert page.locator(".stage video:visible").count() == 0
    assert page.locator("video.after").get_attribute("src") is None

    assert page.evaluate("window.shifts") < 0.02
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    look_at(page, "street.mp4")
    assert overhang(page) <= 0
    clock, tools = (page.locator(name).bounding_box() for name in (".clock", ".tools"))
    assert clock
    assert tools
    assert clock["x"] + clock["width"] <= tools["x"] + tools["width"] + 1


def test_the_answer_of_the_server_can_be_sought_in(
    server: Running,
    visit: Visit,
    http: Any,
    tmp_path: Path,
) -> None:
    clip = make(tmp_path / "a.mp4", frames=60, picture="testsrc2=size=64x48:rate=10")
    job = http.post("/v1/jobs", files={"file": clip.open("rb")}).json()
    assert "event: done" in http.get(job["events"], timeout=300).text
    page = visit(server)
    found = page.evaluate(
        """(address) => new Promise((resolve, reject) => {
          const video = document.createElement("video");
          video.addEventListener("error", () => reject(video.error.message));
          video.addEventListener("loadedmetadata", () => { video.currentTime = 4.5; });
          video.addEventListener("seeked", () => resolve([video.currentTime, video.duration]));
          Object.assign(video, { muted: true, preload: "metadata", src: address });
        })""",
        job["result"],
    )
    assert found == [pytest.approx(4.5), pytest.approx(6.0, abs=0.2)]

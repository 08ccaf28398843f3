"""Clips under rain that falls on: what neighbouring frames add to the network.

    python -m benchmarks.video ../shared/data/train                   # the default network
    python -m benchmarks.video ../shared/data/train --look FOLDER     # frames to look at
    python -m benchmarks.video ../shared/data/train --tuning          # scenes to choose numbers on

Clips of 320x240 are made from large photographs: a pan, a zoom, and an object cut from another
photograph that flies across; light and heavy rain of `derain.rain.falling`. Per clip PSNR (dB) and
SSIM, protocol `y`, of the middle frames frame by frame and with `--temporal`; the same inside the
flying object, where ghosts would be; and flicker: the mean absolute difference (of 255) of a
result and the one before, moved by the true motion. The clean clip's own flicker is what resampling
makes. The numbers in `derain.video.temporal` are chosen on the tuning scenes, which have other
photographs, motions and rain than those that are reported.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.io.decode import read_rgb
from derain.io.levels import quantise
from derain.metrics import psnr, ssim
from derain.rain.falling import FallingRain
from derain.restore import load
from derain.video.temporal import fuse

SIZE = (240, 320)
FRAMES = 12
RAIN = {
    "light": {"zoom": 1.2, "mean": 0.03, "peak": 0.25, "groups": 2},
    "heavy": {"zoom": 1.6, "mean": 0.16, "peak": 0.45, "groups": 3},
}
Image = NDArray[Any]
Motion = Callable[[int], NDArray[np.float64]]  # frame -> (2, 3) from its pixels to the photograph


def pan(dx: float, dy: float, x: float, y: float) -> Motion:
    """A camera that turns, by (dx, dy) px per frame, from a place in the photograph."""
    return lambda frame: np.array([[1, 0, x + dx * frame], [0, 1, y + dy * frame]])


def zoom(factor: float, scale: float, x: float, y: float) -> Motion:
    """A camera that comes nearer to a place, or goes back, by a factor per frame."""

    def motion(frame: int) -> NDArray[np.float64]:
        now = scale * factor**frame
        return np.array([[now, 0, x - 160 * now], [0, now, y - 120 * now]])

    return motion


def still(seed: int, px: float, x: float, y: float) -> Motion:
    """A hand that trembles by some px."""

    def motion(frame: int) -> NDArray[np.float64]:
        dx, dy = np.random.default_rng([seed, frame]).normal(0, px, 2)
        return np.array([[1, 0, x + dx], [0, 1, y + dy]])

    return motion


@dataclass(frozen=True)
class Scene:
    """A clip to be.

    Attributes:
        photo: Number of the photograph.
        seed: Of the rain.
        camera: How the camera moves.
        other: Number of the photograph that the flying object is cut from.
        speed: (x, y) of the flying object in px per frame; None for none.
    """

    photo: int
    seed: int
    camera: Motion
    other: int = 40
    speed: tuple[float, float] | None = None


SCENES = {
    "pan": Scene(3, 0, pan(3.3, 0.7, 150, 200)),
    "zoom": Scene(10, 1, zoom(0.988, 1.3, 480, 380)),
    "fast object": Scene(17, 2, still(7, 0.6, 300, 250), 42, (17, 4)),
}
TUNING = {
    "slow pan": Scene(0, 100, pan(2.4, -0.4, 120, 160)),
    "pan back": Scene(6, 101, pan(-4.6, 0.9, 300, 180)),
    "zoom in": Scene(12, 102, zoom(0.985, 1.2, 420, 330)),
    "zoom out": Scene(15, 103, zoom(1.01, 0.9, 420, 330)),
    "object": Scene(22, 104, still(5, 0.5, 200, 200), 44, (14, -3)),
    "object that leaves": Scene(27, 105, still(9, 0.8, 260, 180), 50, (-12, 6)),
    "object in a pan": Scene(33, 106, pan(1.3, 0.3, 180, 220), 55, (9, 3)),
    "still": Scene(36, 107, still(3, 0.3, 220, 260)),
    "fast pan": Scene(60, 108, pan(7, 1.5, 150, 200)),
    "object in a zoom": Scene(66, 109, zoom(0.99, 1.1, 400, 300), 58, (16, 2)),
}


@dataclass(frozen=True)
class Clean:
    """A frame without rain, the mask of the object, and both motions to the frame before."""

    image: Image  # (H, W, 3) float32
    mask: Image  # (H, W) float32, 1 on the object
    back: Image  # (H, W, 2) where each pixel was in the frame before


def frames_of(scene: Scene, photo: Image, other: Image) -> Iterator[Clean]:
    """The clean frames of a scene."""
    height, width = SIZE
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    for k in range(FRAMES):
        matrix, before = scene.camera(k), scene.camera(max(k - 1, 0))
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(photo, matrix, (width, height), flags=flags)
        step = np.linalg.inv(np.vstack([before, [0, 0, 1]])) @ np.vstack([matrix, [0, 0, 1]])
        back = grid @ step[:2, :2].T.astype(np.float32) + step[:2, 2].astype(np.float32)
        mask = np.zeros(SIZE, np.float32)
        if scene.speed:
            x, y = 40 + scene.speed[0] * k, 90 + scene.speed[1] * k
            centre = (round(x * 16), round(y * 16))
            cv2.ellipse(mask, centre, (40 * 16, 28 * 16), 0, 0, 360, 1.0, -1, cv2.LINE_AA, 4)
            shift = np.array([[1, 0, 300 - x], [0, 1, 300 - y]], np.float64)
            thing = cv2.warpAffine(other, shift, (width, height), flags=flags)
            image = image + (thing - image) * mask[..., None]
            moved = grid - np.array(scene.speed if k else (0, 0), np.float32)
            back = np.where(mask[..., None] > 0.5, moved, back)
        yield Clean(np.clip(image, 0, 1).astype(np.float32), mask, back)


def flicker(results: list[Image], clip: list[Clean]) -> float:
    """Mean absolute difference of consecutive frames along the true motion, of 255."""
    found: list[float] = []
    for k in range(1, len(clip)):
        x, y = clip[k].back[..., 0], clip[k].back[..., 1]
        moved = cv2.remap(results[k - 1], x, y, cv2.INTER_CUBIC)
        seen = (x >= 1) & (y >= 1) & (x <= SIZE[1] - 2) & (y <= SIZE[0] - 2)
        # Nobody saw before what the object has just uncovered.
        uncovered = np.maximum(clip[k - 1].mask - clip[k].mask, 0)
        seen &= cv2.dilate(uncovered, np.ones((5, 5))) == 0
        found.append(float(np.abs(results[k] - moved).mean(2)[seen].mean()) * 255)
    return float(np.mean(found))


def score(results: list[Image], clip: list[Clean]) -> dict[str, float]:
    """PSNR and SSIM over the middle frames, PSNR on the object, flicker."""
    rows: list[tuple[float, float, float]] = []
    for result, clean in list(zip(results, clip, strict=True))[2:-2]:
        a, b = quantise(result), quantise(clean.image)
        on = clean.mask > 0.5
        error = np.square(result - clean.image)[on].mean() if on.any() else np.nan
        with np.errstate(divide="ignore"):  # the clean clip's is infinite
            rows.append((psnr(a, b), ssim(a, b), float(-10 * np.log10(error))))
    means = np.mean(rows, 0)
    return {
        "PSNR": means[0], "SSIM": means[1], "object": means[2], "flicker": flicker(results, clip),
    }  # fmt: skip


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--look", type=Path)
    parser.add_argument("--tuning", action="store_true")
    arguments = parser.parse_args()
    photos = sorted((arguments.data / "backgrounds_large").glob("*.jpg"))
    restorer = load()
    print(
        "| Clip | Rain | | PSNR | SSIM | on the object | flicker |\n|---|---|---|---|---|---|---|"
    )
    for name, scene in (TUNING if arguments.tuning else SCENES).items():
        photo, other = (
            read_rgb(photos[k]).astype(np.float32) / 255 for k in (scene.photo, scene.other)
        )
        clip = list(frames_of(scene, photo, other))
        clean = [frame.image for frame in clip]
        for kind, changes in RAIN.items():
            rain = FallingRain(SIZE, scene.seed, changes)
            rainy = [rain(image, k) for k, image in enumerate(clean)]
            single = [restorer.restore_pixels(image) for image in rainy]
            together = list(fuse(zip(rainy, single, strict=True)))
            rows = {"rainy": rainy, "frame by frame": single, "temporal": together, "clean": clean}
            for what, results in rows.items():
                cells = " | ".join(f"{value:.4g}" for value in score(results, clip).values())
                print(f"| {name} | {kind} | {what} | {cells} |", flush=True)
            if arguments.look:
                arguments.look.mkdir(parents=True, exist_ok=True)
                sheet = np.hstack([rows[what][FRAMES // 2] for what in rows])
                path = arguments.look / f"{name}-{kind}.png".replace(" ", "-")
                cv2.imwrite(str(path), quantise(sheet)[..., ::-1])


if __name__ == "__main__":
    main()

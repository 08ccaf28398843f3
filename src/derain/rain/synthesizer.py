"""RainSynthesizer: a clean image in, a rainy one, its ground truth and the rain out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from derain.io.levels import quantise
from derain.rain import augment, blending
from derain.rain.arrays import ImageF, Layer
from derain.rain.presets import MIXTURES, PRESETS, LayerPreset, Mixture, Preset, ScenePreset
from derain.rain.ranges import Changes, Draw, check_keys, override
from derain.rain.window import Window, place

Target = Literal["clean", "hazy"]


@dataclass(frozen=True)
class RainSample:
    """A training pair and what made it."""

    rainy: NDArray[Any]  # the kind (shape, dtype) of the clean image
    target: NDArray[Any]  # the same kind: what a network should return
    rain: Layer  # (H, W), at least 0: the layer R of the blend mode
    params: dict[str, Any]  # fit for JSON: preset, seed, index, target and every value drawn


class RainSynthesizer:
    """Lays rain over clean images.

    Every draw comes from one generator seeded by (seed, index): item k is the same image
    whatever the number of workers and the order of the calls.

    Args:
        preset: A name from `PRESETS` or `MIXTURES`.
        overrides: Range name -> number or (low, high), in place of the preset's own range. In a
            mixture it holds for every preset that has such a range.
        seed: At least 0.
        target: Target of the realistic presets. "hazy" keeps the haze and the light of a rainy day
            and lacks streaks, noise and JPEG (for networks that remove streaks); "clean" is the
            image as it was given. The benchmark presets have no haze: both are the same.
        layers: Photographs of rain on black, (h, w) each, uint8 or float in [0, 1]: mixed as in
            RainMix, in place of a benchmark preset's own rain and beside that of the photo
            presets. Not for `real` and `real-night`.

    Raises:
        ValueError: If the preset or an override is unknown, or a range is impossible.
    """

    def __init__(
        self,
        preset: str = "rain100h",
        overrides: Changes | None = None,
        seed: int = 0,
        target: Target = "hazy",
        layers: Sequence[NDArray[Any]] | None = None,
    ) -> None:
        if target not in get_args(Target):
            raise ValueError(f"unknown target {target!r}; known: {', '.join(get_args(Target))}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0, not {seed}")
        self.name, self.seed, self.target, self.layers = preset, seed, target, layers
        mixture = _as_mixture(preset)
        self._names = list(mixture.probabilities)
        self._probabilities = np.array(list(mixture.probabilities.values()))
        presets = _with_changes({name: PRESETS[name] for name in self._names}, mixture.changes)
        self._members = _with_changes(presets, overrides or {})
        fixed = [name for name, member in self._members.items() if not _takes_layers(member)]
        if layers is not None and fixed:
            raise ValueError(f"preset {preset!r}: {fixed[0]} takes no layers")

    def __call__(
        self,
        image: NDArray[Any],
        depth: NDArray[Any] | None = None,
        index: int = 0,
        full_size: tuple[int, int] | None = None,
    ) -> RainSample:
        """Rain on one image.

        Args:
            image: (H, W) or (H, W, 3), RGB, uint8 or float in [0, 1].
            depth: (H, W) in [0, 1], 1 = far, for the realistic presets; None invents one.
            index: At least 0; another index is other rain.
            full_size: (H, W) of the whole image where `image` is a crop of it: the size of
                realistic rain follows from it.

        Returns:
            The pair, in the kind of `image`.

        Raises:
            ValueError: If a shape or a value range is wrong.
            TypeError: If the dtype is neither uint8 nor float.
        """
        background = _to_float(image)
        depth = None if depth is None else _checked_depth(depth, background)
        rng = np.random.default_rng([self.seed, index])
        name = self._names[rng.choice(len(self._names), p=self._probabilities)]
        preset = self._members[name]
        size = (background.shape[0], background.shape[1])
        window = place(size, full_size or size, rng)
        draw = Draw(rng, preset.ranges)
        if isinstance(preset, ScenePreset):
            rainy, target, rain = preset.render(background, depth, window, draw, self.layers or ())
        else:
            target, rain = background, self._layer(preset, window, draw)
            if preset.blend == "add":
                rainy = blending.add(background, rain)
            else:
                rain = np.minimum(rain, 1)
                offset = draw("offset") if "offset" in preset.ranges else 0.0
                rainy = blending.screen(background, rain, offset)
        unchanged = self.target == "clean" or target is background
        origin = {"preset": self.name, "seed": self.seed, "index": index, "target": self.target}
        found = {"member": name, "top": window.top, "left": window.left}
        return RainSample(
            rainy=_like(rainy, image),
            target=image.copy() if unchanged else _like(target, image),
            rain=rain,
            params=origin | found | draw.params,
        )

    def _layer(self, preset: LayerPreset, window: Window, draw: Draw) -> Layer:
        """The rain layer of a benchmark preset, perhaps varied, or of the user's own layers."""
        if self.layers is not None:
            return augment.mix_layers(self.layers, window.size, draw)
        if draw.chance("augment_probability"):
            return augment.vary(
                lambda size: preset.render(draw, size, window.full), window.size, window.scale, draw
            )
        return preset.render(draw, window.size, window.full)


def _as_mixture(name: str) -> Mixture:
    """A mixture by its name; a preset is a mixture of one."""
    if name in MIXTURES:
        return MIXTURES[name]
    if name in PRESETS:
        return Mixture(PRESETS[name].about, {name: 1.0})
    raise ValueError(f"unknown preset {name!r}; known presets: {', '.join([*PRESETS, *MIXTURES])}")


def takes_layers_beside(name: str) -> bool:
    """Whether a preset or mixture mixes photographs of rain into rain of its own."""
    return any(
        "layers_probability" in PRESETS[member].ranges for member in _as_mixture(name).probabilities
    )


def _takes_layers(preset: Preset) -> bool:
    """Whether photographs of rain can be mixed into it."""
    return isinstance(preset, LayerPreset) or "layers_probability" in preset.ranges


def _with_changes(members: dict[str, Preset], changes: Changes) -> dict[str, Preset]:
    """Presets with their ranges overridden; a key must be a range of at least one of them."""
    check_keys(changes, {key for preset in members.values() for key in preset.ranges})
    return {
        name: replace(
            preset,
            ranges=override(
                preset.ranges, {k: v for k, v in changes.items() if k in preset.ranges}
            ),
        )
        for name, preset in members.items()
    }


def _to_float(image: NDArray[Any]) -> ImageF:
    """Any accepted image -> (H, W, 1 or 3) float32 in [0, 1]."""
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or image.size == 0:
        raise ValueError(f"image must be (H, W) or (H, W, 3), not {image.shape}")
    if image.dtype == np.uint8:
        values = image.astype(np.float32) / 255
    elif np.issubdtype(image.dtype, np.floating):
        values = image.astype(np.float32)
        _check_unit("a float image", values)
    else:
        raise TypeError(f"image must be uint8 or float, not {image.dtype}")
    return values[..., None] if image.ndim == 2 else values


def _checked_depth(depth: NDArray[Any], background: ImageF) -> Layer:
    """A user's depth map as float32, or why it is none."""
    if depth.shape != background.shape[:2]:
        raise ValueError(f"depth must be {background.shape[:2]} like the image, not {depth.shape}")
    _check_unit("depth", depth)
    return depth.astype(np.float32)


def _check_unit(name: str, values: NDArray[Any]) -> None:
    """Raise ValueError for values outside [0, 1], NaN included."""
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{name} must lie in [0, 1], not [{values.min():g}, {values.max():g}]")


def _like(values: ImageF, image: NDArray[Any]) -> NDArray[Any]:
    """Give float values the shape and dtype of `image`; they are rounded once, here."""
    if image.dtype == np.uint8:
        return quantise(values).reshape(image.shape)
    return values.astype(image.dtype).reshape(image.shape)

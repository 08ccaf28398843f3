"""Rain synthesis: any clean image -> (rainy image, ground truth, rain layer).

Whole folders: ``rain/folder.py``, contact sheets: ``rain/sheet.py``; both need Pillow, the rest
NumPy and OpenCV alone. Source: our own design and measurements of the public benchmarks;
docs/rain.md tells them.
"""

from derain.rain.presets import MIXTURES, PRESETS
from derain.rain.synthesizer import RainSample, RainSynthesizer

__all__ = [
    "MIXTURES",
    "PRESETS",
    "RainSample",
    "RainSynthesizer",
]

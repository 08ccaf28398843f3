"""Rain synthesis: any clean picture -> (rainy picture, ground truth, rain layer).

Source: our own design and measurements of the public benchmarks; docs/rain.md tells them.
"""

from derain.rain.folder import FolderResult, read_layers, synthesize_folder
from derain.rain.presets import MIXTURES, PRESETS
from derain.rain.sheet import contact_sheet
from derain.rain.synthesizer import RainSample, RainSynthesizer

__all__ = [
    "MIXTURES",
    "PRESETS",
    "FolderResult",
    "RainSample",
    "RainSynthesizer",
    "contact_sheet",
    "read_layers",
    "synthesize_folder",
]

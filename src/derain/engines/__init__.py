"""How a network is run: an engine turns (N, 3, H, W) float32 in [0, 1] into the same, derained.

Height and width divide by the record's ``size_multiple``: whoever calls an engine pads.
"""

from derain.engines.choice import Choice, choose, engine_of, find_model, load_engine
from derain.engines.engine import Batch, Engine, EngineModule, require_size
from derain.engines.table import ENGINES, EngineSpec, device_kinds, precisions

__all__ = [
    "ENGINES",
    "Batch",
    "Choice",
    "Engine",
    "EngineModule",
    "EngineSpec",
    "choose",
    "device_kinds",
    "engine_of",
    "find_model",
    "load_engine",
    "precisions",
    "require_size",
]

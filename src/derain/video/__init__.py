"""Clips: rain out of every frame, all else as it was.

import derain
import derain.video

derain.video.restore("clip.mp4", "dry.mp4", derain.load())

Needs `pip install derain[video]`: PyAV, whose wheels contain FFmpeg with GPL libraries.
"""

try:
    import av  # noqa: F401
except ModuleNotFoundError:
    raise ImportError("clips need `pip install derain[video]`") from None

from derain.video.run import Progress, Report, Stopped, VideoSettings, restore
from derain.video.stream import stream
from derain.video.temporal import CONTEXT

__all__ = ["CONTEXT", "Progress", "Report", "Stopped", "VideoSettings", "restore", "stream"]

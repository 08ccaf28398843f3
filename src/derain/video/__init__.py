"""Clips: rain out of every frame, all else as it was.

    import derain, derain.video

    derain.video.restore("clip.mp4", "dry.mp4", derain.load())

Needs `pip install 'derain[video]'`: PyAV, whose wheels contain FFmpeg with GPL libraries.
"""

from derain.video.run import Progress, Report, Stopped, VideoSettings, restore

__all__ = ["Progress", "Report", "Stopped", "VideoSettings", "restore"]

"""The image formats that derain knows, and the one error that a file of them can cause."""

# Suffix -> format as Pillow names it.
FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF",
    ".tiff": "TIFF", ".bmp": "BMP", ".gif": "GIF", ".avif": "AVIF",
    ".ppm": "PPM", ".pgm": "PPM", ".jp2": "JPEG2000",
}  # fmt: skip
SUFFIXES = tuple(FORMATS)
SIXTEEN_BIT = ("PNG", "TIFF", "PPM")
WITH_ALPHA = ("PNG", "TIFF", "WEBP", "AVIF", "GIF", "JPEG2000")
ANIMATED = ("GIF", "PNG", "WEBP")  # formats of animated images
MAX_PIXELS = 250_000_000  # of an image of any format, unless the caller sets another limit
MAX_LENGTH = 1 << 20  # pixels of a height or width; OpenCV's own limit


def printable(text: str) -> str:
    """Text with control characters, which file names may hold, written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class ImageError(ValueError):
    """An image that cannot be read or written; one line that names it and the way out."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def one_line(error: BaseException) -> str:
    """The first line of what an error says, or else its kind."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__

"""Training data: images in memory, crops drawn from them, rain on the way."""

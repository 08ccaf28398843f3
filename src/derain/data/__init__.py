"""Training data: pictures in memory, crops drawn from them, rain on the way."""

"""Image files: formats, the gate for untrusted bytes, decoding, encoding, pairs, whole files.

``decode.read_image`` and ``encode.write_image`` are one image's way in and out, ``pairs`` finds
rainy images and their clean ones, ``atomic.write_atomically`` writes a file whole or not at all.
The modules are imported by name: the 8-bit path needs only OpenCV, metadata and rare formats need
Pillow, and ``levels`` needs neither.
"""

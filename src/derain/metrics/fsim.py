"""FSIM and FSIMc: feature similarity (Zhang et al., IEEE TIP 2011). NumPy alone.

Source: the paper, sections II and III; phase congruency after Kovesi ("Image features from phase
congruency", Videre 1999) with the constants of specs/metrics.md, section 4. Written from these;
no code of the authors' release, whose licence allows research only, is used.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from derain.metrics.colour import yiq
from derain.metrics.filters import box_downsample, correlate, downsampling_factor, pad
from derain.metrics.inputs import AnyImage, Plane, check_same_size

_SCALES, _ORIENTATIONS = 4, 4
_MIN_WAVELENGTH, _SCALE_STEP = 6, 2  # pixels; ratio of successive wavelengths
_SIGMA_ON_F = 0.55  # bandwidth of a log-Gabor filter: sigma of its Gaussian over its frequency
_SIGMA_ANGLE = math.pi / _ORIENTATIONS / 1.2
_CUTOFF, _SHARPNESS = 0.45, 15  # low-pass that rounds off the corners of the frequency square
_NOISE_DEVIATIONS = 2  # threshold: mean of the noise plus so many standard deviations ...
_NOISE_RATIO = 1.7  # ... which is divided by this, an empirical correction
_EPSILON = 1e-4

_T1, _T2, _T3, _T4 = 0.85, 160.0, 200.0, 200.0  # phase congruency, gradient, I, Q
_COLOUR_EXPONENT = 0.03


class FSIM(NamedTuple):
    """The two indices of one pair: luminance alone, and luminance with colour."""

    fsim: float
    fsimc: float


def _frequencies(n: int) -> Plane:
    # Kovesi's grid: for odd n it ends at +-0.5, unlike np.fft.fftfreq
    steps = np.arange(n) - n // 2
    return np.fft.ifftshift(steps / (n - n % 2))


def log_gabor(height: int, width: int) -> tuple[Plane, Plane]:
    """Return the filter bank's radial part (scales, H, W) and angular part (orientations, H, W).

    A filter in the frequency domain is the product of one of each. The zero frequency comes first.
    """
    u, v = _frequencies(width), _frequencies(height)[:, None]
    radius = np.hypot(u, v)
    low_pass = 1 / (1 + (radius / _CUTOFF) ** (2 * _SHARPNESS))
    radius[0, 0] = 1  # the logarithm needs a number there; the filter is set to 0 below
    centres = 1 / (_MIN_WAVELENGTH * _SCALE_STEP ** np.arange(_SCALES))
    deviations = np.log(radius / centres[:, None, None]) / math.log(_SIGMA_ON_F)
    radial = np.exp(-(deviations**2) / 2) * low_pass
    radial[:, 0, 0] = 0

    angles = np.arange(_ORIENTATIONS)[:, None, None] * math.pi / _ORIENTATIONS
    distance = np.arctan2(-v, u) - angles
    distance = np.abs((distance + math.pi) % (2 * math.pi) - math.pi)  # the way round is shorter
    return radial, np.exp(-(distance**2) / (2 * _SIGMA_ANGLE**2))


def _noise_threshold(finest: NDArray[np.complex128], filters: Plane) -> float:
    # The finest scale's response is taken for noise, whose energy is Rayleigh distributed. Its
    # scale follows from the noise power per unit of filter and the even part of the summed
    # filters: the real part of their impulse response (Kovesi 1999, section 5; Parseval).
    median = np.median(finest.real**2 + finest.imag**2)
    power = median / math.log(2) / np.sum(filters[0] ** 2)
    total = filters.sum(axis=0)
    mirrored = np.roll(total[::-1, ::-1], 1, axis=(0, 1))  # the value at the opposite frequency
    scale = math.sqrt(power * np.sum(((total + mirrored) / 2) ** 2))
    mean, deviation = scale * math.sqrt(math.pi / 2), scale * math.sqrt(2 - math.pi / 2)
    return (mean + _NOISE_DEVIATIONS * deviation) / _NOISE_RATIO


def phase_congruency(plane: Plane, radial: Plane, angular: Plane) -> Plane:
    """Measure at every pixel how far the waves that make up an image agree in phase.

    Args:
        plane: (H, W) in 0..255.
        radial: (scales, H, W) of `log_gabor`.
        angular: (orientations, H, W) of `log_gabor`.

    Returns:
        (H, W) in 0..1; 0 where there is nothing but noise.
    """
    spectrum = np.fft.fft2(plane)
    energy, amplitude = np.zeros_like(plane), np.zeros_like(plane)
    for orientation in angular:
        filters = radial * orientation
        # One scale at a time, so that temporaries stay in the processor's cache. The real part is
        # the response to an even filter, the imaginary part to an odd one.
        responses = [np.fft.ifft2(spectrum * band) for band in filters]
        mean = sum(responses, start=np.zeros_like(spectrum))
        turn = mean.conj() / (np.abs(mean) + _EPSILON)
        agreement = np.full_like(plane, -_noise_threshold(responses[0], filters))
        for response in responses:
            amplitude += np.abs(response)
            response *= turn  # real: along the mean phase; imaginary: across it
            agreement += response.real - np.abs(response.imag)
        energy += np.maximum(agreement, 0)
    return np.divide(energy, amplitude, out=np.zeros_like(energy), where=amplitude > 0)


def gradient(plane: Plane) -> Plane:
    """Scharr's gradient magnitude of (H, W); zeros lie beyond the border."""
    x = pad(plane, 1, 1, "constant")
    smooth, difference = np.array([3, 10, 3]) / 16, np.array([1, 0, -1])
    across = correlate(correlate(x, smooth, axis=0), difference, axis=1)
    down = correlate(correlate(x, difference, axis=0), smooth, axis=1)
    return np.hypot(across, down)


def _similarity(a: Plane, b: Plane, constant: float) -> Plane:
    return (2 * a * b + constant) / (a**2 + b**2 + constant)


def fsim_pair(image: AnyImage, reference: AnyImage) -> FSIM:
    """Measure FSIM and FSIMc at once, for about the cost of one.

    Args:
        image: (H, W, 3) or (H, W) uint8.
        reference: The same.

    Returns:
        Both indices, at most 1 (equal images); higher is better.

    Raises:
        ValueError: Sizes that differ, or arrays that are no 8-bit images.
    """
    check_same_size(image, reference)
    factor = downsampling_factor(*image.shape[:2])
    (y1, i1, q1), (y2, i2, q2) = (
        box_downsample(yiq(one), factor, "constant") for one in (image, reference)
    )
    bank = log_gabor(*y1.shape)
    pc1, pc2 = phase_congruency(y1, *bank), phase_congruency(y2, *bank)
    luminance = _similarity(pc1, pc2, _T1) * _similarity(gradient(y1), gradient(y2), _T2)
    chroma = _similarity(i1, i2, _T3) * _similarity(q1, q2, _T4)
    colour = (chroma.astype(complex) ** _COLOUR_EXPONENT).real  # the product may be negative

    weight = np.maximum(pc1, pc2)
    if not weight.any():  # two flat images: no pixel matters more than another
        weight = np.ones_like(weight)
    total = weight.sum()
    return FSIM(
        float((luminance * weight).sum() / total),
        float((luminance * colour * weight).sum() / total),
    )


def fsim(image: AnyImage, reference: AnyImage) -> float:
    """Measure FSIM, on luminance alone; see `fsim_pair`."""
    return fsim_pair(image, reference).fsim


def fsimc(image: AnyImage, reference: AnyImage) -> float:
    """Measure FSIMc, FSIM with colour; see `fsim_pair`."""
    return fsim_pair(image, reference).fsimc

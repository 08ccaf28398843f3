"""SIRR, or SSIR, SEMI: semi-supervised transfer learning (Wei et al., CVPR 2019, 1807.11078).

Not one of the three papers. A DDN that learns from synthetic pairs and at the same time from real
rainy images alone: what it takes out of those has to look like rain, which is a mixture of three
Gaussians, fitted while training. After the authors' code (wwzjer/Semi-supervised-IRR), whose
weights fit (derain.weights.convert) and are those of a DDN.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from derain.models.blocks import require_one_of
from derain.models.ddn import DDN, DDNConfig

FLOOR = 1e-6  # added to variances, so that none is zero


@dataclass(frozen=True)
class SIRRConfig(DDNConfig):
    """A DDN, and what its two branches share."""

    # Our reading of the paper, which says that all weights are shared. In the authors' code real
    # images go through biases, scales and shifts of their own, which nobody uses afterwards.
    shared_affine: bool = True

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        super().__post_init__()
        require_one_of(self, form=("image",), shared_affine=(True, False))


class SIRR(DDN):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up.
    """

    def __init__(self, config: SIRRConfig | None = None) -> None:
        config = config or SIRRConfig()
        super().__init__(config)
        own = {} if config.shared_affine else dict(self.named_parameters())
        self.of_real = nn.ParameterDict(
            {name.replace(".", "-"): p.detach().clone() for name, p in own.items() if p.dim() == 1}
        )

    def derain_real(self, image: Tensor) -> Tensor:
        """``forward`` for real images, in training."""
        own = {name.replace("-", "."): p for name, p in self.of_real.items()}
        return functional_call(self, own, (image,))


class Mixture(NamedTuple):
    """Gaussians around zero."""

    variances: Tensor  # (K,)
    weights: Tensor  # (K,), with the sum 1


def responsibilities(errors: Tensor, mixture: Mixture) -> Tensor:
    """The E-step: how probable it is that each error comes from each Gaussian, (n,) -> (n, K)."""
    squares = errors.flatten()[:, None] ** 2
    variances, weights = mixture
    logarithms = weights.log() - (2 * math.pi * variances).log() / 2 - squares / (2 * variances)
    return logarithms.softmax(dim=1)


def refit(errors: Tensor, weights: Tensor) -> Mixture:
    """The M-step: the mixture that fits errors (n,) with their responsibilities (n, K)."""
    counts = weights.sum(dim=0)
    variances = (weights * errors.flatten()[:, None] ** 2).sum(dim=0) / counts
    return Mixture(variances + FLOOR, counts / len(weights))


def update(errors: Tensor, mixture: Mixture) -> tuple[Mixture, Tensor]:
    """What the authors do once per batch: E, M, E, in f64.

    Args:
        errors: Real rainy images minus derained ones, any shape of n numbers.
        mixture: The one after the last batch, in f64.

    Returns:
        The new mixture, and the responsibilities (n, K) by it.
    """
    with torch.no_grad():
        errors = errors.double()
        mixture = refit(errors, responsibilities(errors, mixture))
        return mixture, responsibilities(errors, mixture)


class Losses(NamedTuple):
    """The terms of the loss, weighted by nothing yet."""

    pairs: Tensor  # mean squared error of the synthetic pairs
    mixture: Tensor  # how improbable what was taken out of the real images is
    variation: Tensor  # total variation of the derained real images, per image
    divergence: Tensor  # of synthetic rain from the nearest Gaussian; no gradient

    def total(self) -> Tensor:
        """With the authors' weights."""
        return self.pairs + 0.5 * self.mixture + 1e-5 * self.variation + 1e-9 * self.divergence


def losses(
    network: SIRR, rainy: Tensor, clean: Tensor, real: Tensor, mixture: Mixture, weights: Tensor
) -> Losses:
    """The loss of a batch.

    Args:
        network: In training mode.
        rainy: Synthetic rain, (N, 3, H, W) in [0, 1].
        clean: Without it, the same shape.
        real: Real rainy images, (M, 3, H, W) in [0, 1].
        mixture: From ``update``.
        weights: The responsibilities from ``update``, whose errors lie in the order (M, 3, H, W).
    """
    derained = network.derain_real(real)
    squares = (real - derained).flatten()[:, None] ** 2
    down, right = (derained.diff(dim=axis).abs().sum() for axis in (2, 3))
    return Losses(
        pairs=F.mse_loss(network(rainy), clean),
        mixture=(weights * squares / (2 * mixture.variances)).sum(dim=1).mean(),
        variation=(down + right) / len(real),
        divergence=divergence(rainy - clean, mixture),
    )


def divergence(rain: Tensor, mixture: Mixture) -> Tensor:
    """KL divergence of synthetic rain, as one Gaussian, from the nearest of a mixture.

    The authors' code has the variance where a standard deviation belongs. It does not depend on
    the network, so it moves the printed loss and nothing else.
    """
    variance, mean = torch.var_mean(rain, correction=0)
    deviation = mixture.variances
    ratio = (variance + mean**2) / (2 * deviation**2)
    return ((deviation / variance.sqrt()).log() + ratio - 0.5).min()

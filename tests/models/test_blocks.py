"""What the networks share."""

import pytest
import torch

from derain.models.blocks import concatenate


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_joined_features_hand_back_their_own_gradients(layout):
    """As torch.cat does, but each in memory of its own: views are slow to add."""
    torch.manual_seed(0)
    features = [torch.randn(2, c, 6, 5).contiguous(memory_format=layout) for c in (3, 1, 4)]
    weights = torch.randn(2, 8, 6, 5).contiguous(memory_format=layout)
    ours, theirs = ([x.clone().requires_grad_() for x in features] for _ in range(2))
    joined = concatenate(*ours)
    assert torch.equal(joined, torch.cat(theirs, dim=1))
    handed_back = torch.autograd.grad((joined * weights).sum(), ours)
    expected = torch.autograd.grad((torch.cat(theirs, dim=1) * weights).sum(), theirs)
    for gradient, reference in zip(handed_back, expected, strict=True):
        assert torch.equal(gradient, reference)
        assert gradient.is_contiguous(memory_format=layout)
        assert gradient.untyped_storage().nbytes() == 4 * gradient.numel()

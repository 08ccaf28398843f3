import torch
from torch import nn

from derain.models.norms import ImageNorm2d


def layers(*widths: int) -> nn.Sequential:
    """Pixel by pixel, so that a flat image stays flat."""
    torch.manual_seed(0)
    return nn.Sequential(*(
        layer
        for inputs, outputs in zip((3, *widths), widths, strict=False)
        for layer in (ImageNorm2d(inputs), nn.Conv2d(inputs, outputs, 1))
    )).eval()  # fmt: skip


def test_outside_training_it_is_instance_normalisation():
    norm = ImageNorm2d(3).eval()
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    images = torch.rand(2, 3, 9, 11)
    expected = nn.functional.instance_norm(images, weight=norm.weight, bias=norm.bias)
    torch.testing.assert_close(norm(images), expected)


def test_in_training_it_is_batch_normalisation_and_keeps_statistics_if_asked():
    norm, like = ImageNorm2d(3, track_running_stats=True), nn.BatchNorm2d(3)
    images = torch.rand(2, 3, 9, 11)
    torch.testing.assert_close(norm(images), like(images))
    torch.testing.assert_close(norm.running_var, like.running_var)
    assert list(ImageNorm2d(3).buffers()) == []


def test_rounding_of_a_flat_image_does_not_grow_from_layer_to_layer():
    network = layers(8, 8, 8)
    flat = torch.rand(1, 3, 1, 1).expand(1, 3, 31, 37)
    with torch.no_grad():
        single, double = network(flat), network.double()(flat.double())
    assert (single - double).abs().max() < 1e-6

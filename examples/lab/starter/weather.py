"""Other days: what sun, haze, sensors and clouds do to patches."""

import torch
from torch import Tensor
from torch.nn import functional

HAZE = (0.8, 1.0, 1.2, 0.4)
"""Of B04, B03, B02, B08: the air scatters blue most, the near infrared least."""

KERNEL = (1.0, 2.0, 1.0)


def weathered(images: Tensor, clouds: float, missing: float) -> Tensor:
    """Images (B, 4, s, s), in spreads, of another day.

    Args:
        images: Square ones.
        clouds: The share of images in which clouds and their shadows stand that no mask knows of.
        missing: The share without the near infrared: at its median.
    """
    count, bands, side, _ = images.shape
    device = images.device

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device)

    def field(knots: int) -> Tensor:
        """(B, 1, s, s), smooth, of about deviation 1: so many knots to the side."""
        z = normal(count, 1, knots, knots)
        return functional.interpolate(z, size=(side, side), mode="bicubic", align_corners=True)

    def one() -> Tensor:
        return rand(count, 1, 1, 1)

    # Sun and calibration: of all bands together, and of each.
    gain = 0.15 * normal(count, 1, 1, 1) + 0.1 * normal(count, bands, 1, 1)
    level = 0.15 * normal(count, 1, 1, 1) + 0.1 * normal(count, bands, 1, 1)
    x = images * torch.exp(gain) + level
    x = x + (one() < 0.3) * field(3) * 0.4 * torch.tensor(HAZE, device=device).view(1, 4, 1, 1)
    # Other optics: blurred or sharpened, then noisy.
    kernel = torch.tensor(KERNEL, device=device)
    kernel = (kernel[:, None] * kernel / kernel.sum() ** 2).view(1, 1, 3, 3)
    padded = functional.pad(x.reshape(-1, 1, side, side), (1, 1, 1, 1), mode="replicate")
    blurred = functional.conv2d(padded, kernel).view_as(x)
    x = x + torch.where(one() < 0.4, one() * 1.3 - 0.5, 0.0) * (blurred - x)
    x = x + normal(*x.shape) * one() ** 2 * 0.2
    # Views of 8 bits are saturated.
    x = torch.minimum(x, torch.where(one() < 0.3, 1.5 + 4 * one(), 99.0))
    # Clouds of some cover, and the shadows of all of a batch to the same side.
    height = field(4) + 0.5 * field(9) + 0.25 * field(17)
    cloud = ((height - (one() * 1.6 - 0.3)) * 3).clamp(0, 1) * (one() < clouds)
    offset = tuple(torch.randint(-12, 13, (2,)).tolist())
    shadow = torch.roll(cloud, offset, (2, 3))
    x = x * (1 - 0.5 * shadow) - 1.2 * shadow
    x = x * (1 - cloud * (0.4 + 0.6 * one())) + cloud * (6 + 6 * one())
    infrared = torch.ones_like(x[:, :, :1, :1])
    infrared[:, 3:] = one() > missing
    return x * infrared

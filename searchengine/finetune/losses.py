"""Contrastive losses over one batch of images and captions.

Every loss takes `images` (n, dim) and `texts` (m, dim), float32, not yet normalised, and `fits`, an
(m, n) boolean matrix: whether text j is known to describe image i. Several captions of an image
may be in the batch. A text that fits an image is never its negative; each image counts the same,
however many texts it has.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_NEVER = -1e9  # not -inf: where all texts fit, the gradient would be 0 / 0


def info_nce(images: Tensor, texts: Tensor, fits: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of scaled cosines (CLIP, arXiv 2103.00020; InfoNCE, 1807.03748).

    Each fitting pair is told from the images that its text does not fit, and from the texts that
    do not fit its image. `scale` is the inverse temperature. With one caption an image and no
    repeats this is the loss of CLIP.
    """
    logits = scale * F.normalize(texts) @ F.normalize(images).T
    against = logits.masked_fill(fits, _NEVER)
    other_images = torch.logsumexp(against, dim=1, keepdim=True)
    other_texts = torch.logsumexp(against, dim=0, keepdim=True)
    surprise = (
        torch.logaddexp(logits, other_images) + torch.logaddexp(logits, other_texts) - 2 * logits
    )
    share = fits / fits.sum(dim=0, keepdim=True).clamp(min=1)
    return (surprise * share).sum() / fits.any(dim=0).sum() / 2


def soft_targets(images: Tensor, texts: Tensor, fits: Tensor) -> Tensor:
    """Cross-entropy against the batch's own similarities, after M. M. Shariatnia's simple CLIP.

    With L = texts . images, the targets are softmax((images . images + texts . texts) / 2), at
    temperature 1 and without normalisation; the loss is the mean over texts and over images. No
    gradient is stopped, as in the source. An image with several texts is repeated for each.
    """
    text, image = fits.nonzero(as_tuple=True)
    texts, images = texts[text], images[image]
    logits = texts @ images.T
    targets = F.softmax((images @ images.T + texts @ texts.T) / 2, dim=1)
    of_texts = -(targets * F.log_softmax(logits, dim=1)).sum(dim=1)
    of_images = -(targets.T * F.log_softmax(logits.T, dim=1)).sum(dim=1)
    weight = (1 / fits.sum(dim=0))[image]
    return ((of_texts + of_images) / 2 * weight).sum() / weight.sum()


def sigmoid(images: Tensor, texts: Tensor, fits: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Every pair on its own, fitting or not, as SigLIP has it (arXiv 2303.15343).

    Summed over pairs and divided by the number of texts.
    """
    logits = scale * F.normalize(texts) @ F.normalize(images).T + bias
    sign = torch.where(fits, 1.0, -1.0)
    return -F.logsigmoid(sign * logits).sum() / len(texts)

"""Which pixels belong to the boxes of one series, and how they fit into few label maps."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.findings import Box, Lesion

Pixels = tuple[slice, slice]  # rows, columns
Size = tuple[int, int]  # rows, columns of the images


def pixels_of(box: Box, size: Size) -> Pixels:
    """The pixels whose centres lie in the box; at least one, that which holds the centre of the box."""
    rows, columns = size
    return _along(box.y0, box.y1, rows), _along(box.x0, box.x1, columns)


def any_overlap(lesions: Sequence[Lesion], size: Size) -> bool:
    """Whether a pixel of an image belongs to two lesions."""
    return any(
        lesion.image == other.image and _overlap(pixels_of(lesion.box, size), pixels_of(other.box, size))
        for index, lesion in enumerate(lesions)
        for other in lesions[:index]
    )


def layers_of(lesions: Sequence[Lesion], size: Size) -> list[list[int]]:
    """Indices of lesions that lie on one image without overlap; an image with overlapping boxes has several layers.

    A label map per layer takes less memory than highdicom's other form, one plane per image and segment.
    """
    pixels = [pixels_of(lesion.box, size) for lesion in lesions]
    layers: list[list[int]] = []
    for index, lesion in enumerate(lesions):
        for layer in layers:
            same_image = lesions[layer[0]].image == lesion.image
            if same_image and not any(_overlap(pixels[index], pixels[other]) for other in layer):
                layer.append(index)
                break
        else:
            layers.append([index])
    return layers


def label_maps(layers: Sequence[Sequence[int]], lesions: Sequence[Lesion], size: Size) -> NDArray[np.uint16]:
    """(layers, rows, columns): 1 + the index of the lesion that a pixel belongs to, 0 outside the boxes."""
    maps = np.zeros((len(layers), *size), np.uint16)
    for layer, label_map in zip(layers, maps, strict=True):
        for index in layer:
            label_map[pixels_of(lesions[index].box, size)] = index + 1
    return maps


def _along(start: float, end: float, length: int) -> slice:
    """Pixel i reaches from i to i + 1, its centre is i + 0.5. A centre on the end belongs to the next box."""
    first, stop = max(0, math.ceil(start - 0.5)), min(length, math.ceil(end - 0.5))
    if first >= stop:
        first = min(length - 1, max(0, math.floor((start + end) / 2)))
        stop = first + 1
    return slice(first, stop)


def _overlap(a: Pixels, b: Pixels) -> bool:
    return all(p.start < q.stop and q.start < p.stop for p, q in zip(a, b, strict=True))

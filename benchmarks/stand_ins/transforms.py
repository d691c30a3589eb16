"""The transforms of torchvision that diffusers' example scripts use, by Pillow and NumPy."""

from __future__ import annotations

import enum
import random

import numpy as np
import torch
from PIL import Image


class InterpolationMode(enum.Enum):
    BILINEAR = "bilinear"
    LANCZOS = "lanczos"


class Compose:
    def __init__(self, parts):
        self.parts = parts

    def __call__(self, image):
        for part in self.parts:
            image = part(image)
        return image


class Lambda:
    def __init__(self, function):
        self.function = function

    def __call__(self, image):
        return self.function(image)


class Resize:
    def __init__(self, size, interpolation=None):
        self.size = size

    def __call__(self, image):
        scale = self.size / min(image.size)
        size = tuple(round(scale * side) for side in image.size)
        return image.resize(size, Image.Resampling.LANCZOS)


class RandomCrop:
    def __init__(self, size):
        self.size = size

    def __call__(self, image):
        left, top = (random.randint(0, side - self.size) for side in image.size)
        return image.crop((left, top, left + self.size, top + self.size))


class CenterCrop:
    def __init__(self, size):
        self.size = size

    def __call__(self, image):
        left, top = ((side - self.size) // 2 for side in image.size)
        return image.crop((left, top, left + self.size, top + self.size))


class RandomHorizontalFlip:
    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, image):
        is_flipped = random.random() < self.p
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if is_flipped else image


class ToTensor:
    def __call__(self, image):
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


class Normalize:
    def __init__(self, mean, std):
        self.mean = mean[0]
        self.std = std[0]

    def __call__(self, image):
        return (image - self.mean) / self.std

"""The attention kernels' images, as the library beside them finds and checks them."""

from importlib.metadata import version
from typing import NamedTuple

from . import _core
from ._core import ImageError

__all__ = ["Image", "ImageError", "image_bytes", "images"]

__version__ = version("fastpath")


class Image(NamedTuple):
    """One code object: its name, the GPU it was compiled for, its size in bytes."""

    name: str
    isa: str
    size: int


def images() -> list[Image]:
    """Every image of this installation, by name.

    Raises ImageError where one is missing, cut short or made for another GPU than it should be.
    """
    return [Image(*image) for image in _core.images()]


def image_bytes(name: str) -> bytes:
    """The code object of that name. Raises KeyError where there is none, ImageError as above."""
    return _core.image_bytes(name)

"""Kernels compiled ahead of time, as a library that C programs link: shared object or archive, and header."""

from vertebra.core.library.build import KINDS, Library, build
from vertebra.core.library.model import Kernel, Specialisation

__all__ = ["KINDS", "Kernel", "Library", "Specialisation", "build"]

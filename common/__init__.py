"""The shared part of twinlora: pure Python and NumPy. Imports neither PyTorch nor MindSpore."""

__version__ = "0.2.0"

"""The version of the package, on its own so that the build can read it without importing torch."""

__version__ = "0.22.0"

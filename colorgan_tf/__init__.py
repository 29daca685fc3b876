"""Diverse colorization with conditional GANs (COLORGAN, 2017) in TensorFlow 2 and Keras 3."""


def __getattr__(name):
    if name == "Colorizer":  # on demand: importing the package for something else loads nothing
        from .colorizer import Colorizer

        return Colorizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

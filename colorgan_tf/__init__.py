"""Diverse colorization with conditional GANs (COLORGAN, 2017) in TensorFlow 2 and Keras 3."""

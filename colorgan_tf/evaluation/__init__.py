"""Measuring colorizers: evaluate.py's parts. Nothing here is imported by training or inference."""

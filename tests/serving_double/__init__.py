"""A protocol double of a model server, for tests and benchmarks: it is not TF Serving, and proves nothing about it.

It speaks the documented gRPC and REST forms with the official stubs, runs exports in the C++ Session from the graph
alone, replays warm-up records, and can put TensorFlow's own batch scheduler around a model.
"""

"""Kernels of our own, in C, for what runtimes do slowly: compiled once on the machine that runs them.

`library` compiles and loads them, `attention` is memory attention, and `engine` puts it in the place of
OpenVINO's, which runs the rest.
"""

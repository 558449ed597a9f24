"""Kernels of our own, in C, for what runtimes do slowly: compiled once on the machine that runs them.

`library` compiles and loads them. `encoder`, `attention`, `decoder`, `memory` and `frames` each call the one
of their name, and `engine` puts them in the place of OpenVINO's graphs.
"""

"""Comparing this package with numbers made by the published implementations.

``python -m tests.parity.check --golden FOLDER`` runs every case of a folder of such numbers.
"""

"""Measuring: metrics, protocols, data sets and reports."""

"""Simulated detectors: each module makes events whose truth is exact.

``tracker`` (Pythia 8, the ACTS generic detector, Fatras), ``calorimeter`` and ``lartpc``. Nothing heavy is imported
here: import the module of the detector you want.
"""

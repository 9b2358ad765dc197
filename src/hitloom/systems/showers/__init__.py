"""Shower growing in LArTPC detectors: which 2D clusters of a wire view are of one particle."""

"""Evaluation of shower growing: events are wire views, points are 2D clusters, results group them."""

"""Evaluation outputs: numbers as JSON and CSV, plots, one self-contained HTML report, event displays.

Nothing heavy is imported here: matplotlib, plotly and jinja2 load inside the functions that draw.
"""

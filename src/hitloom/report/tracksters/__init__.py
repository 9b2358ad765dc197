"""The evaluation of linked tracksters: official rates, missing and foreign energy, edges, display, report.

Nothing heavy is imported here: matplotlib, plotly and jinja2 load inside the functions that draw.
"""

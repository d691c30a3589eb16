"""Asks questions of whole models: which drift suits a cohort, and whether drift can matter at all.

estimate.py   the closed form per channel, and how much of a start the model copies
search.py     the grid: pictures for every delta against real ones
gauge.py      pictures -> the numbers that are compared      curve.py   the whole curve -> a choice, and what speaks against it
points.py     one file per delta, resumable, over processes
results.py    what both found, as JSON and as a page
"""

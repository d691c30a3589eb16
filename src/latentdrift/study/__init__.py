"""Asks questions of whole models: which drift suits a cohort, whether drift can matter at all, which method is best.

estimate.py   the closed form per channel, and how much of a start the model copies
search.py     the grid: pictures for every delta against real ones
gauge.py      pictures -> the numbers that are compared      curve.py   the whole curve -> a choice, and what speaks against it
points.py     one file per delta, resumable, over processes
results.py    what both found, as JSON and as a page

bench.py      methods x variants x seeds, as a literal table says      bench_run.py   fits, draws and judges them
table.py      what such a table is: variants.py (`bench drift`), table1.py to table4.py (the paper's)
bench_edits.py  edits and judges them, where a table has an editor; editing.py (`bench editors`) and cases.py know how
jury.py       pictures -> brightness and distances       exam.py   pictures -> the AUC of a classifier of classes.py
bench_rows.py results -> rows                            bench_page.py   rows -> files
"""

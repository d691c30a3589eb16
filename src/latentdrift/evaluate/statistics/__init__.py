"""Confidence intervals that resample patients, and the area under the ROC curve."""

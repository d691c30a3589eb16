"""Training: `train.py` is one fit from start to end, `cost_estimate.py` its cost beforehand."""

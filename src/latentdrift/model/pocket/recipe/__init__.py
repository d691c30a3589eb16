"""How the pocket base was made. `train.py` needs the package's phantoms and nothing else of it."""

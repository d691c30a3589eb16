"""Classifiers of real against ruined, and of real against synthetic images."""

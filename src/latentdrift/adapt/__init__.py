"""Adapt a base to a cohort: METHODS on one training loop; the result is an adapter folder that stock diffusers loads, too."""

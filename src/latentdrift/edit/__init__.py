"""Change one thing about an image: `inversion`, `editors`, `counterfactual`."""

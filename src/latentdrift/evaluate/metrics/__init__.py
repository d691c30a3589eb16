"""Two sets of vectors or images to numbers: distances, coverage, similarity, diversity."""

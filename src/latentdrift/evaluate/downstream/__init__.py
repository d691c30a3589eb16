"""Tasks that networks learn from images: classifiers, segmenters, a GAN, and their comparison."""

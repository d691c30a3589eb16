"""The pocket base: a small Stable Diffusion that ships with the package. Its model card is
README.md, its recipe is recipe/."""

"""The Python interface: what `import latentdrift` offers, over the same options and verbs."""

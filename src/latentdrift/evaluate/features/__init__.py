"""Images to vectors: named feature spaces, networks that are trained here, caches."""

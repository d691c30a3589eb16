"""Before the first step: options resolved, start, drift, images of prior preservation."""

"""Memory and time of a fit, before it starts."""

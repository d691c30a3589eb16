"""Can people tell real and synthetic images apart? A blinded study and its score."""

"""Work on independent items by several workers: processes of this machine, or actors of Ray."""

"""Records of a run: its folder, logs, trackers, the description of its adapter."""

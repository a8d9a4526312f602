"""The main job in minutes: a node, a receiving archive and one patient on this machine."""

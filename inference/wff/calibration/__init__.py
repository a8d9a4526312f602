"""A bundle fitted to the cases of a site: probability calibration, age table, a new bundle that names its parent."""

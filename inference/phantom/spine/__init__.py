"""The spine as numbers: levels, curves, vertebrae, discs, canal. Paints nothing."""

"""Sites, planning of slices, and the acquisition with its artefacts."""

"""Pictures of the phantom for the documentation, and beside a real study for the eye of a radiographer."""

"""The body around the spine: outline, back, neck, chest, abdomen, vessels."""

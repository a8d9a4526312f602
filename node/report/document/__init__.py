"""SR documents: the report itself, and the selection of its key images."""

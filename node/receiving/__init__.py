"""How images come in: from the listening socket over the association to the durable file."""

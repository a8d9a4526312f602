"""What the node remembers: database rows and files. Knows no network and no meaning of pixels."""

"""Independent readers of the objects that the node makes.

Each module asks one tool and has `installed()` and a function that returns what the tool finds wrong, less what
`explained` knows to be a fault of the tool.
"""

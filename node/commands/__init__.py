"""The commands of `spinenode`, one file per group. Each offers `register(app)`.

Everything heavy is imported inside the commands: `spinenode --help` must answer at once.
"""

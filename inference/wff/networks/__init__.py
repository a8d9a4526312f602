"""The networks of the framework, and how their images reach them: sizes, batches, devices, static shapes."""

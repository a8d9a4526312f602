"""The printed page: a sheet, blocks of text, the table of votes and the key slices, laid out by `layout`."""

"""One writer per kind of file."""

"""What is kept on a disk: files that appear whole, one process at a time in a folder, SQLite."""

"""The programs that take part."""

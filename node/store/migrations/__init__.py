"""Numbered schema files, one folder per SQL dialect."""

"""CSV files: rows, columns and times."""

"""CSV files: rows, columns, times."""

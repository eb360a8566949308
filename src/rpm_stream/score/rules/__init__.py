"""The rules: limits, NEWS2, trends, rates, signal quality and devices."""

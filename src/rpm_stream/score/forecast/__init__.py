"""Forecasts of a value over the next minutes, as River estimators."""

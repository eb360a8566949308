"""Encodes values as devices and gateways send them."""

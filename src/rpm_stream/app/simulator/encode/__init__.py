"""Values encoded as devices and gateways send them."""

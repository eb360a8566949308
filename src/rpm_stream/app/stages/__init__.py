"""The stages as processes. Only this package knows all of them."""

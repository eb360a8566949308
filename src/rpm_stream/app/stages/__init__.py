"""The stages as processes: the only place that knows all of them."""

"""Access to the feed, and what a request may cost before its sender is known."""

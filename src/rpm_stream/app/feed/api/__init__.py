"""The HTTP interface of the feed, by version."""

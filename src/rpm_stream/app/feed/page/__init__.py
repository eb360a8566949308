"""The page of the feed: list, row, detail, decisions, chart."""

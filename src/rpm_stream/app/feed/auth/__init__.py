"""Who may use the feed, and what a request may cost before anybody knows who sends it."""

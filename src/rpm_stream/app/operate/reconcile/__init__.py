"""The operator's books: a window of all topics, read once into a file and balanced there."""

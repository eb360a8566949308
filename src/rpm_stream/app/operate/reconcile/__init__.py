"""The operator's books: all topics of a window of time, read once into a file and balanced
there.
"""

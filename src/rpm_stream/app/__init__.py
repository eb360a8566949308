"""The world: settings, clock, Kafka, state, HTTP and the command line.

No other part of the package reads a clock or opens a socket.
"""

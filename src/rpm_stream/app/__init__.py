"""The world: settings, clock, Kafka, state, HTTP, the command line; here alone a clock is read
and a socket opened.
"""

"""The world: settings, clock, Kafka, state, HTTP, the command line. Only this package reads a clock or opens a socket."""

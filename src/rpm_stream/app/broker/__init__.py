"""The embedded broker: a real Apache Kafka on this machine, for demos, development and tests."""

"""Everything that the service knows about Kafka as a client."""

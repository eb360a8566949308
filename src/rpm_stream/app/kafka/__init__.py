"""All code that uses Kafka as a client and belongs to no single stage."""

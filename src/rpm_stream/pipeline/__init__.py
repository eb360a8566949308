"""The verbs in order, without Kafka: the agents and ``rpm-stream replay`` call the same steps."""

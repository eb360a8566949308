"""Turn findings into alerts: one episode a patient and group, its priority and its life cycle."""

"""Simulated people and devices: stories, faults and the payloads that the devices would send."""

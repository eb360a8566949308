"""People and devices that do not exist: stories, faults, and the payloads that the devices would
send.
"""

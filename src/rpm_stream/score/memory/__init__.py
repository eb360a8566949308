"""What score remembers of a patient: histories, days, recent readings, and how large it may
become.
"""

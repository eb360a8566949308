"""What the score stage keeps of a patient: histories, days, recent readings, and their bounds."""

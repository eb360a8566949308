"""What operators run: reconcile, rejects, redrive, assign, correct, rebuild, compare, grow."""

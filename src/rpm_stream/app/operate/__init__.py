"""The operators' commands: reconcile, rejects, redrive, assign, correct, rebuild, compare, grow."""

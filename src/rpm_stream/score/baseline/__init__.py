"""What is usual for a person: when detectors learn and what they report, by vital and for all."""

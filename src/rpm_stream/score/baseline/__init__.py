"""What is usual for this person: when detectors learn, and what they say, vital by vital and
together.
"""

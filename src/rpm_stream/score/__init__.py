"""Reading -> findings and scores: limits and NEWS2 as rules, River detectors as what is usual
for this person.
"""

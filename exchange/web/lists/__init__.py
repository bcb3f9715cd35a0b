"""Lists and what an office keeps: cases, search, calendar, directory, hand-over, drafts, records, figures, settings.

It decides nothing.
"""

"""What all message types are made of: fields, parts, identifiers, checks of a draft.

It knows no single type.
"""

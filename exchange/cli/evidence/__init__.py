"""Commands about evidence: bags, disclosures, timestamps, proofs that a log lied.

They never put content into a file before it is said to whom and what for.
"""

"""What a court is given: bags of evidence, their verification, disclosures, timestamps, logs that lied.

It never needs the desk to verify."""

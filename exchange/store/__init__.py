"""The desk's database: everything in it sealed or blinded.

It never judges what it keeps."""

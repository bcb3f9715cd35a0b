"""The schema of a desk's database: numbered SQL files, applied once each."""

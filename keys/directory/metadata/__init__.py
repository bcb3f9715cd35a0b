"""The signed metadata of the directory (TUF): its rules, its files, and the clients that refresh and verify them.

It never says what a card means."""

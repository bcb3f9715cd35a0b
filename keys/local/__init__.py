"""What this machine keeps and shows: durable files, migrations, passphrases, texts, terminals.

It knows no key, no member and no message."""

"""Other nodes' logs: each newer checkpoint must extend the last, and a lie becomes a proof.

It never cosigns."""

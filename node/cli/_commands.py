"""Every command of ``comity-node``: its name, where it stands, its help. Nothing of it is imported here."""

from __future__ import annotations

from keys.commands import CommandRow
from node.i18n import _

ROWS = (
    CommandRow(
        "init",
        "node.cli._setup:init",
        _(
            "Make a node: keys, TLS certificate, settings, and the card that its nation signs.\n\n"
            'Example: comity-node init jp --node jp --name "Japan" --url '
            'https://node.example:8443\n--federation "Example Network"'
        ),
    ),
    CommandRow(
        "join",
        "node.cli._setup:join",
        _(
            "Take the federation's bootstrap file: the root of trust and the first node to ask.\n\n"
            "Example: comity-node join jp bootstrap.json"
        ),
    ),
    CommandRow(
        "card",
        "node.cli._setup:card",
        _("Show the node's card as it was made, for its nation to sign.\n\nExample: comity-node card jp"),
    ),
    CommandRow(
        "bootstrap",
        "node.cli._setup:bootstrap",
        _(
            "Write the bootstrap file for desks that this node serves, also where no partner reaches "
            "it.\n\n"
            "Example: comity-node bootstrap /var/lib/comity --url https://10.0.0.5:8443 --out desks.json"
        ),
    ),
    CommandRow(
        "run",
        "node.cli._operation:run",
        _(
            "Run the node until SIGTERM or Ctrl-C. When it serves it prints one JSON line: event, node, "
            "url, admin.\n\n"
            "After a restart of the machine it asks its partners how far its log went, and signs nothing "
            "until one has answered.\n\n"
            "Example: comity-node run jp --passphrase-file passphrase"
        ),
    ),
    CommandRow(
        "health",
        "node.cli._operation:health",
        _(
            "Ask the running node for its state: 0 ok or attention, 4 failing or not running.\n\n"
            "Example: comity-node health jp"
        ),
    ),
    CommandRow(
        "status",
        "node.cli._console:status",
        _(
            "Say how the running node is: what needs you and what to do, partners, log, disks, backups. 4 when it "
            "is failing.\n\n"
            "The console shows the same in the same words. Example: comity-node status jp"
        ),
    ),
    CommandRow("console", "node.cli._console:console", _("Open the operator's console in a browser.")),
    CommandRow(
        "retry",
        "node.cli._console:retry",
        _(
            "Try now what waits for a partner, instead of at the end of the pause. The node must run.\n\n"
            "Example: comity-node retry jp fr"
        ),
    ),
    CommandRow(
        "test-way",
        "node.cli._console:way",
        _(
            "Ask a partner for its log's newest checkpoint and verify it: address, certificate, signature, log, "
            "clock.\n\n"
            "The node must run. 4 when the way is not open. Example: comity-node test-way jp fr"
        ),
    ),
    CommandRow(
        "refresh-directory",
        "node.cli._console:refresh_directory",
        _(
            "Fetch the directory now instead of at the next turn. The node must run. 4 when no source gave one that "
            "verifies.\n\n"
            "Example: comity-node refresh-directory jp"
        ),
    ),
    CommandRow(
        "trace",
        "node.cli._inspection:trace",
        _(
            "Why a message is where it is: what was logged, what waits, and the last error. The node may be "
            "running.\n\n"
            "Example: comity-node trace jp 7f3a"
        ),
    ),
    CommandRow(
        "partners",
        "node.cli._inspection:partners",
        _(
            "Show what waits for each partner, and how far its log was seen. The node may be running.\n\n"
            "Example: comity-node partners jp"
        ),
    ),
    CommandRow(
        "backup",
        "node.cli._backup:backup",
        _(
            "Write a consistent copy of the node with a list of hashes. The node may be running, but not "
            "for --final.\n\n"
            "Example: comity-node backup jp /backup/jp-monday"
        ),
    ),
    CommandRow(
        "backup-check",
        "node.cli._backup:backup_check",
        _(
            "Verify every file of a backup, and note in the home that it is whole. With --drill also restore it for a "
            "trial.\n\n"
            "Example: comity-node backup-check jp /backup/jp-monday --drill"
        ),
    ),
    CommandRow(
        "restore",
        "node.cli._backup:restore",
        _(
            "Make a home from a backup, every file verified. The node signs nothing before ``log "
            "reconcile``.\n\n"
            "Example: comity-node restore /backup/jp-monday --into jp"
        ),
    ),
    CommandRow("files", "node.cli._files:files", _("Evidence files in transit.")),
    CommandRow("keys", "node.cli._keys:app", _("Keys of those who sign the directory.")),
    CommandRow(
        "federation", "node.cli._membership:federation", _("Found a federation and keep its directory published.")
    ),
    CommandRow("nation", "node.cli._membership:nation", _("Admit nations.")),
    CommandRow("cards", "node.cli._card_files:card", _("Publish and change the cards of nodes and contact points.")),
    CommandRow(
        "ceremony",
        "node.cli._membership:ceremony",
        _("Review and sign a change that a registry sent; needs no network."),
    ),
    CommandRow(
        "rotate",
        "node.cli._rotation:app",
        _("New keys for this node: begin, publish the card, switch, restart, finish, publish the card."),
    ),
    CommandRow("bundle", "node.cli._bundle:bundle", _("Exchange by files with a node or a desk that has no network.")),
    CommandRow("log", "node.cli._loglife:log", _("The node's transparency log.")),
    CommandRow(
        "monitor",
        "node.cli._operation:monitor",
        _("Look after the partners' logs: proofs, distrust and trust."),
    ),
)

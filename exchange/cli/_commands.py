"""Every command of ``comity``: its name, where it stands, its help. Nothing of it is imported here."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

from exchange.i18n import _
from keys.commands import CommandRow


class TakesNumbersBelowZero(TyperCommand):
    """A command whose arguments may be identifiers that begin with a hyphen, as groups of Telegram have them.

    No option is called like a number, so that nobody who mistypes one is understood in another way.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, those numbers last and behind ``--``."""
        if "--" not in args:
            numbers = [one for one in args if re.fullmatch(r"-[0-9]{5,}", one)]
            if numbers:
                args = [*(one for one in args if one not in numbers), "--", *numbers]
        return super().parse_args(ctx, args)


ROWS = (
    CommandRow(
        "init",
        "exchange.cli.setup.setup:init",
        _(
            "Make a desk's home and its enrolment request.\n\n"
            "Example: comity init 24-7@jp --bootstrap jp.json --office Cyber --agency NPA --telephone "
            "+81350000247"
        ),
    ),
    CommandRow(
        "directory",
        "exchange.cli.setup.setup:directory",
        _("Search the directory.\n\nExample: comity directory --country FR --on-duty"),
    ),
    CommandRow(
        "codes",
        "exchange.cli.setup.setup:codes",
        _("Show the code lists, added ones too.\n\nExample: comity codes refusal_ground"),
    ),
    CommandRow(
        "demo",
        "exchange.cli.setup.setup:demo",
        _(
            "Run the main job on this machine: two nations, their desks and auditors.\n\n"
            "Example: comity demo --scenario all --keep demo"
        ),
    ),
    CommandRow(
        "new",
        "exchange.cli.messages.writing:new",
        _("Write a draft to fill in.\n\nExample: comity new --template preservation-ip --set port=51544 --out r.json"),
    ),
    CommandRow(
        "send",
        "exchange.cli.messages.writing:send",
        _("Check, seal and send a draft.\n\nExample: comity send request.json"),
    ),
    CommandRow(
        "acknowledge",
        "exchange.cli.messages.writing:acknowledge",
        _("Acknowledge a request.\n\nExample: comity acknowledge 7f3a --eta 2026-11-23T09:00:00+01:00"),
    ),
    CommandRow(
        "explain",
        "exchange.cli.messages.writing:explain",
        _("Tell the sender why a message is out of order.\n\nExample: comity explain 7f3a"),
    ),
    CommandRow(
        "answer",
        "exchange.cli.messages.writing:answer",
        _("Answer a request for its targets.\n\nExample: comity answer 7f3a answer.json"),
    ),
    CommandRow(
        "accept-conditions",
        "exchange.cli.messages.writing:accept_conditions",
        _("Accept the conditions under which something was given.\n\nExample: comity accept-conditions 7f3a"),
    ),
    CommandRow(
        "offer",
        "exchange.cli.messages.writing:offer",
        _(
            "Offer what a draft gives under conditions; it stays here until they are accepted.\n\n"
            "Example: comity offer answer.json"
        ),
    ),
    CommandRow(
        "give",
        "exchange.cli.messages.writing:give",
        _("Send what was offered, when its conditions are accepted.\n\nExample: comity give 7f3a"),
    ),
    CommandRow(
        "correct",
        "exchange.cli.messages.acts:correct",
        _(
            "Correct a message that you sent: the fields in FILE replace its own.\n\n"
            "Example: comity correct 7f3a better.json --reason 'The window ended an hour later.'"
        ),
    ),
    CommandRow(
        "retract",
        "exchange.cli.messages.acts:retract",
        _(
            "Take back a message that you sent; it stays on record.\n\n"
            "Example: comity retract 7f3a --why wrong_content --reason 'Another case.'"
        ),
    ),
    CommandRow(
        "call-off",
        "exchange.cli.messages.acts:call_off",
        _(
            "Call a message off that waits for its time on this desk; nobody learns of it.\n\n"
            "Example: comity call-off 7f3a --reason 'The account was found closed.'"
        ),
    ),
    CommandRow(
        "note",
        "exchange.cli.messages.acts:note",
        _("Send a note in a case, or on a service matter.\n\nExample: comity note 7f3a 'The provider opens at 8:00.'"),
    ),
    CommandRow(
        "consult",
        "exchange.cli.messages.acts:app",
        _("Consult the other side before a decision: partly, or under conditions?"),
    ),
    CommandRow(
        "confirm-follow-up",
        "exchange.cli.messages.acts:confirm_follow_up",
        _(
            "Confirm that the request which a follow-up announced has arrived; it suspends the expiry.\n\n"
            "Example: comity confirm-follow-up 7f3a --authority 'Ministry of Justice' --file-number B-12 "
            "--received-at '2026-11-23 10:00+01:00'"
        ),
    ),
    CommandRow(
        "dp-notice",
        "exchange.cli.messages.acts:dp_notice",
        _(
            "Say what became of data that were corrected or taken back.\n\n"
            "Example: comity dp-notice 7f3a --action erased"
        ),
    ),
    CommandRow(
        "inbox", "exchange.cli.messages.reading:inbox", _("Fetch and list messages.\n\nExample: comity inbox --wait 20")
    ),
    CommandRow(
        "search",
        "exchange.cli.messages.reading:search",
        _("Find messages by words in them.\n\nExample: comity search Roubaix mailbox"),
        TakesNumbersBelowZero,
    ),
    CommandRow(
        "show",
        "exchange.cli.messages.reading:show",
        _("Show a message; its sender learns that it was opened.\n\nExample: comity show 7f3a"),
    ),
    CommandRow(
        "track",
        "exchange.cli.messages.reading:track",
        _("Show what is proved of a message, and where its case stands.\n\nExample: comity track 7f3a"),
    ),
    CommandRow(
        "verify",
        "exchange.cli.messages.reading:verify",
        _("Verify a message, or an evidence bag, again.\n\nExample: comity verify 7f3a"),
    ),
    CommandRow(
        "compare",
        "exchange.cli.cases.laws:compare",
        _("Show what both nations' laws say of a draft.\n\nExample: comity compare request.json"),
    ),
    CommandRow(
        "profile",
        "exchange.cli.cases.laws:profile",
        _("Show what is known of a nation's law.\n\nExample: comity profile fr"),
    ),
    CommandRow(
        "laws",
        "exchange.cli.cases.laws:laws",
        _(
            "Show which legal bases are in force between two nations, and what each rests on.\n\n"
            "Example: comity laws fr gh --on 2026-11-23"
        ),
    ),
    CommandRow(
        "agenda",
        "exchange.cli.cases.agenda:agenda",
        _("List what is due in all cases, the earliest first.\n\nExample: comity agenda --ours"),
    ),
    CommandRow(
        "watch",
        "exchange.cli.cases.agenda:watch",
        _(
            "Keep watch: show what arrives, and each deadline as it comes near; tell the webhook and the "
            "mail address of the settings.\n\n"
            "Example: comity watch"
        ),
    ),
    CommandRow(
        "call",
        "exchange.cli.cases.calls:app",
        _(
            "Call the other side: the directory's number, what came of it, and what goes without.\n\n"
            "Example: comity call show 7f3a"
        ),
    ),
    CommandRow(
        "register",
        "exchange.cli.cases.unproved:register",
        _(
            "Register what came by Interpol, mail or telephone: marked as not proved until it is confirmed.\n\n"
            "Example: comity register --channel interpol --contact 24-7@fr --sender 'OCLCTIC, Paris' "
            "--reference OCLCTIC-7 'A child is missing.'"
        ),
    ),
    CommandRow(
        "unproved",
        "exchange.cli.cases.unproved:app",
        _("What came by other ways than Comity, and its confirmation."),
    ),
    CommandRow(
        "resend",
        "exchange.cli.cases.delivery:resend",
        _("Send a message anew that expired, or was refused on its way.\n\nExample: comity resend 7f3a"),
    ),
    CommandRow(
        "report",
        "exchange.cli.office.report:report",
        _(
            "Write a report of this office in numbers: messages, acknowledgements, answers, deadlines, "
            "lapses, refusals. No names, ids or contents.\n\n"
            "Example: comity report --out report.pdf --language fr"
        ),
    ),
    CommandRow(
        "forward",
        "exchange.cli.messages.handling:forward",
        _("Pass a message on, as its labels allow.\n\nExample: comity forward 7f3a --to 24-7@gh --reason 'Yours.'"),
    ),
    CommandRow(
        "pass-on",
        "exchange.cli.messages.referring:pass_on",
        _(
            "Pass a request on to the office that it belongs to, and tell who made it.\n\n"
            "Example: comity pass-on 7f3a --to parquet@fr --reason 'The court of Lyon is competent.'"
        ),
    ),
    CommandRow(
        "point-to",
        "exchange.cli.messages.referring:point_to",
        _(
            "Tell who made a request whose it is; nothing is sent there.\n\n"
            "Example: comity point-to 7f3a --country GH --office 'CERT-GH' --reason 'The servers stand in Accra.'"
        ),
    ),
    CommandRow(
        "handling",
        "exchange.cli.messages.handling:handling",
        _("Show what labels and conditions forbid.\n\nExample: comity handling 7f3a --for forward --to 24-7@gh"),
    ),
    CommandRow(
        "case", "exchange.cli.cases.case_notes:app", _("A case, and what the office notes about it for itself.")
    ),
    CommandRow(
        "officer",
        "exchange.cli.office.officers:app",
        _("Officers of this desk, each with a key and roles of their own."),
    ),
    CommandRow(
        "files",
        "exchange.cli.evidence.custody:app",
        _("Evidence files: how far they are, opened, verified, taken back; their custody and export."),
    ),
    CommandRow(
        "draft",
        "exchange.cli.messages.drafts:app",
        _("Drafts that are being written, and those that another officer is to release."),
    ),
    CommandRow("duty", "exchange.cli.office.rota:app", _("The rota: who is on duty, and the hand-over of a shift.")),
    CommandRow(
        "consent",
        "exchange.cli.messages.handling:app",
        _("The originator's consent to what labels and conditions forbid."),
    ),
    CommandRow(
        "records",
        "exchange.cli.office.processing_log:app",
        _("The processing log: who did what with personal data here, when and why."),
    ),
    CommandRow(
        "erase",
        "exchange.cli.office.erasure:app",
        _("Erase content for good; cryptographic proofs and logs stay verifiable."),
    ),
    CommandRow(
        "desk",
        "exchange.cli.setup.service:app",
        _("The desk as a service: one process for all officers, terminals and programs.\n\nExample: comity desk run"),
    ),
    CommandRow(
        "login",
        "exchange.cli.setup.service:login",
        _("Sign in at the running desk, in this terminal.\n\nExample: comity login --officer kim"),
    ),
    CommandRow(
        "logout",
        "exchange.cli.setup.service:logout",
        _("Sign out of the running desk, in this terminal.\n\nExample: comity logout"),
    ),
    CommandRow(
        "sessions",
        "exchange.cli.setup.service:sessions",
        _("Who is signed in at the running desk.\n\nExample: comity sessions"),
    ),
    CommandRow(
        "web",
        "exchange.cli.setup.web:app",
        _("The desk's pages in a browser: one-time codes, sessions.\n\nExample: comity web code"),
    ),
    CommandRow(
        "settings",
        "exchange.cli.setup.settings:app",
        _("What the desk fills in of itself.\n\nExample: comity settings show"),
    ),
    CommandRow("keys", "exchange.cli.setup.keys:app", _("The desk's keys.\n\nExample: comity keys status")),
    CommandRow(
        "contact-test",
        "exchange.cli.cases.contact_tests:app",
        _("Test whether contact points answer.\n\nExample: comity contact-test send --all"),
    ),
    CommandRow(
        "epoc",
        "exchange.cli.messages.epoc:app",
        _("European Production Orders, prepared and read.\n\nExample: comity epoc prepare request.json"),
    ),
    CommandRow("targets", "exchange.cli.messages.targets:app", _("Targets of a request from a table.")),
    CommandRow("template", "exchange.cli.messages.templates:app", _("Templates of requests that are written often.")),
    CommandRow(
        "bundle", "exchange.cli.setup.offline:app", _("Exchange with the own node by files, without a network.")
    ),
    CommandRow(
        "evidence",
        "exchange.cli.evidence.evidence:app",
        _("Evidence of a message for a court or an auditor, who can verify it without Comity."),
    ),
    CommandRow(
        "print",
        "exchange.cli.evidence.letters:print_",
        _(
            "Write a message, or a case, as a formal letter (PDF); or a copy for a court, with parts removed.\n\n"
            "Example: comity print 7f3a --out letter.pdf --language fr"
        ),
    ),
    CommandRow(
        "audit", "exchange.cli.evidence.proofs:audit", _("Mirror and verify nodes' logs, without seeing any content.")
    ),
)

"""What a text that names a command says where it is shown on a page: the page's own way, and the link behind it.

Errors and phrases are written once, for a terminal: "record the call with comity call record". An officer in a browser
may have none. Here stands for each such text what it says on a page. Where only a terminal does it, the text says whom
to ask. A test holds that no text that a page can show is forgotten, and that every link leads to a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from string import Formatter
from types import MappingProxyType
from urllib.parse import quote

from keys.local.translation import shown_instead
from protocol.encoding.phrase import Phrase, phrase
from protocol.errors import ComityError, registry


@dataclass(frozen=True, slots=True)
class Way:
    """A link: its text, and the page that it leads to, the first of ``paths`` whose ``{parts}`` are known.

    A part is a value of the text, or one of the address of the page that shows it.
    """

    text: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnPage:
    """What a text says on a page, with the links behind it."""

    text: str
    ways: tuple[Way, ...] = ()


def _to(text: str, *paths: str) -> Way:
    return Way(text, paths)


_FILES = _to(phrase("Its files"), "/messages/{message}/files", "/cases/{thread}", "/messages")
_CALL = _to(phrase("Whom to call, and record it"), "/messages/{message}/call", "/cases/{thread}/call", "/")
_CASE = _to(phrase("The case"), "/cases/{thread}", "/messages/{message}", "/cases")
_OFFICERS = _to(phrase("Officers"), "/officers")
_DRAFT = _to(phrase("The draft"), "/drafts/{draft}", "/drafts")

# By the code of the error: its advice.
_BY_CODE: dict[str, OnPage] = {
    "still-under-way": OnPage(
        phrase("Its proofs show where it is. If it is urgent, call the other side."),
        (
            _to(phrase("Where it is"), "/messages/{message}/proofs", "/cases/{thread}", "/messages?box=sent"),
            _to(phrase("Whom to call"), "/messages/{message}/call", "/cases/{thread}/call", "/"),
        ),
    ),
    "call-back-needed": OnPage(
        phrase("Call the asking office by the number of the directory, and record the call; or break the glass."),
        (
            _CALL,
            _to(
                phrase("Disclose without a call"),
                "/cases/{thread}/do/break-glass",
                "/messages/{message}/do/break-glass",
                "/",
            ),
        ),
    ),
    "closing-loses": OnPage(
        phrase("Extend, follow up or release first; or tick on the page of closing that it is closed all the same."),
        (_CASE, _to(phrase("Close the case"), "/cases/{thread}/do/close", "/cases")),
    ),
    "other-kind-of-id": OnPage(phrase("Open what it is.")),
    "already-sent": OnPage(
        phrase("Withdraw the request, or take the message back: its recipients learn that."),
        (
            _to(
                phrase("Withdraw the request"),
                "/messages/{message}/reply/withdrawal",
                "/cases/{thread}/reply/withdrawal",
                "/messages?box=sent",
            ),
            _to(phrase("Take this message back"), "/messages/{message}/do/retract", "/messages?box=sent"),
        ),
    ),
    "already-registered": OnPage(phrase("See what there is. To register it all the same, tick that below.")),
    "not-admitted": OnPage(
        phrase(
            "Your nation's key holders publish the card of this desk, and the root holders admit your nation."
            " Ask your administrator how far that is."
        )
    ),
    "timestamp-invalid": OnPage(phrase("Make the bag without a timestamp: it can be stamped later as well.")),
    "timestamp-unavailable": OnPage(phrase("Make the bag without a timestamp: it can be stamped later as well.")),
    "no-mirror": OnPage(phrase("Ask your administrator to take it with comity audit mirror.")),
    "file-altered": OnPage(phrase("Fetch the file again; keep what came if it happens twice."), (_FILES,)),
    "file-not-here": OnPage(phrase("Wait: it comes by itself. Its page says how far it is."), (_FILES,)),
    "file-not-scanned": OnPage(
        phrase("Ask your administrator to start the scanner, or to raise its limits (comity files scan).")
    ),
    "forward-too-large": OnPage(
        phrase("Ask its sender to send it to that office, in parts; or give an evidence bag of it."),
        (_to(phrase("Give out evidence"), "/messages/{message}/proofs", "/cases/{thread}", "/messages"),),
    ),
    "older-reader": OnPage(
        phrase("Leave out what is listed, write to the others separately, or call: it is not sent."),
    ),
    "no-effect": OnPage(
        phrase("Nothing was sent. The case shows how it stands, and what is still open in it."), (_CASE,)
    ),
    "duplicate-request": OnPage(phrase("Look at the other case, and send it again if you need it all the same.")),
    "laws-differ": OnPage(
        phrase("Read the warnings of the check; change the draft, or send it all the same."),
        (_to(phrase("The check"), "/drafts/{draft}/check", "/drafts"),),
    ),
    "offer-needed": OnPage(
        phrase(
            "Its conditions must be accepted first: offer it, and it goes when they are. In an emergency it is sent at"
            " once."
        ),
        (_CASE,),
    ),
    "conditions-open": OnPage(
        phrase("Accept them, or decline them; then it opens or stays closed."),
        (
            _to(
                phrase("Accept the conditions"),
                "/messages/{message}/do/accept-conditions",
                "/cases/{thread}/do/accept-conditions",
                "/messages",
            ),
            _to(
                phrase("Decline the conditions"),
                "/messages/{message}/reply/condition.decline",
                "/cases/{thread}/reply/condition.decline",
                "/messages",
            ),
        ),
    ),
    "idempotency-key-used": OnPage(phrase("The first one stands. To send this one too, send it again.")),
    "draft-changed": OnPage(
        phrase("Read the draft again, and put your changes into what stands there now."), (_DRAFT,)
    ),
    "officer-needed": OnPage(phrase("Sign out, and sign in as the officer who acts.")),
    "handling": OnPage(
        phrase("Ask the originator's consent; what is granted is then allowed."),
        (
            _to(
                phrase("Ask for their consent"),
                "/messages/{message}/do/ask-consent",
                "/cases/{thread}/do/ask-consent",
                "/cases",
            ),
        ),
    ),
    "transfer-suspended": OnPage(
        phrase("Disclose nothing there; ask the authority that suspended the transfers, or see the directory."),
        (_to(phrase("Directory"), "/directory"),),
    ),
    "recipient-needed": OnPage(phrase("Say who gets it, and what for.")),
    "justification-needed": OnPage(
        phrase("Say why you look at it."), (_to(phrase("Say why, then do it again"), "/reason"),)
    ),
    "erased": OnPage(
        phrase("The records say when it was erased and on what ground."), (_to(phrase("Records"), "/records"),)
    ),
    "sign-in": OnPage(
        phrase(
            "Try again. A one-time code is good once and for ten minutes. comity web code makes another at the desk's"
            " terminal, with your passphrase: ask your administrator for that."
        )
    ),
    "sign-in-later": OnPage(
        phrase(
            "Wait a minute, or sign in with a passkey. A code of comity web code, made at the desk's terminal with"
            " your passphrase, signs you in too: ask your administrator for that."
        )
    ),
    "agency-away": OnPage(
        phrase(
            "Try again in a while. A code of comity web code, made at the desk's terminal with your passphrase, signs"
            " you in meanwhile: ask your administrator for that."
        )
    ),
    "agency-unbound": OnPage(
        phrase("An administrator of the desk binds the account to your short name, on the page of the officers.")
    ),
    "desk-service-busy": OnPage(
        phrase("Try again. If the problem stays, ask your administrator to look with comity desk status.")
    ),
    "desk-service-lost": OnPage(
        phrase("It may be done already. Look first at what was sent, and at the drafts; then do it again."),
        (_to(phrase("What was sent"), "/messages?box=sent"), _DRAFT),
    ),
    "file-name-refused": OnPage(phrase("Give the file another name; its own name stays in the record.")),
    "page-earlier": OnPage(
        phrase(
            "Close this page, and open the desk's pages anew by the launcher on this machine; where there is none, ask"
            " your administrator for comity desk open."
        )
    ),
    "file-copy-altered": OnPage(
        phrase("Take the file out of the desk again, and find out who changed the copy."), (_FILES,)
    ),
}

# Of a node, which its operator mends: by the code of the error.
_OF_THE_NODE = {
    "monitor-damaged": phrase("Ask the node's operator to stop it and to run comity-node monitor rebuild."),
    "store-replaced": phrase(
        "Ask the node's operator to stop it, to put its database back, and to run comity-node log reconcile."
    ),
    "log-rolled-back": phrase(
        "Ask the node's operator to run comity-node log reconcile. Nothing is signed until then."
    ),
    "log-unconfirmed": phrase(
        "Send the same again: the node goes on asking its partners. If it stays so, tell the node's operator."
    ),
    "checkpoint-file-damaged": phrase("Ask the node's operator to run comity-node log reconcile."),
    "new-log": phrase("Ask the node's operator to run comity-node log reconcile: a new log is the last resort."),
    "not-recorded": phrase(
        "Ask the node's operator to look at its disk (comity-node health); what is not recorded is asked for again."
    ),
}

_FOUND = _to(phrase("Open it"), "/messages/{short}")
# By the text that a terminal shows; the values of both are the same.
_BY_TEXT: dict[str, OnPage] = {
    "That key stands for another draft, or another act: nothing was sent.": OnPage(
        phrase("You sent this form before, and it said something else: this time nothing was sent.")
    ),
    "that draft was sent already, as message {message}": OnPage(
        phrase("that draft was sent already, as message {message}"),
        (_to(phrase("The message"), "/messages/{message}"),),
    ),
    "{short} is a message, and proved: comity show {short}": OnPage(
        phrase("{short} is a message, and proved."), (_FOUND,)
    ),
    "{short} is NOT PROVED and no message yet: comity unproved show {short}": OnPage(
        phrase("{short} is NOT PROVED and no message yet."), (_to(phrase("Open it"), "/unproved/{short}"),)
    ),
    "{short} was asked of several nations, in a case with each: comity case show {short}": OnPage(
        phrase("{short} was asked of several nations, in a case with each."),
        (_to(phrase("Open it"), "/parents/{short}"),),
    ),
    "{short} was registered before its message came: comity case show {case}": OnPage(
        phrase("{short} was registered before its message came."), (_to(phrase("The case"), "/cases/{case}"),)
    ),
    "it came by Comity, and is proved: comity case show {short}": OnPage(
        phrase("it came by Comity, and is proved"), (_to(phrase("The case"), "/cases/{short}"),)
    ),
    "{who} registered the same, {time}: comity unproved show {short}": OnPage(
        phrase("{who} registered the same, {time}"), (_to(phrase("Open it"), "/unproved/{short}"),)
    ),
    "this reads like another message type, which has effect: {type} [{code}]. Write it with comity new {code} "
    "--reply-to {id}, or send it as a note all the same with --as-note": OnPage(
        phrase(
            "this reads like another message type, which has effect: {type}. Write that, or tick that it is sent as a"
            " note all the same"
        ),
        (_to(phrase("The case"), "/cases/{thread}", "/messages/{id}"),),
    ),
    "something that was typed in the browser is no answer yet: go on with the draft there, or with comity new --draft":
        OnPage(phrase("something that was typed is no answer yet: go on with the draft"), (_DRAFT,)),
    "nothing in this draft is given under conditions: send it with comity send": OnPage(
        phrase("nothing in this draft is given under conditions: send it"), (_DRAFT,)
    ),
    "in an emergency nothing waits for an acceptance: send it with comity send": OnPage(
        phrase("in an emergency nothing waits for an acceptance: send it"), (_DRAFT,)
    ),
    "no file of that message, or several, fit {name}: comity files list names them": OnPage(
        phrase("no file of that message, or several, fit {name}"), (_FILES,)
    ),
    "this desk did not pass that request on to that office: comity pass-on does both, and says so": OnPage(
        phrase("this desk did not pass that request on to that office: pass it on, which does both and says so"),
        (_to(phrase("Pass on within our State"), "/cases/{thread}/do/pass-on", "/messages/{message}/do/pass-on",
             "/cases"),),
    ),
    "that message asks for nothing: comity forward passes a copy on": OnPage(
        phrase("that message asks for nothing: pass a copy on"),
        (_to(phrase("Pass on"), "/messages/{message}/do/forward", "/cases/{thread}/do/forward", "/messages"),),
    ),
    "two officers break the glass, and this desk has registered none: comity officer add registers them": OnPage(
        phrase("two officers break the glass, and this desk has registered none: an administrator registers them"),
        (_OFFICERS,),
    ),
    "two officers may let this one file go: comity files allow": OnPage(
        phrase("two officers may let this one file go, at the desk's terminal: ask your administrator for comity files"
               " allow")
    ),
    "another person than its drafter releases this: {who} and {other} count as one (comity officer confirm says who is"
    " who)": OnPage(
        phrase("another person than its drafter releases this: {who} and {other} count as one, until an administrator"
               " confirms who is who"),
        (_OFFICERS,),
    ),
    "a second person is needed: {id} and {other} count as one (comity officer confirm says who is who)": OnPage(
        phrase("a second person is needed: {id} and {other} count as one, until an administrator confirms who is who"),
        (_OFFICERS,),
    ),
    "the directory has no contact point of this country that takes messages: comity directory": OnPage(
        phrase("the directory has no contact point of this country that takes messages"),
        (_to(phrase("Directory"), "/directory"),),
    ),
    "this is not a code of the list {codes} (version {version}); comity codes {codes} shows them": OnPage(
        phrase("this is not a code of the list {codes} (version {version}): choose one that the page offers")
    ),
    "this column is not known: comity targets template prints those that are": OnPage(
        phrase("this column is not known: leave it out, or ask your administrator for the table of comity targets"
               " template")
    ),
    "seal the file anew from its source, and send it again (comity files supplement)": OnPage(
        phrase("attach the file anew from its source, and send it after this message"),
        (_to(phrase("Send files that were not ready"), "/messages/{message}/do/supplement"),),
    ),
    "split its targets over several requests (--split does)": OnPage(
        phrase("split its targets over several requests")
    ),
    "one request holds no more targets than {most}, and no more bytes than {size}; these are {count}, and from the"
    " first on there is room for {fit}: --split writes several drafts ({number})": OnPage(
        phrase("one request holds no more targets than {most}, and no more bytes than {size}; these are {count}, and"
               " from the first on there is room for {fit}: put them into several drafts ({number})"),
        (_to(phrase("New request"), "/new"),),
    ),
    "the time window is missing: fill it in in the first target of the draft, or give --around with minutes": OnPage(
        phrase("the time window is missing: fill it in in the first target")
    ),
    "there are control characters, or characters that cannot be seen or change the direction of text ({marks}): type"
    " it anew, or have them removed with --clean": OnPage(
        phrase("there are control characters, or characters that cannot be seen or change the direction of text"
               " ({marks}): type it anew")
    ),
    "the file does not say the time zone of its times: say it with --zone, such as --zone Asia/Tokyo or +09:00":
        OnPage(phrase("the file does not say the time zone of its times: say it, such as Asia/Tokyo or +09:00")),
    "day and month can be told apart in no way here: say their order with --dates, dmy or mdy": OnPage(
        phrase("day and month can be told apart in no way here: say their order")
    ),
    "the short name of the zone is used by several zones: say which with --zone, such as Asia/Tokyo": OnPage(
        phrase("the short name of the zone is used by several zones: say which, such as Asia/Tokyo")
    ),
    "say in which cases: --all, or --nation for each": OnPage(phrase("say in which cases: all, or each nation")),
    "name contact points, a --country, or --all": OnPage(phrase("say whom to test: contact points, a nation, or all")),
    "--set is for the placeholders of a --template": OnPage(phrase("only a template has places to fill in")),
    "--dates is dmy or mdy": OnPage(phrase("day and month stand in one of two orders")),
    "--zone, --dates, --protocol and --around are for exports; a table says it itself": OnPage(
        phrase("zone, order of dates, protocol and minutes are for exports; a table says them itself")
    ),
    "--redact, --redact-words, --to and --purpose are for a copy: give --disclosure": OnPage(
        phrase("what is removed, who gets it and what for are for a copy that is given out: choose that")
    ),
    "--for names a contact point that the message is not between": OnPage(
        phrase("the message is not from or to that contact point")
    ),
    "the message has several recipients: say with --for for whom the letter is": OnPage(
        phrase("the message has several recipients: say for whom the letter is")
    ),
    "say with --to to whom it would be passed on": OnPage(phrase("say to whom it would be passed on")),
    "--for is one of {actions}": OnPage(phrase("what is meant is one of {actions}")),
    "(not shown: exchanged by hash only; the name is in the output of --json)": OnPage(
        phrase("(not shown: exchanged by hash only)")
    ),
    "{number} (masked; the whole number is in the output of --json)": OnPage(phrase("{number} (masked)")),
    # Kinds of files, in the refusal of one that is no such thing.
    "a draft of a message, as comity new writes it": OnPage(phrase("a draft of a message")),
    "an evidence bag, as comity evidence bag writes it": OnPage(phrase("an evidence bag")),
    "a message in a form that is no longer read: ask for it by comity evidence bag": OnPage(
        phrase("a message in a form that is no longer read: ask for its evidence bag")
    ),
    "the folder of a processing log, as comity records export writes it": OnPage(
        phrase("the folder of a processing log")
    ),
}  # fmt: skip

_SHOWN: dict[str, OnPage] = {
    **{registry()[code].advice: told for code, told in _BY_CODE.items()},
    **{registry()[code].advice: OnPage(text) for code, text in _OF_THE_NODE.items()},
    **_BY_TEXT,
}
ON_PAGES: Mapping[str, OnPage] = MappingProxyType(_SHOWN)
_TEXTS_ON_PAGES: Mapping[str, str] = MappingProxyType({text: told.text for text, told in _SHOWN.items()})
_parts: ContextVar[Mapping[str, str]] = ContextVar("parts", default=MappingProxyType({}))


@contextmanager
def shown_on_page(parts: Mapping[str, str]) -> Iterator[None]:
    """Inside, texts say what they say on a page; ``parts`` are those of its address."""
    token = _parts.set(parts)
    try:
        with shown_instead(_TEXTS_ON_PAGES):
            yield
    finally:
        _parts.reset(token)


def ways_of(problem: ComityError) -> list[tuple[str, str]]:
    """The links behind a refusal: (path, text), each path once."""
    found: dict[str, str] = {}
    for text in (*_within(problem.detail), problem.advice):
        told = ON_PAGES.get(text.template if isinstance(text, Phrase) else text)
        known = {**_parts.get(), **(text.values if isinstance(text, Phrase) else {})}
        for way in told.ways if told is not None else ():
            path = path_of(way, known)
            if path is not None:
                found.setdefault(path, way.text)
    return list(found.items())


def path_of(way: Way, known: Mapping[str, str]) -> str | None:
    """The page that a way leads to, with what is ``known``; None where that is not enough."""
    for path in way.paths:
        names = [name for _text, name, _format, _conversion in Formatter().parse(path) if name]
        if all(known.get(name) for name in names):
            return path.format(**{name: quote(known[name], safe="") for name in names})
    return None


def _within(text: str) -> Iterator[str]:
    """A text, and the texts that are values of it."""
    yield text
    for value in text.values.values() if isinstance(text, Phrase) else ():
        yield from _within(value)

"""The pages of this room."""

from __future__ import annotations

from exchange.web.calls import Page
from exchange.web.case import _closing, _parents, answer, do, files, messages, reply, show

PAGES: tuple[Page, ...] = (
    Page("GET", "/cases/{thread}", show.show),
    Page("GET", "/cases/{thread}/answer", answer.show),
    Page("POST", "/cases/{thread}/answer", answer.send),
    Page("GET", "/parents/{parent}", _parents.show),
    Page("GET", "/parents/{parent}/say/{type}", _parents.show_say),
    Page("POST", "/parents/{parent}/say/{type}", _parents.say),
    Page("GET", "/parents/{parent}/keep-back", _parents.show_keep_back),
    Page("POST", "/parents/{parent}/keep-back", _parents.keep_back),
    Page("GET", "/cases/{thread}/do/close", _closing.show),
    Page("POST", "/cases/{thread}/do/close", _closing.close),
    Page("GET", "/cases/{thread}/do/{act}", do.show_act),
    Page("POST", "/cases/{thread}/do/{act}", do.do_act),
    Page("GET", "/cases/{thread}/reply/{type}", reply.show_on_case),
    Page("POST", "/cases/{thread}/reply/{type}", reply.send_on_case),
    Page("GET", "/messages/{message}", messages.show),
    Page("GET", "/messages/{message}/proofs", messages.proofs),
    Page("POST", "/messages/{message}/proofs", messages.ask_logs),
    Page("POST", "/messages/{message}/evidence", messages.evidence),
    Page("GET", "/messages/{message}/letter", messages.letter_form),
    Page("POST", "/messages/{message}/letter", messages.letter),
    Page("GET", "/messages/{message}/files", files.show),
    Page("POST", "/messages/{message}/files/move", files.move),
    Page("POST", "/messages/{message}/files/cancel", files.cancel),
    Page("POST", "/messages/{message}/files/open", files.open_one),
    Page("POST", "/messages/{message}/files/export", files.export),
    Page("GET", "/messages/{message}/do/{act}", do.show_message_act),
    Page("POST", "/messages/{message}/do/{act}", do.do_message_act),
    Page("GET", "/messages/{message}/reply/{type}", reply.show_on_message),
    Page("POST", "/messages/{message}/reply/{type}", reply.send_on_message),
    Page("GET", "/messages/{message}/correct", reply.show_correction),
    Page("POST", "/messages/{message}/correct", reply.correct),
)

"""Resources for writing: drafts that are begun, templates, code lists, tables of targets, laws, production orders."""

from __future__ import annotations

from exchange.acts import codes, drafting, law
from exchange.service.api._derived import act

ENDPOINTS = (
    act("POST", "/v1/drafts/new", "Begin a draft to fill in; nothing is saved.", drafting.begin_draft, "new"),
    act("GET", "/v1/codes", "The code lists.", codes.list_codes, "codes"),
    act("GET", "/v1/codes/{name}", "One code list.", codes.show_codes, "codes"),
    act("GET", "/v1/templates", "The templates.", drafting.list_templates, "template list"),
    act(
        "GET",
        "/v1/templates/{name}",
        "A template and its placeholders.",
        drafting.show_template,
        "template show",
        "template export",
    ),
    act("POST", "/v1/templates", "Keep a template at this desk.", drafting.import_template, "template import"),
    act("GET", "/v1/targets/{kind}", "The columns of a table.", drafting.target_columns, "targets template"),
    act("POST", "/v1/targets/table", "The targets of a draft as a table.", drafting.target_table, "targets export"),
    act(
        "POST",
        "/v1/targets/import",
        "A draft with the rows of a table, or what a provider or another system exported.",
        drafting.import_targets,
        "targets import",
        texts={"name": "The file's name: its end may say what it is."},
    ),
    act("POST", "/v1/epoc/order", "The form of an order from a draft.", drafting.prepare_order, "epoc prepare"),
    act("POST", "/v1/epoc/draft", "A draft of what an order says.", drafting.import_order, "epoc import"),
    act("POST", "/v1/comparison", "What both nations' laws say of a draft.", law.compare, "compare"),
    act("GET", "/v1/profiles/{node}", "What is known of a nation's law.", law.profile, "profile"),
    act(
        "GET",
        "/v1/laws/{node}",
        "Which legal bases are in force between two nations, and what each rests on.",
        law.laws,
        "laws",
    ),
)

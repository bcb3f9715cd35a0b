"""Reports in numbers: of verified logs for an auditor, of its own cases for an office; as HTML or PDF, in any language.

It never holds the content of a message. The way: ``sources`` read, figures count (pure), ``audit_document`` and
``office_document`` say it in the reader's language, ``html`` and ``pdf`` show it, ``sign`` signs it. Only figures are
exported here: the rest loads much.
"""

from exchange.report._measures import Suppression
from exchange.report.audit_figures import AuditedLog, AuditFigures, audit_figures
from exchange.report.office_figures import OfficeFigures, OfficeRecords, office_figures

__all__ = [
    "AuditFigures",
    "AuditedLog",
    "OfficeFigures",
    "OfficeRecords",
    "Suppression",
    "audit_figures",
    "office_figures",
]

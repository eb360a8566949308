"""Why a FHIR server refuses a resource, as far as a log may say it.

The text of an answer may name a patient, and so may the ``diagnostics`` in it. The codes of an
OperationOutcome come from a fixed list.
"""

from __future__ import annotations

from typing import Final

ISSUE_CODES: Final = frozenset(
    "invalid structure required value invariant security login unknown expired forbidden suppressed"
    " processing not-supported duplicate multiple-matches not-found deleted too-long code-invalid"
    " extension too-costly business-rule conflict transient lock-error no-store exception timeout"
    " incomplete throttled informational".split()
)  # http://hl7.org/fhir/R4/valueset-issue-type.html
REFUSES: Final = frozenset({"error", "fatal"})  # of http://hl7.org/fhir/R4/valueset-issue-severity


def issue_codes(answer: str) -> list[str]:
    """Return the codes of the issues for which a server refuses, each once, sorted.

    There are none for an answer that is no OperationOutcome. A code that is not on the list is left
    out.

    >>> issue_codes('{"issue": [{"severity": "error", "code": "value"}]}')
    ['value']
    >>> issue_codes("<html>Bad gateway</html>")
    []
    """
    # imported here because it takes a tenth of a second, and most servers refuse nothing
    from fhir.resources.R4B.operationoutcome import OperationOutcome

    try:
        issues = OperationOutcome.model_validate_json(answer).issue
    except Exception:  # noqa: BLE001  # the library's validators fail in any way on odd answers
        return []
    return sorted(ISSUE_CODES.intersection(one.code for one in issues if one.severity in REFUSES))

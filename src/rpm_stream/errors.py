"""The tree of all exceptions of the package, which have one root.

Each class is defined in the file that its line names. A class without a file is in the file of the
class above it.

* RpmStreamError
  x DecodeError      a payload or an entry is no reading                ingest/errors.py
  x KnowledgeError   a table cannot be used                             knowledge/checks.py
  x EstimatorError   an estimator cannot be made or run                 knowledge/estimators.py
  x StateError       a state cannot be restored                         envelope.py
  x RegistryError    a line is no registry entry                        knowledge/registry.py
  x UsageError       wrong use or unreadable input (exit status 2)      app/runtime/errors.py
    + BrokerAway     no Kafka answers
    + MustNotGoOn    a stage would do harm (exit status 70)
  x CheckFailed      the answer of a check is no (exit status 1)        app/runtime/errors.py
  x GapError         records were skipped between two fetches           app/engine/delivery.py
  x UnreadableState  a record of a changelog is no usable state         app/agents/states.py
  x Unlisted         the feed lists no such alert                       app/feed/service.py
  x DecisionRefused          a decision cannot be carried out                   app/feed/service.py
    + Worse          the alert has become worse since the person saw it
  x Unanswered       the broker has not answered, the decision is kept  app/feed/service.py
  x _Unanswered      a FHIR server has not answered yet                 app/ehr/client.py
  x SharedDevice     (ValueError) two patients share a device           app/simulator/encode/csv.py
  x FrameTooLarge    (ValueError) a frame is above the size limit       app/gateway/wire.py
  x BadFrame         (ValueError) a frame does not fit its schema       app/gateway/wire.py
  x SpoolFull        (OSError) the spool has no room                    app/gateway/spool_disk.py
  x SpoolInUse       (OSError) another process holds the spool          app/gateway/spool_disk.py
  x NoResponse       (ValueError) no response of record access   app/gateway/ble/record_access.py
  x NoClockValue     (ValueError) bytes that are no clock         app/gateway/ble/clock_values.py
  x RadioError       an expected failure of the radio or a device       app/gateway/ble/radio.py
    + RadioOff       no adapter answers
    + NotFound       the device or its characteristic was not found
    + LinkLost       the connection ended
    + PairingFailed  pairing was refused, or the keys are not valid any more
    + Refused        the device refused the request
      + NotPaired    the device wants an encrypted connection first

A class with a builtin in parentheses derives from that one too, because callers of the gateway
catch it by that name. The text of an error never holds a secret or a patient identifier.
tests/laws/test_errors.py compares the tree with the source.
"""

from __future__ import annotations

from typing import ClassVar


class RpmStreamError(Exception):
    """Base of all exceptions that this package raises.

    Any other exception that escapes is a defect.
    """

    # The exit status of a command that ends with this error. None marks a defect, which keeps its
    # traceback.
    exit_status: ClassVar[int | None] = None

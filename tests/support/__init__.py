"""Shared helpers, and the only root of helpers: ``from support.frames import registry_of``.

- ``paths``: this checkout and the public data. ``source``: the package's own code, parsed.
- Records: ``frames`` (what is sent), ``readings``, ``alerts``, ``rejects``, ``corrections``,
  ``people``. ``tables``: cases, laid out for a reader.
- Without Kafka: ``replaying`` (rows or frames in, output lines out), ``device`` (the ingest of one
  device), ``ward`` (the judge of one patient), ``situation``, ``books``, ``command_line``
  (``rpm-stream`` as a person calls it).
- Doubles of the outside world: ``fhir_server``, and ``radio`` for Bluetooth.
- ``feed``: the records of a feed, a running one, and its page in this process.
- ``kafka``: a real broker with the stages as processes. ``faults``: the harm that is done to them.
- ``scenarios``: loads the stories and draws them. ``states``: writes the files of a state layout.
  ``gateway``: a gateway on a small disk.

Fixtures are in the ``conftest.py`` of the folder that uses them.
"""

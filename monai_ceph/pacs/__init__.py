"""A DICOM node: it receives films from a PACS or a modality, and sends reports and presentation states back.

A film that was answered with success is on the disk, and its state is in the ledger:

- ``config``, ``config_file`` and ``check``: the configuration, one YAML file;
- ``spool``, ``ledger`` and ``folder``: the films on the disk, and the SQLite file to which every step is written first;
- ``receiver``, ``guarded_server`` and ``commitment``: the DIMSE port that receives films;
- ``fetch``, ``inbox`` and ``polling_loop``: films fetched from archives;
- ``detection_loop``: detection on films, in worker processes;
- ``delivery_loop``: sends reports and presentation states, until they have arrived or are given up;
- ``web``, ``metrics``, ``overview`` and ``logs``: monitoring;
- ``node``: puts the parts together.

Its further dependencies come with ``pip install 'monai-ceph[pacs]'``.
"""

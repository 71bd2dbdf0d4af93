"""A DICOM node: films come in from a PACS or a modality, reports and presentation states go back.

Everything that was answered with success is on the disk, and the ledger says what became of it:

- ``config``, ``config_file`` and ``check``: what the one YAML file may say, and how it is read;
- ``spool``, ``ledger`` and ``folder``: the films on the disk, and the one SQLite file that every step goes into first;
- ``receiver``, ``guarded_server`` and ``commitment``: the DIMSE port that films are pushed to;
- ``sources``, ``fetch``, ``inbox`` and ``polling_loop``: archives that films are fetched from;
- ``selection``: which objects are cephalograms;
- ``detection_loop``: films become objects, in processes of the batch;
- ``targets`` and ``delivery_loop``: objects go out, by C-STORE or STOW-RS, until they are there or given up;
- ``web``, ``metrics``, ``overview`` and ``logs``: what is seen from outside;
- ``node``: all of it together.

What the core package does not need comes with ``pip install 'monai-ceph[pacs]'``.
"""

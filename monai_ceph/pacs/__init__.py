"""A DICOM node: films come in from a PACS or a modality, reports and presentation states go back.

Everything that was answered with success is on the disk, and the ledger says what became of it:

- ``config`` and ``config_file``: what the one YAML file may say, and how it is read;
- ``spool`` and ``ledger``: the films on the disk, and the one SQLite file that every step is written into first;
- ``receiver``, ``guarded_server`` and ``commitment``: the DIMSE side that films are pushed to;
- ``selection``: which objects are cephalograms;
- ``detection_loop``: films become objects, in processes of the batch;
- ``targets`` and ``delivery_loop``: objects go out, by C-STORE or STOW-RS, until they are there or given up;
- ``node``: all of it together.

pynetdicom and dicomweb-client come with ``pip install 'monai-ceph[pacs]'``; ``config``, ``ledger``, ``spool`` and
``selection`` work without them.
"""

"""The tables of a node's ledger. Times are seconds since 1970 in UTC."""

from __future__ import annotations

__all__ = ["SCHEMA", "UPGRADES", "VERSION"]

VERSION = 5

_FILMS = """
CREATE TABLE films (
  id INTEGER PRIMARY KEY,
  uid TEXT NOT NULL,
  key TEXT NOT NULL UNIQUE,
  generation INTEGER NOT NULL DEFAULT 0,
  sender TEXT NOT NULL,
  size INTEGER NOT NULL,
  received REAL NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('received', 'detected', 'done', 'dead', 'skipped')),
  attempts INTEGER NOT NULL DEFAULT 0,
  outcome TEXT,
  model TEXT,
  reason TEXT,
  ended REAL,
  content TEXT,
  image_sha256 TEXT,
  pixels_sha256 TEXT
);
CREATE INDEX films_state ON films (state, received);
CREATE INDEX films_uid ON films (uid);
"""

# the last object of each kind for an image or a frame, by the image's UID
_ANSWERS = """
CREATE TABLE answers (
  image_uid TEXT NOT NULL,
  frame INTEGER NOT NULL,
  kind TEXT NOT NULL,
  answered TEXT NOT NULL,
  reference TEXT NOT NULL,
  replaces TEXT,
  PRIMARY KEY (image_uid, frame, kind)
);
"""

# seconds that the node itself has tried, by a clock that cannot be set
_WAITED = """
ALTER TABLE deliveries ADD COLUMN waited REAL NOT NULL DEFAULT 0;
ALTER TABLE commitments ADD COLUMN waited REAL NOT NULL DEFAULT 0;
"""

# objects that a target took, until its report on storage commitment arrives; gone with their delivery
_ASKED = """
CREATE TABLE asked_commitments (
  delivery INTEGER PRIMARY KEY,
  answer TEXT NOT NULL,
  transaction_uid TEXT
);
CREATE TRIGGER delivery_is_deleted AFTER DELETE ON deliveries
BEGIN DELETE FROM asked_commitments WHERE delivery = OLD.id; END;
CREATE TRIGGER delivery_ends AFTER UPDATE OF state ON deliveries WHEN NEW.state <> 'pending'
BEGIN DELETE FROM asked_commitments WHERE delivery = OLD.id; END;
"""

# which of two nodes on one folder has the turn: the last row
_TURNS = """
CREATE TABLE turns (
  turn INTEGER PRIMARY KEY,
  node TEXT NOT NULL,
  began REAL NOT NULL
);
"""

SCHEMA = f"""
{_FILMS}
{_ANSWERS}
CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY,
  film INTEGER NOT NULL REFERENCES films (id),
  target TEXT NOT NULL,
  kind TEXT NOT NULL,
  stem TEXT NOT NULL,
  uid TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead')),
  attempts INTEGER NOT NULL DEFAULT 0,
  since REAL NOT NULL,
  next_try REAL NOT NULL,
  reason TEXT,
  waited REAL NOT NULL DEFAULT 0,
  UNIQUE (film, target, stem, kind)
);
CREATE INDEX deliveries_due ON deliveries (target, state, next_try);
CREATE TABLE commitments (
  id INTEGER PRIMARY KEY,
  transaction_uid TEXT NOT NULL,
  peer TEXT NOT NULL,
  objects TEXT NOT NULL,
  since REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_try REAL NOT NULL DEFAULT 0,
  waited REAL NOT NULL DEFAULT 0,
  UNIQUE (peer, transaction_uid)
);
{_ASKED}
{_TURNS}
CREATE TABLE cursors (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  time REAL NOT NULL,
  event TEXT NOT NULL,
  uid TEXT,
  details TEXT NOT NULL
);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'the audit is only added to'); END;
"""

_COLUMNS = "id, uid, key, generation, sender, size, received, state, attempts, outcome, model, reason, ended"

UPGRADES = {
    # version 1 had one film for each UID, and knew nothing of its pixels
    1: f"""
DROP INDEX films_state;
ALTER TABLE films RENAME TO films_1;
{_FILMS}
INSERT INTO films ({_COLUMNS}) SELECT {_COLUMNS} FROM films_1;
DROP TABLE films_1;
{_ANSWERS}
{_WAITED}
{_ASKED}
{_TURNS}
""",
    # the digests are the same; version 2 had another name for them
    2: f"""
ALTER TABLE films RENAME COLUMN decoded TO image_sha256;
ALTER TABLE films ADD COLUMN pixels_sha256 TEXT;
{_ANSWERS}
{_WAITED}
{_ASKED}
{_TURNS}
""",
    # version 3 knew nothing of earlier answers
    3: f"ALTER TABLE films ADD COLUMN pixels_sha256 TEXT;\n{_ANSWERS}\n{_WAITED}\n{_ASKED}\n{_TURNS}",
    # version 4 asked nobody for storage commitment, and had its folder for itself
    4: f"{_ASKED}\n{_TURNS}",
}

"""The review of results by a person, in the browser: a server on this machine, revisions, an audit."""

"""One film in any process, on this machine or on a Ray cluster: who works on it, how, and under which name."""

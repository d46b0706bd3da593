"""Evidence: pure functions from events to features of accounts and to links between them; no verdict is made here."""

"""Pure functions on texts: language, refusals, repetition, duplicates, overlap, schemas; they read no file."""

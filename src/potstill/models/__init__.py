"""Everything that answers prompts or scores tokens: endpoints, local weights, and a scripted fake for tests."""

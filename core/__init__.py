"""Words everyone shares: schema, outcomes, errors, identities, settings, provenance."""

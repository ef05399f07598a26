"""One process that embeds for all that serve: see docs/adr/0017-one-encoder-process.md."""

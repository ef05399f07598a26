"""What an analysis is handed over as: one HTML file, one JSON file."""

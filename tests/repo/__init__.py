"""The repository tests itself: layout, hygiene, packaging, documents."""

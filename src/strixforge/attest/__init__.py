"""What a wheelhouse says of itself: bills of materials, provenance, and a signature."""

"""Guards: what is found in the texts of a request (secrets, personal data, own patterns), and what becomes of it."""

"""Cases: customers whose accounts act as one beyond chance, what it rests on, and what else would look the same."""

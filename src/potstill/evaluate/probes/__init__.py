"""What a student loses first: empty fields, abstaining, asking back, forms; found in answers, and asked for."""

"""Following TheRock: which releases there are, trying one, keeping what was proved, going back."""

"""Tables: numbers first, then one file for each form in which they are drawn."""

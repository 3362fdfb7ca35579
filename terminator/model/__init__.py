"""The networks. Imports torch alone, so it runs anywhere torch does."""

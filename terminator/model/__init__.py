"""The networks. They import torch alone, so they run anywhere torch does; their configurations not even that."""

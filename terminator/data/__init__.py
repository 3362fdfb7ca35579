"""Images as tensors: loading, fixed splits, whole-batch augmentation."""

"""Models made with other frameworks: read as data, converted once, run behind the face of ours."""

__all__ = ["adopt", "external", "external_card", "label_names", "monai_engine", "nnunet"]

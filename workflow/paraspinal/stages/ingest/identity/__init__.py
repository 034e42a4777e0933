"""Who is who: whose image it is and of which visit, and what sheets say of people."""

__all__ = ["participants", "people_sheet", "subject_identity"]

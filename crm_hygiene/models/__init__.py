"""The life cycle of linkage models: trained, compared with what is live, promoted, rolled back.

A model changes who is who, so it is put to use by an act of its own and never by training it. What does
not belong here: how a model is trained (`linkage.training`) and how it scores (`linkage.scoring`).
"""

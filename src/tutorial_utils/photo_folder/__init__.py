"""A folder of photos as people have it, read, checked and divided; the training comes after.

In the order in which a folder passes through: ``archives`` unpacks, ``listing`` finds the files and
their classes (from ``class_folders``, or ``labels``: a table or file names), ``inspect`` reads
each photo once and ``duplicates`` compares them, ``split`` divides them and ``loading`` gives them
to a network. ``finetune`` imports this; neither this nor a lesson imports ``finetune``.
"""

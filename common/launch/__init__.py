"""Starting a training job on a cluster: which process this is, what it needs on its node, and what it leaves behind.
 ``scripts/modelarts/boot.py`` is the door. Everything here is the standard library only, so that a job says what is
wrong before anything heavy is imported.
"""

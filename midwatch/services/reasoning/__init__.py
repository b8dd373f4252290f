"""The model loop: from the first report to a better one, in rounds of looking, within limits, journalled at every step.

May know: the ports of models, tools and runbooks, the journal, and the domain. The journal is the only state:
``memory`` folds it, each step is written before anything follows from it, and a process that takes over goes on there.
"""

"""The chat: questions from any channel, answered from live objects and the journal, with or without a model.

May know: the domain and the ports of the services. Must not know: any channel, any vendor, any driver.
"""

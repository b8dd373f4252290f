"""Model vendors: Anthropic by its SDK, all others by the OpenAI-compatible one.

May know: the domain, the ports of the model chain, the two SDKs (imported at first use: they take seconds). Retry,
fallback, masking and metering stand above, in ``midwatch.services.models``.
"""

"""The model behind its port: middleware, providers with retry and fallback, metering.

May know: the domain and the ports. Vendors stand behind ``Provider``; their SDKs are the adapters' business.
"""

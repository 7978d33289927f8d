"""The operations of the API, as the server calls them."""

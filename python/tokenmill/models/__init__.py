"""Which models there are: routes from a model id to the engines that serve it."""

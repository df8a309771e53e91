"""What can be wrong with settings about engines."""

from tokenmill.errors import TokenmillError


class NetworksInvalid(TokenmillError):
    """`join.networks` takes networks such as 10.0.0.0/8."""


class KubernetesUnknown(TokenmillError):
    """The cluster whose engines `kubernetes.selector` names cannot be found."""

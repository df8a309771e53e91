"""What can be wrong with a wish about money."""

from tokenmill.errors import ClientError, Conflict


class ReferenceTaken(Conflict):
    """This reference belongs to another credit of the account."""

    code = "reference_taken"


class RefundTooLarge(ClientError):
    """More than was billed and not refunded before cannot be refunded; a grant can be any sum."""

    status = 422
    code = "refund_too_large"

"""What is wrong with settings. Imports nothing, so that the command line can name it at no cost."""


class SettingsError(ValueError):
    """Settings that cannot be used; `problems` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))

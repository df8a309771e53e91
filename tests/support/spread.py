"""How tests are spread over processes, where pytest-xdist runs several."""

from xdist.scheduler import LoadFileScheduling

from tests.support.real_vllm import SHARED


class FilesAndServers(LoadFileScheduling):
    """The tests of a file stay together, and so do those of all files that share a vLLM."""

    def _split_scope(self, nodeid: str) -> str:
        return SHARED if SHARED in nodeid else str(super()._split_scope(nodeid))

# The fixtures of linkage, for its neighbours; pytest finds them by name.
from linkage.conftest import crowd, explained  # noqa: F401

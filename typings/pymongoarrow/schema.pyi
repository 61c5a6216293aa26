from collections.abc import Mapping

import pyarrow as pa

class Schema:
    def __init__(self, schema: Mapping[str, pa.DataType]) -> None: ...

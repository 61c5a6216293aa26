from typing import Any

import pyarrow as pa

class ObjectIdType(pa.ExtensionType[Any]):
    def __init__(self) -> None: ...

class Decimal128Type(pa.ExtensionType[Any]):
    def __init__(self) -> None: ...

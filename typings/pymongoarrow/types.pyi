import pyarrow as pa

class ObjectIdType(pa.ExtensionType):
    def __init__(self) -> None: ...

class Decimal128Type(pa.ExtensionType):
    def __init__(self) -> None: ...

from collections.abc import Iterator
from typing import Protocol

class Node(Protocol):
    type: str
    value: str
    prefix: str
    parent: Node
    children: list[Node]
    start_pos: tuple[int, int]
    end_pos: tuple[int, int]

    def get_first_leaf(self) -> Node: ...

class Operator(Protocol):
    def mutation_positions(
        self, node: Node
    ) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]: ...
    def mutate(self, node: Node, index: int, /) -> Node: ...

def get_ast(source: str) -> Node: ...
def ast_nodes(node: Node) -> Iterator[Node]: ...
